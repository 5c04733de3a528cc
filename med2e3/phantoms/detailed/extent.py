"""How long a finding is: its longest extent in mm, measured from its mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

#: Directions along which the outermost voxels are looked for before the hull is made.
MOST_POINTS = 4000


def longest_mm(mask: NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> float:
    """The distance of the two voxels of the mask that lie farthest apart, and one pixel.

    A voxel is taken as its middle; the pixel (the shortest side of a voxel) is the breadth that the
    two at the ends have. `spacing_mm` belongs to the axes of the mask. 0 for an empty mask.
    """
    points = _ends_of_rows(mask) * np.asarray(spacing_mm)
    if not len(points):
        return 0.0
    if len(points) > 12:
        try:
            points = points[ConvexHull(points).vertices]
        except QhullError:  # all in one plane, or on one line
            points = points[:MOST_POINTS]
    farthest = float(pdist(points).max()) if len(points) > 1 else 0.0
    return farthest + min(spacing_mm)


def _ends_of_rows(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(N, 3): the first and last voxel of every row along the last axis that has any."""
    k, j = np.nonzero(mask.any(axis=2))
    rows = mask[k, j]
    first = rows.argmax(axis=1)
    last = mask.shape[2] - 1 - rows[:, ::-1].argmax(axis=1)
    ends = [np.stack([k, j, first], axis=1), np.stack([k, j, last], axis=1)]
    return np.concatenate(ends).astype(float)
