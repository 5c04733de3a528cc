"""Parallel lines of samples through a grid, in memory index, and where they meet it.

Knows no values and no mm. A grid reaches to the outer edges of its outermost voxels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.imaging.raster import EDGE_TOLERANCE, Float, IndexRaster


@dataclass(frozen=True, eq=False)
class Lines:
    """`starts` (n, 3): the index of each line's first sample; `step` (3,): between two samples."""

    starts: Float
    step: Float

    @staticmethod
    def of(raster: IndexRaster) -> Lines:
        """A line for each row of a raster, in the middle of its layers."""
        rows = np.arange(raster.shape[0], dtype=np.float64)
        return Lines(raster.origin + np.outer(rows, raster.row_step), raster.column_step)

    def spans(self, shape: tuple[int, ...]) -> tuple[Float, Float]:
        """(n,) first and last sample of each line inside a grid of that shape, in fractions.

        Where first > last the line meets nothing.
        """
        low, high = np.full(len(self.starts), -np.inf), np.full(len(self.starts), np.inf)
        for axis, count in enumerate(shape):
            edges = np.array([-0.5 - EDGE_TOLERANCE, count - 0.5 + EDGE_TOLERANCE])
            edges = edges - self.starts[:, axis, None]
            if abs(self.step[axis]) < 1e-12:
                low[(edges[:, 0] > 0) | (edges[:, 1] < 0)] = np.inf
                continue
            ends = np.sort(edges / self.step[axis], axis=1)
            np.maximum(low, ends[:, 0], out=low)
            np.minimum(high, ends[:, 1], out=high)
        return low, high

    def moved(self, offset: Float) -> Lines:
        """The same lines, `offset` (3,) away."""
        return Lines(self.starts + offset, self.step)


def columns_of(low: Float, high: Float, columns: int) -> tuple[int, int]:
    """The first sample and the end of what any of these spans touches; (0, 0) for nothing."""
    met = (low <= high) & (high >= 0) & (low <= columns - 1)
    if not met.any():
        return 0, 0
    first = int(np.ceil(max(low[met].min(), 0.0)))
    end = int(np.floor(min(high[met].max(), columns - 1.0))) + 1
    return (first, end) if first < end else (0, 0)
