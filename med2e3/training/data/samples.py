"""One training sample before its volume is read, and the volume's own file.

Knows nothing of lists, models or tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from med2e3.errors import DataError, PreprocessingError
from med2e3.io.bounds import Claim, check_claim
from med2e3.io.texts import check_regular
from med2e3.preprocessing import published

#: Bytes of a voxel while a volume is prepared: as float32, and once more where it is cropped.
FLOATS = 8


@dataclass(frozen=True)
class Sample:
    """A volume and a conversation about it; every question has its answer.

    `question` is what the slice scores are asked with. `where` names file and row. `spaced` says
    that it is of M3D-VQA, which M3D-LaMed learns after a space. `region` is a mask to ask about, in
    place of image and turns, which follow from it once it is read. `pointer` says where in the
    volume's file lies what `question` asks about (`pointers.Pointer`), where the list does.
    """

    image: Path
    turns: tuple[tuple[str, str], ...]
    question: str
    where: str
    spaced: bool = False
    region: Any = None
    pointer: Any = None


def read_array(path: Path, where: str) -> NDArray[np.generic]:
    """The array in a .npy file, mapped; raises `DataError` when it is missing or damaged."""
    try:
        check_regular(path)
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise DataError(f"{where}: {path} is not there.") from error
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{where}: {path} is truncated, or no .npy file ({error}).") from error
    if not isinstance(array, np.ndarray):
        raise DataError(f"{where}: {path} is an archive of arrays; one array is needed.")
    return array


def check_room(path: Path, where: str, shape: Sequence[int], voxel_bytes: int) -> None:
    """Raise `ResourceError` where an array of `shape` takes more memory than is free.

    `voxel_bytes` are those of one voxel at the height of reading.
    """
    holds = f"an array of {' × '.join(map(str, shape))}"
    check_claim(Claim(f"{where}: {path}", holds, 0, memory=math.prod(shape) * voxel_bytes))


def read_volume(path: Path, grid_shape: Sequence[int], where: str) -> torch.Tensor:
    """A prepared .npy, 0..1 → (1, *grid_shape) float32, cropped and resized as published.

    Raises `DataError` when it is missing, damaged, empty, or plainly not 0..1.
    """
    array = read_array(path, where)
    check_room(path, where, array.shape, FLOATS)
    try:
        grid = published(np.array(array, np.float32), grid_shape, rescale=False)
    except (PreprocessingError, TypeError) as error:
        raise DataError(f"{where}: {path}: {error}") from error
    low, high = float(grid.min()), float(grid.max())
    if not (low >= 0 and high <= 1):
        raise DataError(
            f"{where}: {path} holds values from {low:g} to {high:g}; prepared volumes are 0..1. "
            "Prepare it first: med2e3 data prepare."
        )
    return grid
