"""Texts, JSON and pictures of lists, recipes and records: regular files, held to the free memory.

A pipe is waited for without end, a device gives bytes without end, and a small picture may claim
to be a huge one. Knows nothing of what the files say.
"""

from __future__ import annotations

import errno
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from med2e3.errors import InputError
from med2e3.io.bounds import Claim, check_claim

#: Bytes that one of a list takes as Python's objects, and one of a text: both are held twice.
OBJECTS, TEXT = 12, 4

#: Letters of one line of a list that is read line by line.
LONGEST_LINE = 2**24

#: Bytes that a pixel of a picture takes at the height of reading: as stored, and converted.
PIXEL = 8


def read_text(path: Path, encoding: str = "utf-8", errors: str = "strict") -> str:
    """The text of a file.

    Raises `OSError` for a file that is not there or is a folder, a pipe or a device, `ValueError`
    for one that is no such text, and `ResourceError` for one that memory cannot hold.
    """
    check_text(path, "a text", TEXT)
    return path.read_text(encoding=encoding, errors=errors)


def read_json(path: Path) -> Any:
    """What a JSON file says. Raises as `read_text` does."""
    check_text(path, "a list", OBJECTS)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def kept_text(path: Path) -> str:
    """The text of a file that an earlier run of ours left. Raises `InputError`, `ResourceError`."""
    try:
        return read_text(path)
    except (OSError, ValueError) as error:
        raise _damaged(path) from error


def kept_json(path: Path) -> Any:
    """What a JSON file of an earlier run of ours says. Raises `InputError`, `ResourceError`."""
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} is damaged. Move it away, or name another folder.")


def check_text(path: Path, holds: str, factor: int) -> None:
    """Raise as `read_text` does, where `factor` bytes are taken for each of the file."""
    check_regular(path)
    check_claim(Claim(path, holds, 0, memory=factor * path.stat().st_size))


def check_regular(path: Path) -> None:
    """Raise `OSError` for what is there and is no regular file."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is a folder, a pipe or a device, not a file", str(path))


def lines_of(stream: TextIO) -> Iterator[str]:
    """The lines of a text, one after another; raises `ValueError` for one without an end."""
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise ValueError(f"line {number} has more than {LONGEST_LINE:,} letters")
        yield line


def read_picture(path: Path, mode: str) -> NDArray[np.uint8]:
    """A picture as 8 bits: (rows, columns) for "L", (rows, columns, 3) for "RGB".

    Raises `OSError` or `ValueError` for a file that holds none, and `ResourceError` for one that
    memory cannot hold.
    """
    from PIL import Image

    check_regular(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # held to memory below
            image = Image.open(path)
        with image:
            columns, rows = image.size
            holds = f"a picture of {columns} × {rows}"
            check_claim(Claim(path, holds, 0, memory=PIXEL * rows * columns))
            return np.asarray(image.convert(mode), np.uint8)
    except (SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(str(error)) from error
