"""Rows of CSV lists as text: "NA" stays "NA". Knows nothing of what the columns mean."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from med2e3.errors import InputError
from med2e3.io.texts import check_regular, lines_of, read_json


def columns_of(path: Path) -> tuple[str, ...]:
    """The heading; raises `InputError` for a file that is no CSV text."""
    try:
        check_regular(path)
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return tuple(next(csv.reader(lines_of(stream)), ()))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as CSV: {error}.") from error


def json_of(path: Path) -> Any:
    """What a JSON list says; raises `InputError` for a file that is none."""
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}.") from error


def rows_of(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Data rows with their number, from 1; a field that is missing is "". Raises `InputError`."""
    try:
        check_regular(path)
        with path.open(encoding="utf-8-sig", newline="") as stream:
            for row, said in enumerate(csv.DictReader(lines_of(stream)), start=1):
                if None in said:
                    raise InputError(
                        f"{path}, row {row}: it has more fields than the heading; a text with a "
                        "comma must stand in quotes."
                    )
                yield row, {name: text or "" for name, text in said.items()}
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as CSV: {error}.") from error
