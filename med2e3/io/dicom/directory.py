"""Read the table of contents of a medium (DICOMDIR, PS3.10 8.6): the files that it lists.

Knows nothing of what is in these files.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pydicom
from pydicom.tag import Tag

from med2e3.io.dicom.quick import list_is_whole, quiet

#: The records of a table of contents, one of each patient, study, series and image.
RECORDS = 0x00041220


class Contents(NamedTuple):
    """The files that a table of contents lists, each as its folders and its own name.

    `doubt` says what is wrong with the list, in words that finish "the table of contents ...";
    empty for a whole one.
    """

    names: tuple[tuple[str, ...], ...]
    doubt: str = ""


def read_contents(directory: Path) -> Contents:
    """What a DICOMDIR lists, as far as it can be read. Raises `OSError` if it cannot be opened."""
    with directory.open("rb"):
        pass
    try:
        with quiet():
            records = pydicom.dcmread(directory).get("DirectoryRecordSequence") or []
            names = [_name(record.get("ReferencedFileID")) for record in records]
    except Exception:  # a damaged list can fail in any of pydicom's converters
        return Contents((), "is damaged")
    listed = tuple(name for name in names if name)
    if not names:
        return Contents((), "lists nothing")
    return Contents(listed, "" if list_is_whole(directory, Tag(RECORDS)) else "ends early")


def _name(stated: object) -> tuple[str, ...]:
    if not stated:
        return ()
    if isinstance(stated, str):
        return (stated,)
    return tuple(str(part) for part in stated)  # type: ignore[attr-defined]
