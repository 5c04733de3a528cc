"""Where a plane lies in a volume: the view and slice that show it, and its SOP instances.

Slices count from 1 in display order, as in the window. Knows no views.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from med2e3.geometry import Plane
from med2e3.measures import Point, SlicePlane
from med2e3.volume import Volume


@dataclass(frozen=True)
class Location:
    """A display slice of `plane`, one of `count`; `plane` None: an oblique plane."""

    plane: Plane | None
    slice_index: int = 0
    count: int = 0

    @property
    def text(self) -> str:
        """The slice in words, e.g. "axial 87/112"."""
        if self.plane is None:
            return "oblique"
        return f"{self.plane.value} {self.slice_index + 1}/{self.count}"


def locate(volume: Volume, plane: SlicePlane) -> Location:
    """The display slice nearest to a plane."""
    for name in Plane:
        grid = volume.geometry.oriented(name)
        if SlicePlane.of_slice(grid, 0).is_parallel(plane):
            index = round(float(grid.to_index(plane.origin_mm)[0]))
            return Location(name, min(max(index, 0), grid.shape[0] - 1), grid.shape[0])
    return Location(None)


def instances(volume: Volume, points_mm: tuple[Point, ...]) -> tuple[str, ...]:
    """SOP Instance UIDs of the stored slices that some points reach over, in stored order.

    One on a stored slice; all between the outermost points on a plane across them; none where the
    volume has none.
    """
    if not volume.slice_uids:
        return ()
    along = volume.geometry.to_index(np.asarray(points_mm, dtype=np.float64))[:, 0]
    last = len(volume.slice_uids) - 1
    first, end = (min(max(round(float(k)), 0), last) for k in (along.min(), along.max()))
    return tuple(dict.fromkeys(volume.slice_uids[first : end + 1]))
