"""What the files are that no volume shows, in a reader's words. Reads first bytes at most."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from med2e3.io.dicom.attributes import Attributes, sop_class, text
from med2e3.io.series import SkippedFile

#: SOP classes that show no slices of a patient, by how their UID begins (PS3.4 B.5).
OBJECTS: tuple[tuple[str, str], ...] = (
    ("1.2.840.10008.5.1.4.1.1.88.67", "dose report (SR)"),
    ("1.2.840.10008.5.1.4.1.1.88.76", "dose report (SR)"),
    ("1.2.840.10008.5.1.4.1.1.88.59", "key object selection"),
    ("1.2.840.10008.5.1.4.1.1.88.", "structured report (SR)"),
    ("1.2.840.10008.5.1.4.1.1.11.", "presentation state"),
    ("1.2.840.10008.5.1.4.1.1.104.", "document"),
    ("1.2.840.10008.5.1.4.1.1.66.4", "segmentation"),
    ("1.2.840.10008.5.1.4.1.1.66", "raw data"),
    ("1.2.840.10008.5.1.4.1.1.481.", "radiotherapy object"),
    ("1.2.840.10008.5.1.4.1.1.7", "secondary capture"),
    ("1.2.840.10008.1.3.10", "table of contents (DICOMDIR)"),
)

#: Objects with pixels that are still no images of a series: never stacked.
OVERLAYS = ("segmentation", "radiotherapy object")

#: Endings of what lies beside studies, by what to call it.
ENDINGS: dict[str, str] = {
    ".txt": "text file", ".log": "text file", ".csv": "text file", ".xml": "text file",
    ".json": "text file", ".htm": "web page", ".html": "web page", ".pdf": "PDF",
    ".jpg": "picture", ".jpeg": "picture", ".png": "picture", ".gif": "picture", ".bmp": "picture",
    ".exe": "program", ".dll": "program", ".inf": "text file", ".zip": "archive",
}  # fmt: skip

#: What a file without content is called.
EMPTY = "empty file"

#: Bytes looked at to tell a text from other things.
LOOK = 512


def kind_of_object(header: Attributes) -> str:
    """What a DICOM object is that is no usual image; empty for one that is."""
    return _kind(str(sop_class(header)), text(header, "Modality"))


@lru_cache(maxsize=256)
def _kind(uid: str, modality: str) -> str:
    for begins, kind in OBJECTS:
        if uid.startswith(begins):
            return kind
    return "structured report (SR)" if modality == "SR" else ""


def foreign(path: Path) -> SkippedFile:
    """A file that is no DICOM, by its name or its first bytes."""
    kind = ENDINGS.get(path.suffix.lower(), "")
    return SkippedFile(path, kind or _by_content(path), "not DICOM")


def _by_content(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(LOOK)
    if not start:
        return EMPTY
    try:
        start.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(start) - 4:  # else only the last letter was cut
            return "file of another kind"
    return "file of another kind" if b"\0" in start else "text file"
