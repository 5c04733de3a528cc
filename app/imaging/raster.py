"""Where a picture of a volume is sampled, and how its voxels lie in memory.

A raster is a grid of samples at any angle; a slab is a raster of several layers. A memory index
counts voxels along the axes of the array in memory, slowest first, with whole numbers at voxel
centres. A sample belongs to the volume up to the outer edges of its outermost voxels; between the
outermost centres and those edges the outermost values hold. Knows no planes and no windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from app.imaging.slab import Mode
from app.imaging.slice_reader import Image
from app.imaging.windows import is_ct
from med2e3.volume import AIR_HU, Volume

Float = NDArray[np.float64]

#: Voxels that a sample may lie beyond an outer edge and still count as inside: affines are rounded.
EDGE_TOLERANCE = 1e-6


def _no_step() -> Float:
    return np.zeros(3)


@dataclass(frozen=True, eq=False)
class Raster:
    """Samples in LPS mm: `layers` layers of `shape` (rows, columns), evenly spaced.

    `origin_mm` (3,) is the first sample of the middle of the layers; the steps (3,) lead to the
    next row, column and layer.
    """

    origin_mm: Float
    row_step_mm: Float
    column_step_mm: Float
    shape: tuple[int, int]
    layers: int = 1
    layer_step_mm: Float = field(default_factory=_no_step)


@dataclass(frozen=True, eq=False)
class IndexRaster:
    """A raster in memory index: as `Raster`, with (3,) voxels in place of mm."""

    origin: Float
    row_step: Float
    column_step: Float
    shape: tuple[int, int]
    layers: int
    layer_step: Float

    @property
    def layer_offsets(self) -> Float:
        """(layers, 3) voxels from the middle of the layers to each."""
        return np.outer(np.arange(self.layers) - (self.layers - 1) / 2, self.layer_step)

    @property
    def transposed(self) -> IndexRaster:
        """The same samples with rows and columns exchanged."""
        return replace(
            self, row_step=self.column_step, column_step=self.row_step, shape=self.shape[::-1]
        )

    def strips(self, most_samples: int) -> Iterator[slice]:
        """Rows in strips of at most so many samples of all layers, but of at least one row."""
        rows, columns = self.shape
        height = max(1, most_samples // (columns * self.layers))
        return (slice(first, min(first + height, rows)) for first in range(0, rows, height))


class StoredVoxels:
    """The voxels of a volume as a C-contiguous array, and the way into it from LPS mm.

    The array shares the volume's memory, so that voxels which change in place are seen; a volume
    that skips or repeats memory is copied. `outside` is the value beyond the volume.
    """

    def __init__(self, volume: Volume) -> None:
        strides = volume.voxels.strides
        order = [int(k) for k in np.argsort([-abs(s) for s in strides], kind="stable")]
        flips = [strides[k] < 0 for k in order]
        turned = volume.voxels.transpose(order)[
            tuple(slice(None, None, -1 if flip else 1) for flip in flips)
        ]
        self.array = cast("Image", np.ascontiguousarray(turned))
        self.outside = float(AIR_HU if is_ct(volume) else 0)
        #: The axis of the array along which voxels are thickest.
        self.thickest_axis = int(np.argmax([volume.geometry.spacing_mm[k] for k in order]))
        self._index_of_mm = _memory_index_of_mm(volume, order, flips)

    def to_index(self, raster: Raster) -> IndexRaster:
        """The raster in memory index."""
        turn, shift = self._index_of_mm[:3, :3], self._index_of_mm[:3, 3]
        return IndexRaster(
            turn @ raster.origin_mm + shift,
            turn @ raster.row_step_mm,
            turn @ raster.column_step_mm,
            raster.shape,
            raster.layers,
            turn @ raster.layer_step_mm,
        )


class Reslice(Protocol):
    """Reads exact pictures: linear between voxels in all three directions."""

    def __call__(
        self, voxels: StoredVoxels, raster: IndexRaster, mode: Mode, stopped: Callable[[], bool]
    ) -> Image:
        """(rows, columns) in the voxels' type: the layers inside the volume, combined.

        `voxels.outside` where no layer meets the volume. `stopped` is asked before each strip of
        rows; where it says so, `Cancelled` is raised. Called on any thread.
        """
        ...


def _memory_index_of_mm(volume: Volume, order: list[int], flips: list[bool]) -> Float:
    """(4, 4) from LPS mm to the memory index of axes in this order, some of them reversed."""
    inverse = volume.geometry.inverse[[*order, 3]].copy()
    for axis, flip in enumerate(flips):
        if flip:
            inverse[axis] *= -1
            inverse[axis, 3] += volume.voxels.shape[order[axis]] - 1
    return inverse
