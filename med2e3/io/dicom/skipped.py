"""Name the kinds of files that no volume shows: reports, presentation states, texts, programs.

A DICOM file is named by its SOP class, any other by its suffix or its first bytes.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from med2e3.io.dicom.attributes import Attributes, sop_class, text, transfer_syntax
from med2e3.io.references import not_opened
from med2e3.io.series import Defect, SkippedFile


class ObjectKind(NamedTuple):
    """A kind of DICOM object that is no usual image.

    `is_derived` says that its pixels, if it has any, are drawn over images or computed for them:
    they are never stacked to a volume.
    """

    name: str
    is_derived: bool = False


STRUCTURED_REPORT = ObjectKind("structured report (SR)")
DIRECTORY = ObjectKind("table of contents (DICOMDIR)")
SECONDARY_CAPTURE = ObjectKind("secondary capture")
VIDEO, WAVEFORM = ObjectKind("video"), ObjectKind("waveform")

#: SOP classes that show no slices of a patient, by how their UID begins (PS3.4 B.5); the first one
#: that fits counts.
OBJECTS: dict[str, ObjectKind] = {
    "1.2.840.10008.5.1.4.1.1.88.67": ObjectKind("dose report (SR)"),
    "1.2.840.10008.5.1.4.1.1.88.76": ObjectKind("dose report (SR)"),
    "1.2.840.10008.5.1.4.1.1.88.59": ObjectKind("key object selection"),
    "1.2.840.10008.5.1.4.1.1.88.": STRUCTURED_REPORT,
    "1.2.840.10008.5.1.4.1.1.11.": ObjectKind("presentation state"),
    "1.2.840.10008.5.1.4.1.1.104.": ObjectKind("document"),
    "1.2.840.10008.5.1.4.1.1.66.4": ObjectKind("segmentation", is_derived=True),
    "1.2.840.10008.5.1.4.1.1.66.7": ObjectKind("segmentation", is_derived=True),
    "1.2.840.10008.5.1.4.1.1.66": ObjectKind("raw data"),
    "1.2.840.10008.5.1.4.1.1.481.3": ObjectKind("RT structure set", is_derived=True),
    "1.2.840.10008.5.1.4.1.1.481.": ObjectKind("radiotherapy object", is_derived=True),
    "1.2.840.10008.5.1.4.1.1.77.1.1.1": VIDEO,
    "1.2.840.10008.5.1.4.1.1.77.1.2.1": VIDEO,
    "1.2.840.10008.5.1.4.1.1.77.1.4.1": VIDEO,
    "1.2.840.10008.5.1.4.1.1.77.": ObjectKind("photograph"),
    "1.2.840.10008.5.1.4.1.1.7": SECONDARY_CAPTURE,
    "1.2.840.10008.5.1.4.1.1.9.1.": ObjectKind("ECG"),
    "1.2.840.10008.5.1.4.1.1.9.": WAVEFORM,
    "1.2.840.10008.1.3.10": DIRECTORY,
}

#: SOP classes of structured reports, by how their UID begins.
REPORTS = "1.2.840.10008.5.1.4.1.1.88."

#: Transfer syntaxes of videos, whose frames are packed together (PS3.5 10.7 and following).
VIDEO_SYNTAXES = tuple(f"1.2.840.10008.1.2.4.{k}" for k in range(100, 109))

#: Kinds of files that lie beside studies, by their suffix.
SUFFIXES: dict[str, str] = {
    ".txt": "text file", ".log": "text file", ".csv": "text file", ".xml": "text file",
    ".json": "text file", ".htm": "web page", ".html": "web page", ".pdf": "PDF",
    ".jpg": "picture", ".jpeg": "picture", ".png": "picture", ".gif": "picture", ".bmp": "picture",
    ".exe": "program", ".dll": "program", ".inf": "text file", ".zip": "archive",
}  # fmt: skip

#: Bytes read to tell a text file from a binary one.
LOOK = 512


def kind_of_object(header: Attributes) -> ObjectKind | None:
    """The kind of a DICOM object by its SOP class; None for a usual image."""
    if transfer_syntax(header).startswith(VIDEO_SYNTAXES):
        return VIDEO
    return _kind(str(sop_class(header)), text(header, "Modality"))


def is_picture(header: Attributes) -> bool:
    """Whether the pixels of an object, if it has any, are pictures that can be seen as they are."""
    special = kind_of_object(header)
    return special is None or not (special.is_derived or special is VIDEO)


def is_report(header: Attributes) -> bool:
    """Whether an object is a structured report, key object selections included."""
    return str(sop_class(header)).startswith(REPORTS)


@lru_cache(maxsize=256)
def _kind(uid: str, modality: str) -> ObjectKind | None:
    for begins, kind in OBJECTS.items():
        if uid.startswith(begins):
            return kind
    return STRUCTURED_REPORT if modality == "SR" else None


def foreign(path: Path) -> SkippedFile:
    """A file that is no DICOM, its kind told by its suffix or its first bytes."""
    if (kind := SUFFIXES.get(path.suffix.lower())) is not None:
        return SkippedFile(path, kind, "not DICOM")
    try:
        with path.open("rb") as file:
            start = file.read(LOOK)
    except OSError as error:
        return SkippedFile(path, "closed file", str(not_opened(path, error)))
    if not start:
        return SkippedFile(path, "empty file", "not DICOM", Defect.EMPTY)
    return SkippedFile(path, _by_content(start), "not DICOM")


def not_regular(path: Path) -> SkippedFile:
    """What is no file to be read: to open a pipe or a device may wait for ever."""
    gone = not path.exists()
    return SkippedFile(path, "missing file" if gone else "pipe or device", "no regular file")


def _by_content(start: bytes) -> str:
    try:
        start.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(start) - 4:  # else only the last letter was cut
            return "file of another kind"
    return "file of another kind" if b"\0" in start else "text file"
