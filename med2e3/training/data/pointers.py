"""Where a sample's finding lies, as a list states it: slices, boxes or a mask of its volume's file.

All three count voxels of the file that the list names, from 0, whatever it was prepared from: its
first axis are the slices, in the plane in which it was prepared. Knows nothing of lists or losses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from med2e3.errors import DataError
from med2e3.evaluation.reference import mask_on_grid
from med2e3.preprocessing import foreground
from med2e3.training.data.samples import FLOATS, check_room, read_array

#: What a row may state: as a JSON list has it, and with a capital as a CSV file's column has it.
SLICES, BOXES, MASK = "slices", "boxes", "mask"

#: Numbers of a box: its first slice, row and column, and its last ones, which belong to it.
BOX_NUMBERS = 6

_SPAN = re.compile(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?")

Span = tuple[int, int]
Box = tuple[int, ...]


@dataclass(frozen=True)
class Pointer:
    """Where something lies in a volume's file; all that is stated counts.

    `slices` are first and last ones. A box is the first slice, row and column and the last slice,
    row and column. `mask` is a .npy file of the volume's shape, in which what is not 0 belongs to
    the finding.
    """

    slices: tuple[Span, ...] = ()
    boxes: tuple[Box, ...] = ()
    mask: Path | None = None


def read_pointer(
    fields: Mapping[str, Any], where: str, place: Callable[[str], Path]
) -> Pointer | None:
    """What a row states, under its names of JSON or CSV; None where it states nothing.

    `place` makes a path of a file's name. Raises `DataError` for what cannot be understood.
    """
    said = {name: _stated(fields, name) for name in (SLICES, BOXES, MASK)}
    if all(value is None for value in said.values()):
        return None
    mask = said[MASK]
    if mask is not None and not isinstance(mask, str):
        raise DataError(f"{where}: “{MASK}” is {mask!r}; it must name one .npy file.")
    return Pointer(
        _spans(said[SLICES], where),
        _boxes(said[BOXES], where),
        None if mask is None else place(mask),
    )


def held_slices(
    pointer: Pointer, image: Path, grid_shape: Sequence[int], where: str
) -> Tensor:  # fmt: skip
    """(S,) bool: the model's slices that hold it, after the volume's own crop and resize.

    A slice holds what takes the same share of it as a phantom's finding needs. Raises `DataError`
    where the volume has no such slices, or the mask is not of its shape.
    """
    volume = _three_axes(read_array(image, where), image, where)
    check_room(image, where, volume.shape, FLOATS)
    start, shape = foreground(volume, 0.0, f"{where}: no voxel of {image} is above 0")
    stated = np.zeros(volume.shape[0], bool)
    for first, last in pointer.slices:
        _check_inside("slices", (first, last), volume.shape[:1] * 2, image, where)
        stated[first : last + 1] = True
    for box in pointer.boxes:
        _check_inside("boxes", box, volume.shape * 2, image, where)
        stated[box[0] : box[3] + 1] = True
    depth = grid_shape[0]
    held = np.zeros(depth, bool)
    for run in _runs(stated):
        column = run[:, None, None]
        held |= mask_on_grid(column, (start[0], 0, 0), (shape[0], 1, 1), (depth, 1, 1))[:, 0, 0]
    if pointer.mask is not None:
        mask = _read_mask(pointer.mask, volume.shape, image, where)
        for run in _runs(np.asarray(mask.any(axis=(1, 2)))):
            part = mask & run[:, None, None]
            held |= mask_on_grid(part, start, shape, tuple(grid_shape)).any(axis=(1, 2))
    return torch.from_numpy(held)


def _runs(stated: NDArray[np.bool_]) -> Iterator[NDArray[np.bool_]]:
    """Neighbouring slices together, each run by itself: a thin one is not lost beside a thick."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], stated, [False]]).astype(np.int8)))
    for first, end in edges.reshape(-1, 2):
        run = np.zeros_like(stated)
        run[first:end] = True
        yield run


