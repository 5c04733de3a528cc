"""Read the whole header of a file as a tree of rows.

A DICOM file gives all its elements, private ones and sequences included; a file of another format
its own fields. Reads no pixels and judges nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from med2e3.errors import ImageReadError
from med2e3.io.dicom.deflated import dicom_file
from med2e3.io.dicom.headers import is_dicom, keep_first_syntax
from med2e3.io.dicom.quick import quiet
from med2e3.io.formats.table import format_of
from med2e3.words import counted

#: Letters of a value that are shown; a longer one is shown by its beginning and its length.
LONGEST_VALUE = 1000

#: Bytes of a binary value that are shown.
SHOWN_BYTES = 32


@dataclass(frozen=True)
class Tag:
    """One row: number ("0008,0060"; empty outside DICOM), representation, name, value, children."""

    number: str
    vr: str
    name: str
    value: str
    children: tuple[Tag, ...] = ()

    def says(self, words: str) -> bool:
        """Whether number, name or value hold `words` (lower case)."""
        plain = self.number.replace(",", "")
        return any(
            words in text.lower() for text in (self.number, plain, self.name, self.value, self.vr)
        )


def read_tags(path: Path) -> tuple[Tag, ...]:
    """The header of the file at `path`. Raises `ImageReadError` if it has none that is known."""
    try:
        if (known := format_of(path)) is not None:
            fields = known.read_header(path)
            return tuple(Tag("", field.type, field.name, _value(field.value)) for field in fields)
        if is_dicom(path):
            with quiet():
                return tuple(_dicom(path))
    except OSError as error:
        if error.errno is None:
            raise _unreadable(path) from error
        why = "it is not there any more" if not path.exists() else "the system does not open it"
        raise ImageReadError(
            f"{path}: the header cannot be read, for {why}. Open its folder again."
        ) from error
    except Exception as error:  # a damaged header can fail in any reader's converters
        raise _unreadable(path) from error
    raise ImageReadError(f"{path} has no header that can be shown.")


def _unreadable(path: Path) -> ImageReadError:
    return ImageReadError(
        f"{path}: the header cannot be read. The file was changed or damaged since it was opened; "
        "open it again."
    )


def matching(tags: Iterable[Tag], words: str) -> tuple[Tag, ...]:
    """The rows that hold `words`, with their parents; a sequence that does keeps its items."""
    wanted = words.strip().lower()
    if not wanted:
        return tuple(tags)
    found = []
    for tag in tags:
        if tag.says(wanted):
            found.append(tag)
        elif children := matching(tag.children, wanted):
            found.append(replace(tag, children=children))
    return tuple(found)


# --- DICOM ---------------------------------------------------------------------------------------


def _dicom(path: Path) -> Iterator[Tag]:
    with dicom_file(path) as file:
        dataset = pydicom.dcmread(file, stop_before_pixels=True, force=True)
        keep_first_syntax(dataset, path)
    yield from _elements(dataset.file_meta)
    yield from _elements(dataset)


def _elements(dataset: Dataset) -> Iterator[Tag]:
    for key in sorted(dataset.keys()):
        number = f"{key.group:04X},{key.element:04X}"
        try:
            element = dataset[key]
        except Exception as error:  # one odd value must not hide the others
            yield Tag(number, "", "cannot be read", str(error))
            continue
        yield _element(number, element)


def _element(number: str, element: DataElement) -> Tag:
    vr, name = str(element.VR), str(element.name)
    if vr != "SQ":
        return Tag(number, vr, name, _value(element.value))
    items = tuple(
        Tag("", "", f"Item {k}", "", tuple(_elements(item)))
        for k, item in enumerate(element.value or [], start=1)
    )
    return Tag(number, vr, name, counted(len(items), "item"), items)


def _value(value: Any) -> str:
    if isinstance(value, bytes):
        more = " …" if len(value) > SHOWN_BYTES else ""
        return f"{value[:SHOWN_BYTES].hex(' ')}{more} ({len(value)} bytes)"
    if isinstance(value, list | tuple | pydicom.multival.MultiValue):
        text = "\\".join(str(v) for v in value)
    else:
        text = "" if value is None else str(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]} … ({len(text)} letters)"
