"""Lengths, angles and areas in patient space, the planes they lie in, and the volume of a mask.

Points are LPS mm, so spacing, tilt and flips are in them already: nothing here is in pixels. Knows
nothing of screens, intensities or files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from med2e3.errors import GeometryError
from med2e3.geometry import Float, Geometry

Point = tuple[float, float, float]

#: Two directions count as parallel up to this angle: rounding of cosines written with six digits
#: is a thousand times less, and over 500 mm it moves a point by less than a tenth of a mm.
PARALLEL_DEGREES = 0.01


@dataclass(frozen=True)
class SlicePlane:
    """A slice's plane: a point of it, two perpendicular unit vectors in LPS, and its thickness.

    `right` and `down` are the sides of the screen on which it was looked at. `thickness_mm` is the
    distance between neighbouring slices along the normal, not the thickness a scanner collimated.
    """

    origin_mm: Point
    right: Point
    down: Point
    thickness_mm: float

    def __post_init__(self) -> None:
        right, down = np.asarray(self.right), np.asarray(self.down)
        axes = np.array([right @ right - 1, down @ down - 1, right @ down])
        numbers = (*self.origin_mm, *axes, self.thickness_mm)
        if not all(math.isfinite(n) for n in numbers) or np.abs(axes).max() > 1e-6:
            raise GeometryError(
                f"The axes {self.right} and {self.down} of a slice plane are not perpendicular "
                "unit vectors. The file that they come from is damaged."
            )
        if self.thickness_mm <= 0:
            raise GeometryError(f"A slice plane of {self.thickness_mm} mm: it must be above 0.")

    @classmethod
    def of_slice(cls, geometry: Geometry, slice_index: float) -> SlicePlane:
        """The plane of a slice of `geometry`, whose columns run right and rows down.

        On a sheared grid `down` is the direction perpendicular to the columns within the slice.
        """
        _, row, column = geometry.directions.T
        normal = np.cross(column, row)
        normal /= np.linalg.norm(normal)
        thickness = abs(float(normal @ geometry.affine_lps[:3, 0]))
        return cls(
            point(geometry.to_patient_mm((slice_index, 0.0, 0.0))),
            point(column),
            point(np.cross(normal, column)),
            thickness,
        )

    @property
    def normal(self) -> Float:
        """The unit vector away from the viewer."""
        return np.cross(self.right, self.down)

    def to_plane(self, points_mm: Float | Sequence[Any]) -> Float:
        """(..., 3) LPS mm → (..., 2) mm along `right` and `down` from the origin."""
        offsets = np.asarray(points_mm, dtype=np.float64) - self.origin_mm
        return np.asarray(offsets @ np.column_stack([self.right, self.down]))

    def to_patient_mm(self, points: Float | Sequence[Any]) -> Float:
        """(..., 2) mm along `right` and `down` → (..., 3) LPS mm."""
        axes = np.vstack([self.right, self.down])
        return np.asarray(np.asarray(points, dtype=np.float64) @ axes + self.origin_mm)

    def distance_mm(self, points_mm: Float | Sequence[Any]) -> Float:
        """(..., 3) LPS mm → (...) distances from the plane, positive away from the viewer."""
        offsets = np.asarray(points_mm, dtype=np.float64) - self.origin_mm
        return np.asarray(offsets @ self.normal)

    def is_parallel(self, other: SlicePlane) -> bool:
        """Whether the two planes never meet, up to `PARALLEL_DEGREES`."""
        across = float(np.linalg.norm(np.cross(self.normal, other.normal)))
        return across < math.sin(math.radians(PARALLEL_DEGREES))


def point(values: Float | Sequence[float]) -> Point:
    """Three plain numbers."""
    x, y, z = (float(v) for v in values)
    return x, y, z


def length_mm(a_mm: Sequence[float], b_mm: Sequence[float]) -> float:
    """Distance of two points."""
    return math.dist(a_mm, b_mm)


def angle_degrees(arm_mm: Sequence[float], vertex_mm: Sequence[float], other_mm: Point) -> float:
    """Angle at `vertex_mm` between the two arms, 0 to 180; NaN where an arm has no length."""
    vertex = np.asarray(vertex_mm)
    return _between(np.asarray(arm_mm) - vertex, np.asarray(other_mm) - vertex)


def cobb_degrees(first: Sequence[Point], second: Sequence[Point]) -> float:
    """Angle between two lines, each given by two points, 0 to 90; NaN for a line of no length.

    Lines have no direction: which end was drawn first does not matter. A curve above 90° shows as
    its supplement.
    """
    angle = _between(
        np.subtract(first[1], first[0]).astype(float), np.subtract(second[1], second[0])
    )
    return min(angle, 180.0 - angle)


def _between(a: Float, b: Float) -> float:
    # The arc tangent is exact for small angles, where the arc cosine loses half of its digits.
    across = float(np.linalg.norm(np.cross(a, b)))
    along = float(a @ b)
    return math.degrees(math.atan2(across, along)) if across or along else math.nan


def polygon_area(points: Float) -> float:
    """Area of a closed outline (n, 2) that does not cross itself, in the square of its unit."""
    x, y = points.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def crosses_itself(points: Float) -> bool:
    """Whether two sides of a closed outline (n, 2) cross each other."""
    a, b = points, np.roll(points, -1, axis=0)
    side = b - a
    # (k, m): on which side of line k the ends of side m lie.
    at_start = _cross(side[:, None], a[None] - a[:, None])
    at_end = _cross(side[:, None], b[None] - a[:, None])
    parted = at_start * at_end < 0
    return bool((parted & parted.T).any())


def _cross(u: Float, v: Float) -> Float:
    return np.asarray(u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0])


def mask_volume_ml(mask: NDArray[Any], geometry: Geometry) -> float:
    """Volume of the voxels of `mask` (slice, row, column) that are not 0, in millilitres.

    Voxels count whole: number × volume of a voxel. Raises `GeometryError` where mask
    and grid differ in shape.
    """
    _check_grid(mask, geometry)
    return int(np.count_nonzero(mask)) * geometry.voxel_ml


def _check_grid(mask: NDArray[Any], geometry: Geometry) -> None:
    if tuple(mask.shape) != geometry.shape:
        raise GeometryError(
            f"The mask has shape {tuple(mask.shape)}, the volume {geometry.shape}. A mask is "
            "measured on its own grid; bring both onto one grid first."
        )


@dataclass(frozen=True)
class LongestAxes:
    """The longest diameter of a region in any direction, and its longest perpendicular, in mm.

    `first` and `second` (LPS mm) are the ends of the longest diameter. The perpendicular is the
    longest distance of two points of the region across that diameter: what is left of their
    distance without its part along it.
    """

    long_mm: float
    short_mm: float
    first: Point
    second: Point


#: Most points of which every pair is compared; a convex hull of more is thinned to these.
MOST_POINTS = 3000


def longest_axes(mask: NDArray[Any], geometry: Geometry) -> LongestAxes | None:
    """The longest diameters of the voxels of `mask` (slice, row, column) that are not 0.

    Measured between the middles of the outer faces of voxels: a row of n voxels is n spacings
    long. None where no voxel is in the mask. Raises `GeometryError` where mask and grid differ in
    shape.
    """
    _check_grid(mask, geometry)
    from scipy.spatial import distance  # here: half a second that most who measure do not need

    there = mask != 0
    if not there.any():
        return None
    points = _corners_of_hull(geometry.to_patient_mm(_faces(there)))
    apart = distance.cdist(points, points)
    i, j = np.unravel_index(int(apart.argmax()), apart.shape)
    along = (points[j] - points[i]) / apart[i, j]
    across = points - (points @ along)[:, None] * along
    wide = float(distance.cdist(across, across).max())
    return LongestAxes(float(apart[i, j]), wide, point(points[i]), point(points[j]))


def _faces(there: NDArray[np.bool_]) -> Float:
    """The middles (n, 3) of the faces at the ends of each line of voxels, as fractional indices."""
    found = []
    for axis in range(3):
        lines = np.moveaxis(there, axis, 0)
        full = np.argwhere(lines.any(axis=0))
        some = lines[:, full[:, 0], full[:, 1]]
        first = some.argmax(axis=0) - 0.5
        last = len(some) - some[::-1].argmax(axis=0) - 0.5
        for end in (first, last):
            found.append(np.insert(full.astype(np.float64), axis, end, axis=1))
    return np.concatenate(found)


def _corners_of_hull(points: Float) -> Float:
    """The points (n, 3) that are corners of their convex hull; the farthest two are of them."""
    from scipy.spatial import ConvexHull

    corners = points[ConvexHull(points).vertices]
    step = -(-len(corners) // MOST_POINTS)
    return np.asarray(corners[::step])