def _stated(fields: Mapping[str, Any], name: str) -> Any:
    """A field by its name, in small letters or with a capital; None where it is absent or empty."""
    value = fields.get(name, fields.get(name.capitalize()))
    if isinstance(value, str):
        value = value.strip() or None
    return None if value == [] else value


def _spans(value: Any, where: str) -> tuple[Span, ...]:
    """Numbers in a list, or text of numbers and spans: "3-7, 12"."""
    if value is None:
        return ()
    if isinstance(value, list) and all(type(number) is int and number >= 0 for number in value):
        return tuple((number, number) for number in value)
    found = []
    for part in value.split(",") if isinstance(value, str) else [""]:
        match = _SPAN.fullmatch(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first:
            raise DataError(
                f"{where}: “{SLICES}” is {value!r}. It must be slices of the volume's file, "
                "counted from 0, as in [3, 4, 12], or as in “3-7, 12”."
            )
        found.append((first, last))
    return tuple(found)


def _boxes(value: Any, where: str) -> tuple[Box, ...]:
    """Lists of six numbers; in text as "3 20 20 7 40 40", one after a semicolon for each more."""
    if value is None:
        return ()
    boxes: list[Any] = []
    if isinstance(value, str):
        try:
            boxes = json.loads(value) if value.startswith("[") else [
                [int(number) for number in part.replace(",", " ").split()]
                for part in value.split(";")
            ]  # fmt: skip
        except ValueError:
            boxes = [None]
    elif isinstance(value, list):
        boxes = value
    if boxes and type(boxes[0]) is int:
        boxes = [boxes]
    if not boxes or not all(map(_is_box, boxes)):
        raise DataError(
            f"{where}: “{BOXES}” is {value!r}. A box is six voxels counted from 0: its first "
            "slice, row and column, then its last ones, which are no smaller; as in "
            "[[3, 20, 20, 7, 40, 40]], or as in “3 20 20 7 40 40; 9 5 5 9 8 8”."
        )
    return tuple(tuple(box) for box in boxes)


def _is_box(box: Any) -> bool:
    if not isinstance(box, list) or len(box) != BOX_NUMBERS:
        return False
    if not all(type(number) is int for number in box):
        return False
    return all(0 <= first <= last for first, last in zip(box[:3], box[3:], strict=True))


def _check_inside(
    name: str, numbers: Sequence[int], sizes: Sequence[int], image: Path, where: str
) -> None:  # fmt: skip
    if any(number >= size for number, size in zip(numbers, sizes, strict=True)):
        size = " × ".join(str(n) for n in sizes[: len(sizes) // 2])
        what = "slices" if len(sizes) == 2 else "voxels (slices, rows, columns)"
        raise DataError(
            f"{where}: “{name}” names {', '.join(map(str, numbers))}, and {image} has {size} "
            f"{what}, counted from 0."
        )


def _three_axes(array: NDArray[Any], path: Path, where: str) -> NDArray[Any]:
    """(S, H, W) of an array that may have a leading axis of 1."""
    if array.ndim == 4 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 3:
        raise DataError(
            f"{where}: {path} has the shape {array.shape}, which is not slices, rows, columns."
        )
    return array


def _read_mask(
    path: Path, shape: Sequence[int], image: Path, where: str
) -> NDArray[np.bool_]:  # fmt: skip
    array = _three_axes(read_array(path, where), path, where)
    if array.shape != tuple(shape):
        raise DataError(
            f"{where}: the mask {path} is {' × '.join(map(str, array.shape))} voxels, and its "
            f"volume {image} is {' × '.join(map(str, shape))}. Make it on the volume's grid."
        )
    check_room(path, where, array.shape, FLOATS)
    mask: NDArray[np.bool_] = np.asarray(array) != 0
    if not mask.any():
        raise DataError(
            f"{where}: the mask {path} is empty. Leave the mask out where there is no finding."
        )
    return mask
