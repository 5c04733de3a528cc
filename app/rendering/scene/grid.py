"""The grid that the 3D view renders: a volume turned to the patient, coarser where it is too large.

Knows no VTK. Its axes run R→L, A→P and I→S, so that the grid is right-handed however the volume
was stored.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d

from med2e3.errors import Cancelled
from med2e3.geometry import Plane
from med2e3.volume import Volume

Voxels = NDArray[np.int16] | NDArray[np.float32]

#: Voxels that are rendered at most. Each costs 2 bytes and 3 more for the light: 160 MB in all; a
#: chest of 400 × 512² then keeps every second row and column, finer than a screen shows it.
MAX_VOXELS = 2**25

#: Weights that let the light on a surface change over two voxels instead of one.
SMOOTHING = (0.25, 0.5, 0.25)


@dataclass(frozen=True, eq=False)
class SceneGrid:
    """`voxels` (I→S, A→P, R→L), contiguous; `affine_lps` (4, 4) takes (x, y, z, 1) index to mm."""

    voxels: Voxels
    affine_lps: NDArray[np.float64]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of voxel centres along R→L, A→P and I→S."""
        x, y, z = np.linalg.norm(self.affine_lps[:3, :3], axis=0)
        return float(x), float(y), float(z)


def grid_of(
    volume: Volume, cancelled: Callable[[], bool] = lambda: False, most: int = MAX_VOXELS
) -> SceneGrid:
    """The grid of a volume, of at most `most` voxels. Raises `Cancelled`."""
    turned = volume.in_plane(Plane.AXIAL)
    voxels = turned.voxels[::-1]
    steps = steps_for(voxels.shape, turned.geometry.spacing_mm, most)
    columns = turned.geometry.affine_lps[:3, :3] * (-1, 1, 1)
    origin = turned.geometry.to_patient_mm((turned.shape[0] - 1, 0, 0))
    # A block of voxels lies where their middle is.
    origin = origin + columns @ ((np.asarray(steps) - 1) / 2)
    affine = np.eye(4)
    affine[:3, :3] = (columns * steps)[:, ::-1]
    affine[:3, 3] = origin
    return SceneGrid(_blocks(voxels, steps, cancelled), affine)


def smoothed(grid: SceneGrid) -> SceneGrid:
    """Every voxel averaged with its neighbours, 1 : 2 : 1 along each axis; the outside repeats."""
    voxels = grid.voxels
    for axis in range(3):
        voxels = cast(Voxels, convolve1d(voxels, SMOOTHING, axis, voxels.dtype, mode="nearest"))
    return SceneGrid(voxels, grid.affine_lps)


def steps_for(
    shape: tuple[int, ...], spacing_mm: tuple[float, ...], most: int
) -> tuple[int, int, int]:
    """Voxels averaged along each axis: doubled where the grid is finest, until it is small."""
    steps = [1, 1, 1]
    while math.prod(n // s for n, s in zip(shape, steps, strict=True)) > most:
        finest = min(range(3), key=lambda k: spacing_mm[k] * steps[k])
        steps[finest] += 1
    return steps[0], steps[1], steps[2]


def _blocks(voxels: Voxels, steps: tuple[int, int, int], cancelled: Callable[[], bool]) -> Voxels:
    """Means over blocks; what does not fill a block at the far end is left out."""
    if steps == (1, 1, 1):
        return cast(Voxels, np.ascontiguousarray(voxels))
    deep, high, wide = steps
    slices, rows, columns = (n // s for n, s in zip(voxels.shape, steps, strict=True))
    result: Voxels = np.empty_like(voxels, shape=(slices, rows, columns))
    for k in range(slices):
        if cancelled():
            raise Cancelled("The 3D view was closed.")
        slab = voxels[k * deep : (k + 1) * deep, : rows * high, : columns * wide]
        mean = slab.mean(axis=0, dtype=np.float32)
        blocks = mean.reshape(rows, high, columns, wide)
        result[k] = blocks.mean(axis=(1, 3))
    return result
