"""What Med3DInsight trains on: volumes, and slices of them with their images and captions.

Knows nothing of models. Phantoms caption themselves; captions of other volumes come from a file
that `med2e3 data caption` wrote.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from med2e3.errors import DataError
from med2e3.geometry import Plane
from med2e3.io import load_volume
from med2e3.io.references import below
from med2e3.io.texts import read_picture, read_text
from med2e3.phantoms.slices import PLANE_AXES, SlicedPhantom
from med2e3.preprocessing import prepare
from med2e3.volume import Window

#: The planes in the order of the transformer's table.
PLANES = tuple(PLANE_AXES)

#: A slice is worth a caption where more of it than this is brighter than `DARK`.
FOREGROUND_SHARE, DARK = 0.01, 25

#: What each row of a file of captions must have, and of which type.
COLUMNS = {"volume": str, "plane": str, "slice": int, "slices": int, "png": str, "text": str}


@dataclass(frozen=True)
class Pair:
    """One captioned slice: of which volume, in which plane, which of how many, and its caption."""

    volume: int
    plane: int
    index: int
    count: int
    text: str


@dataclass(frozen=True, eq=False)
class Pairs:
    """Volumes on the encoder's grid (uint8), captioned slices, and where their images come from.

    `images` is None where a slice's image is cut from its volume, else a file a pair.
    """

    volumes: Sequence[NDArray[np.uint8]]
    pairs: tuple[Pair, ...]
    images: tuple[Path, ...] | None = None

    def of_volume(self) -> list[NDArray[np.int64]]:
        """The numbers of the pairs of each volume."""
        owner = np.array([pair.volume for pair in self.pairs])
        return [np.flatnonzero(owner == k) for k in range(len(self.volumes))]

    def image(self, number: int) -> NDArray[np.uint8]:
        """The image of one pair: (rows, columns), or (rows, columns, 3) from a file."""
        pair = self.pairs[number]
        if self.images is None:
            axis = PLANE_AXES[PLANES[pair.plane]]
            return np.asarray(np.take(self.volumes[pair.volume], pair.index, axis=axis))
        return _read_image(self.images[number])


def pairs_of_phantoms(phantoms: Sequence[SlicedPhantom], slices: int, seed: int) -> Pairs:
    """`slices` slices in each plane of every phantom, drawn among those that show something."""
    pairs = []
    for number, phantom in enumerate(phantoms):
        rng = np.random.default_rng([seed, phantom.seed])
        for code, plane in enumerate(PLANES):
            shown = worth_captioning(phantom.grid, plane)
            chosen = rng.choice(shown, min(slices, len(shown)), replace=False)
            count = phantom.grid.shape[PLANE_AXES[plane]]
            pairs += [
                Pair(number, code, int(k), count, phantom.caption(plane, int(k)))
                for k in np.sort(chosen)
            ]
    return Pairs([phantom.grid for phantom in phantoms], tuple(pairs))


def worth_captioning(grid: NDArray[np.uint8], plane: Plane) -> NDArray[np.int64]:
    """Slices of an axial grid (S, H, W) that show more than air."""
    others = tuple(axis for axis in range(3) if axis != PLANE_AXES[plane])
    return np.flatnonzero((grid > DARK).mean(axis=others) > FOREGROUND_SHARE)


def read_pairs(path: Path, shape: tuple[int, int, int], window: Window) -> Pairs:
    """What a file of captions names, with its volumes read and brought onto the grid.

    Paths in it start from its folder. Raises `DataError` for a row that lacks a column or holds
    another type, or an image or volume that is not there, or a file without captions.
    """
    rows = list(_rows(path))
    if not rows:
        raise DataError(
            f"{path} holds no caption. Write one with med2e3 data caption, whose rejected captions "
            "are no rows of it."
        )
    names = list(dict.fromkeys(row["volume"] for row in rows))
    volumes = [_read_volume(path, name, shape, window) for name in names]
    pairs = tuple(
        Pair(
            names.index(row["volume"]), PLANES.index(Plane(row["plane"])), row["slice"],
            row["slices"], row["text"],
        )
        for row in rows
    )  # fmt: skip
    return Pairs(volumes, pairs, tuple(path.parent / row["png"] for row in rows))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError) as error:
        raise DataError(
            f"The captions {path} cannot be read ({error}). Name a file that med2e3 data caption "
            "wrote."
        ) from error
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{path}, line {number} is not JSON ({error}). Delete the line."
            ) from error
        check_row(row, path, number)
        yield row


def check_row(row: Any, path: Path, number: int) -> None:
    """Raises `DataError`, naming the line, for a row that is no captioned slice."""
    where = f"{path}, line {number}"
    if not isinstance(row, dict):
        raise DataError(f"{where} is no JSON object. Each line is a slice with its caption.")
    for name, kind in COLUMNS.items():
        if type(row.get(name)) is not kind:
            said = "lacks" if name not in row else f"has {name} = {row[name]!r} in place of"
            what = "text" if kind is str else "a whole number"
            raise DataError(f"{where} {said} “{name}”, {what}. Caption its volume again.")
    if row["plane"] not in {plane.value for plane in PLANES}:
        raise DataError(f"{where} names the plane “{row['plane']}”, which there is not.")
    if not 0 <= row["slice"] < row["slices"]:
        raise DataError(
            f"{where} names slice {row['slice']} of {row['slices']}; slices count from 0."
        )
    if not row["text"].strip():
        raise DataError(f"{where} has an empty caption. Delete the line.")
    image = below(path.parent, row["png"])
    if image is None or not image.is_file():
        raise DataError(
            f"{where} names the image {row['png']}, which is not in {path.parent}. Put it back, or "
            "caption its volume again."
        )


def _read_volume(
    path: Path, name: str, shape: tuple[int, int, int], window: Window
) -> NDArray[np.uint8]:
    place = path.parent / name
    if not place.exists():
        raise DataError(
            f"{path} names the volume {name}, which is not in {path.parent}. Put it back, or "
            "delete its lines."
        )
    read = prepare(load_volume(place), shape, plane=Plane.AXIAL, window=window, crop=False)
    return np.asarray((read.grid[0] * 255).round().numpy(), np.uint8)


def _read_image(path: Path) -> NDArray[np.uint8]:
    try:
        return read_picture(path, "RGB")
    except (OSError, ValueError) as error:
        raise DataError(f"The image {path} cannot be read ({error}).") from error


def shuffled(pairs: Pairs, share: float, seed: int) -> NDArray[np.int64]:
    """For each pair, whose caption it gets: its own, or for this share that of another volume.

    The same seed gives the same; a larger share keeps what a smaller one has made wrong.
    """
    count = len(pairs.pairs)
    rng = np.random.default_rng([seed, 7919])
    order, donors = rng.permutation(count), rng.permutation(count)
    taken = np.arange(count)
    owner = np.array([pair.volume for pair in pairs.pairs])
    for number in order[: round(share * count)]:
        others = donors[owner[donors] != owner[number]]
        if len(others):
            taken[number] = others[int(rng.integers(len(others)))]
    return taken
