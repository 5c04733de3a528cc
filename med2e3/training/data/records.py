"""Rows of large JSON and CSV lists by their number, without holding the lists in memory.

A list is scanned once for where its rows begin; a row is read when it is asked for, through a file
opened for it alone, so that any number of workers may read side by side. Knows nothing of what the
rows mean.
"""

from __future__ import annotations

import csv
import io
import json
import mmap
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from med2e3.errors import DataError

#: A whole JSON string, or a bracket: all that decides where an entry of a list begins and ends.
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)

Offsets = NDArray[np.int64]


class Records(Protocol):
    """Rows by number; `where` names a row in messages."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> dict[str, Any]: ...

    def where(self, index: int) -> str:
        """The file and the row."""
        ...


class JsonRecords:
    """The objects of a JSON list; or of the list under `key`, where the file holds several.

    Raises `DataError` when the file cannot be read or holds no such list.
    """

    def __init__(self, path: Path, key: str = "") -> None:
        self.path, self.key = path, key
        _check(path)
        with path.open("rb") as stream:
            try:
                text = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError:  # an empty file cannot be mapped
                raise _no_list(path, key) from None
            with text:
                lists, whole = _lists(text)
        if not whole:
            raise DataError(
                f"{path} ends in the middle of a list: it was cut short. Copy it again."
            )
        if key not in lists:
            there = ", ".join(name for name in lists if name)
            raise _no_list(path, key, there)
        spans = lists[key]
        self.spans: Offsets = np.array(spans, dtype=np.int64).reshape(-1, 2)

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, index: int) -> dict[str, Any]:
        start, end = (int(n) for n in self.spans[index])
        with self.path.open("rb") as stream:
            stream.seek(start)
            text = stream.read(end - start)
        try:
            value = json.loads(text)
        except ValueError as error:
            raise DataError(f"{self.where(index)} is not valid JSON: {error}.") from error
        if not isinstance(value, dict):
            raise DataError(f"{self.where(index)} is no object with named fields.")
        return value

    def where(self, index: int) -> str:
        """The file, the list in it, and the entry, counted from 1."""
        inside = f" “{self.key}”" if self.key else ""
        return f"{self.path}{inside}, entry {index + 1}"


def _lists(text: mmap.mmap) -> tuple[dict[str, list[tuple[int, int]]], bool]:
    """First and end byte of every object in the outer list, or in each list of the outer object;
    and whether all that was opened is closed.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    stack: list[bytes] = []
    name, begin = "", 0
    for token in _STRUCTURE.finditer(text):
        word = token[0]
        if word[:1] == b'"':
            if stack == [b"{"]:
                name = str(json.loads(word))
            continue
        if word in b"[{":
            stack.append(word)
            if stack in ([b"["], [b"{", b"["]):
                found[name] = []
            elif stack in ([b"[", b"{"], [b"{", b"[", b"{"]):
                begin = token.start()
            continue
        if stack in ([b"[", b"{"], [b"{", b"[", b"{"]):
            found[name].append((begin, token.end()))
        if stack:
            stack.pop()
    return found, not stack


def _no_list(path: Path, key: str, there: str = "") -> DataError:
    if not key:
        return DataError(
            f"{path} holds no list at its top. "
            + (f"Name one of the lists in it as `split`: {there}." if there else "Is it JSON?")
        )
    hint = f"It has: {there}." if there else "It holds one list: leave `split` out."
    return DataError(f"{path} has no list “{key}”. {hint}")


class CsvRecords:
    """The rows of a CSV file with a header; quoted fields may run over several lines.

    Raises `DataError` when the file cannot be read, or lacks one of `columns`.
    """

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        self.path = path
        _check(path)
        starts: list[int] = []
        try:
            rows = _Lines(path)
            reader = csv.reader(rows)
            self.columns = next(reader, [])
            missing = [name for name in columns if name not in self.columns]
            if missing:
                raise DataError(
                    f"{path} lacks the column{'s' if len(missing) > 1 else ''} "
                    f"{', '.join(missing)}; it has {', '.join(self.columns) or 'none'}."
                )
            starts.append(rows.position)
            for _ in reader:
                starts.append(rows.position)
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{path}, row {len(starts)}, is no CSV text: {error}.") from error
        self.starts: Offsets = np.array(starts, dtype=np.int64)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: int) -> dict[str, Any]:
        start, end = int(self.starts[index]), int(self.starts[index + 1])
        with self.path.open("rb") as stream:
            stream.seek(start)
            text = stream.read(end - start).decode("utf-8")
        values = next(csv.reader(io.StringIO(text, newline="")), [])
        if len(values) != len(self.columns):
            raise DataError(
                f"{self.where(index)} has {len(values)} fields where {len(self.columns)} are "
                "expected. A quote or a comma is missing, or the file was cut short."
            )
        return dict(zip(self.columns, values, strict=True))

    def where(self, index: int) -> str:
        """The file and the row, counted from 1 below the header."""
        return f"{self.path}, row {index + 1}"


class _Lines:
    """The lines of a UTF-8 file, with the byte position after the last one given out."""

    def __init__(self, path: Path) -> None:
        self.path, self.position = path, 0

    def __iter__(self) -> Iterator[str]:
        with self.path.open("rb") as stream:
            for number, line in enumerate(stream):
                self.position += len(line)
                yield line.decode("utf-8-sig" if number == 0 else "utf-8")


def _check(path: Path) -> None:
    if not path.is_file():
        raise DataError(
            f"The list {path} is not there. Name its place in the recipe, or with --data the "
            "folder that the recipe's paths start from."
        )
