"""Read a structured report (PS3.3 A.35) as rows of names and values.

Knows the value types of content items, and no template: every report is shown as it is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from med2e3.errors import ImageReadError
from med2e3.io.dicom.attributes import as_text, first_item, series_info, text
from med2e3.io.dicom.deflated import dicom_file
from med2e3.io.dicom.headers import keep_first_syntax
from med2e3.io.dicom.quick import quiet
from med2e3.io.single import SingleTable, TableRow

#: Most rows that are read; the largest dose reports have some thousands.
MOST_ROWS = 20_000

#: The attribute that holds the value of a content item, by its Value Type (PS3.3 C.17.3.2.1).
VALUES = {
    "TEXT": "TextValue", "DATE": "Date", "TIME": "Time", "DATETIME": "DateTime", "UIDREF": "UID",
    "PNAME": "PersonName",
}  # fmt: skip

#: Said in place of the name of a content item without one.
NO_NAME = "item"


def read_report(path: Path, kind: str) -> SingleTable:
    """The report in the file at `path`. Raises `ImageReadError` where it cannot be read."""
    try:
        with quiet(), dicom_file(path) as file:
            dataset = pydicom.dcmread(file, stop_before_pixels=True, force=True)
            keep_first_syntax(dataset, path)
            rows = tuple(islice(_rows(dataset, 0), MOST_ROWS))
            title = _meaning(dataset, "ConceptNameCodeSequence") or kind
            return SingleTable(kind, title, series_info(dataset), rows)
    except Exception as error:  # a damaged report can fail in any of pydicom's converters
        raise ImageReadError(
            f"{path}: its report cannot be read: one of its elements is damaged. "
            "Copy or send the file again."
        ) from error


def _rows(item: Dataset, level: int) -> Iterator[TableRow]:
    for child in item.get("ContentSequence") or ():
        name = _meaning(child, "ConceptNameCodeSequence") or NO_NAME
        yield TableRow(level, name, _value(child))
        yield from _rows(child, level + 1)


def _value(item: Dataset) -> str:
    kind = text(item, "ValueType")
    if kind == "NUM":
        measured = first_item(item, "MeasuredValueSequence")
        unit = first_item(measured, "MeasurementUnitsCodeSequence")
        words = (text(measured, "NumericValue"), text(unit, "CodeValue"))
        return (
            " ".join(word for word in words if word not in ("", "1", "{no units}")) or "not given"
        )
    if kind == "CODE":
        return _meaning(item, "ConceptCodeSequence")
    if kind in VALUES:
        return as_text(item.get(VALUES[kind]))
    referenced = first_item(item, "ReferencedSOPSequence")
    return text(referenced, "ReferencedSOPInstanceUID")


def _meaning(item: Dataset, sequence: str) -> str:
    code = first_item(item, sequence)
    return text(code, "CodeMeaning") or text(code, "CodeValue")
