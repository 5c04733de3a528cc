"""A contact sheet of phantoms: slices of three planes, simple bodies beside detailed ones.

    python -m med2e3.phantoms.sheet SHEET.png [FIRST_SEED]

Each phantom is a row of three slices for each kind of body, chests in lung, soft tissue and bone
windows in turn. Pillow is imported when a sheet is written.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom

from med2e3.geometry import Plane
from med2e3.phantoms.anatomy import PHASES, Region
from med2e3.phantoms.phantom import BODIES, Wish, make_phantom
from med2e3.volume import WINDOWS, Volume, Window

#: Phantoms of a sheet, the side of a tile and the line between tiles in pixels.
ROWS, TILE, LINE = 12, 118, 2

#: Grey levels are kept in steps of this, for a smaller file.
GREYS = 4

#: Grid of the phantoms of a sheet.
SHAPE = (64, 160, 160)

FIRST_SEED = 18_000_000

Grey = NDArray[np.uint8]


def tiles(volume: Volume, window: Window, side: int = TILE) -> list[Grey]:
    """The middle axial, coronal and sagittal slices of an axial volume, as squares."""
    voxels = volume.voxels.astype(np.float32)
    sz, sy, sx = volume.geometry.spacing_mm
    z, y, x = (n // 2 for n in voxels.shape)
    largest = max(n * s for n, s in zip(voxels.shape, (sz, sy, sx), strict=True))
    made = []
    for slice_, steps in (
        (voxels[z], (sy, sx)), (voxels[:, y], (sz, sx)), (voxels[:, :, x], (sz, sy)),
    ):  # fmt: skip
        scale = [step * side / largest for step in steps]
        grey = np.clip((slice_ - window.low) / window.width, 0, 1) * 255
        small = np.clip(zoom(grey, scale, order=1), 0, 255).astype(np.uint8)
        square = np.zeros((side, side), np.uint8)
        h, w = (min(n, side) for n in small.shape)
        top, left = (side - h) // 2, (side - w) // 2
        square[top : top + h, left : left + w] = small[:h, :w]
        made.append(square)
    return made


def sheet(rows: Sequence[Sequence[Grey]]) -> Grey:
    """Rows of tiles as one picture with lines between them."""
    height, width = rows[0][0].shape
    size = (len(rows) * (height + LINE), len(rows[0]) * (width + LINE))
    picture = np.full(size, 60, np.uint8)
    for r, row in enumerate(rows):
        for c, tile in enumerate(row):
            top, left = r * (height + LINE), c * (width + LINE)
            picture[top : top + height, left : left + width] = tile
    return picture


def phantom_rows(first: int = FIRST_SEED, count: int = ROWS) -> list[list[Grey]]:
    """One row a seed: three slices of each kind of body, chest and abdomen in turn."""
    rows = []
    for k in range(count):
        region = tuple(Region)[k % 2]
        names = ("lung", "soft tissue", "bone") if region is Region.CHEST else ("soft tissue",)
        window = WINDOWS[names[(k // 2) % len(names)]]
        wish = Wish(Plane.AXIAL, PHASES[k % 4], region, shape=SHAPE)
        row: list[Grey] = []
        for body in BODIES:
            row += tiles(make_phantom(first + k, wish, body=body).volume, window)
        rows.append(row)
    return rows


def main(arguments: Sequence[str]) -> None:
    """Writes the sheet."""
    from PIL import Image

    first = int(arguments[1]) if len(arguments) > 1 else FIRST_SEED
    picture = sheet(phantom_rows(first)) // GREYS * GREYS
    Image.fromarray(picture).save(Path(arguments[0]), optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
