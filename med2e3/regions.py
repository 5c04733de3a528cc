"""What a region drawn on a slice holds: its pixels, their statistics, their histogram.

One rule decides what belongs to a region: a pixel counts whole if its centre lies inside the
outline, and not at all otherwise. A centre exactly on the outline of a rectangle or an ellipse
counts; on that of a polygon it counts on one of two opposite sides, so that regions which share a
side share no pixel. Knows nothing of screens or of who drew the region.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from med2e3.geometry import Float
from med2e3.measures import Point, SlicePlane, crosses_itself, polygon_area
from med2e3.volume import Volume, Window

#: A plane through voxel centres: its slice index is whole up to this much of a slice, and changes
#: by no more than this over a mm along the plane. What rounding leaves is far below.
ON_GRID = 1e-3
ALONG_GRID = 1e-6

#: Centres this close to the outline, in mm, count as lying on it: rounding of coordinates.
ON_OUTLINE_MM = 1e-6

#: Digits of a pixel kept of a polygon's corners: one drawn on a centre lies there, not beside it.
LATTICE_DIGITS = 6

#: Bars of a histogram at most: as many as fit side by side in a panel.
MOST_BARS = 48


class Shape(StrEnum):
    """How the points of a region make its outline.

    Rectangle and ellipse: two opposite corners of a box along the plane's axes. Polygon: corners
    one after another; where it crosses itself, the even-odd rule says what is inside.
    """

    RECTANGLE = "rectangle"
    ELLIPSE = "ellipse"
    POLYGON = "polygon"


@dataclass(frozen=True)
class Region:
    """An area of a slice."""

    plane: SlicePlane
    shape: Shape
    points_mm: tuple[Point, ...]

    @property
    def corners(self) -> Float:
        """The points (n, 2) in mm along the plane's axes."""
        return self.plane.to_plane(self.points_mm)

    @property
    def area_mm2(self) -> float | None:
        """The area within the outline, by geometry; None where the outline crosses itself."""
        corners = self.corners
        if self.shape is Shape.POLYGON:
            return None if crosses_itself(corners) else polygon_area(corners)
        width, height = np.abs(corners[1] - corners[0])
        return float(width * height) * (math.pi / 4 if self.shape is Shape.ELLIPSE else 1.0)


@dataclass(frozen=True, eq=False)
class Samples:
    """The pixels of a region: `values` (n,) float64 and `pixel_area_mm2`.

    `interpolated`: the plane does not run through voxel centres, so values were interpolated
    linearly on a square lattice with the volume's smallest spacing.
    """

    values: Float
    pixel_area_mm2: float
    interpolated: bool


@dataclass(frozen=True)
class Statistics:
    """Numbers of a region, in the volume's units; `sd` is that of the pixels (divisor n)."""

    count: int
    mean: float
    sd: float
    minimum: float
    maximum: float
    area_mm2: float
    area_is_counted: bool
    interpolated: bool


@dataclass(frozen=True, eq=False)
class _Lattice:
    """Pixel centres in a plane: `start` + i · `steps[0]` + j · `steps[1]`, in its mm.

    `index0` and `index_steps` say the same in the volume's fractional (slice, row, column).
    """

    start: Float
    steps: Float
    counts: tuple[int, int]
    index0: Float
    index_steps: Float

    def centres(self) -> Float:
        """(ni, nj, 2) in mm along the plane's axes."""
        i, j = (np.arange(n)[..., None] for n in self.counts)
        return np.asarray(self.start + i[:, None] * self.steps[0] + j[None] * self.steps[1])

    def indices(self) -> Float:
        """(ni, nj, 3) fractional (slice, row, column)."""
        i, j = (np.arange(n)[..., None] for n in self.counts)
        a, b = self.index_steps
        return np.asarray(self.index0 + i[:, None] * a + j[None] * b)


def samples(volume: Volume, region: Region) -> Samples:
    """The pixels of `region` that lie in the volume; where it leaves the volume, nothing is."""
    axis = _slice_axis(volume, region.plane)
    on_grid = axis is not None
    lattice = _grid_lattice(volume, region, axis) if axis is not None else _square(volume, region)
    area = abs(float(np.linalg.det(lattice.steps))) if min(lattice.counts) else 0.0
    if not min(lattice.counts):
        return Samples(np.zeros(0), area, not on_grid)
    chosen = lattice.indices()[_inside(region, lattice)]
    if on_grid:
        s, r, c = np.rint(chosen).astype(np.intp).T
        return Samples(volume.voxels[s, r, c].astype(np.float64), area, interpolated=False)
    last = np.asarray(volume.shape) - 1
    seen = ((chosen >= -0.5) & (chosen <= last + 0.5)).all(axis=1)
    return Samples(interpolate(volume, chosen[seen]), area, interpolated=True)


def statistics(region: Region, found: Samples, *, count_area: bool = False) -> Statistics | None:
    """What the pixels of a region say; None if it holds no pixel's centre.

    `count_area`: the area by its pixels; that of a polygon compares every side with all others.
    """
    values = found.values
    if not values.size:
        return None
    area = None if count_area else region.area_mm2
    counted = values.size * found.pixel_area_mm2
    return Statistics(
        int(values.size),
        float(values.mean()),
        float(values.std()),
        float(values.min()),
        float(values.max()),
        counted if area is None else area,
        area is None,
        found.interpolated,
    )


def histogram(values: Float) -> tuple[NDArray[np.int64], Float]:
    """Counts (n,) and edges (n + 1,) of at most `MOST_BARS` bars of equal width.

    Whole values get bars of whole width with edges at halves, so that no bar holds more possible
    values than another.
    """
    low, high = float(values.min()), float(values.max())
    if np.array_equal(values, np.rint(values)):
        width = max(1.0, math.ceil((high - low + 1) / MOST_BARS))
        edges = low - 0.5 + width * np.arange(math.ceil((high - low + 1) / width) + 1)
    else:
        edges = np.linspace(low, high, MOST_BARS + 1)
    counts, _ = np.histogram(values, edges)
    return counts.astype(np.int64), edges.astype(np.float64)


def window_of(values: Float) -> Window:
    """The window from the 1st to the 99th percentile of some values."""
    low, high = (float(v) for v in np.percentile(values, (1, 99)))
    return Window((low + high) / 2, max(high - low, 1.0))


def interpolate(volume: Volume, index: Float) -> Float:
    """(n, 3) fractional (slice, row, column) inside the grid → (n,) values, trilinear.

    Up to half a voxel beyond the outer centres the border's value goes on.
    """
    last = np.asarray(volume.shape) - 1
    inside = np.clip(index, 0, last)
    low = np.minimum(inside.astype(np.intp), np.maximum(last - 1, 0))
    high = np.minimum(low + 1, last)
    weight = inside - low
    total = np.zeros(len(index))
    for corner in np.ndindex(2, 2, 2):
        at = np.where(corner, high, low).T
        share = np.where(corner, weight, 1 - weight).prod(axis=1)
        total += share * volume.voxels[at[0], at[1], at[2]]
    return total


def _slice_axis(volume: Volume, plane: SlicePlane) -> int | None:
    """The array axis whose slices the plane is one of; None for any other plane."""
    turn = volume.geometry.inverse[:3, :3]
    along = np.abs(turn @ np.column_stack([plane.right, plane.down])).max(axis=1)
    at = volume.geometry.to_index(plane.origin_mm)
    for axis in range(3):
        off = abs(at[axis] - round(at[axis]))
        if along[axis] < ALONG_GRID and off < ON_GRID:
            return axis if 0 <= round(at[axis]) < volume.shape[axis] else None
    return None


def _grid_lattice(volume: Volume, region: Region, axis: int) -> _Lattice:
    """The voxel centres of the slice around the region."""
    geometry, plane = volume.geometry, region.plane
    others = [k for k in range(3) if k != axis]
    box = geometry.to_index(plane.to_patient_mm(_box(region)))
    first = np.maximum(np.floor(box.min(axis=0)), 0)
    last = np.minimum(np.ceil(box.max(axis=0)), np.asarray(volume.shape) - 1)
    first[axis] = round(float(geometry.to_index(plane.origin_mm)[axis]))
    counts = [max(0, int(last[k] - first[k]) + 1) for k in others]
    index_steps = np.eye(3)[others]
    steps = geometry.affine_lps[:3, others].T @ np.column_stack([plane.right, plane.down])
    start = plane.to_plane(geometry.to_patient_mm(first))
    return _Lattice(start, steps, (counts[0], counts[1]), first, index_steps)


def _square(volume: Volume, region: Region) -> _Lattice:
    """A square lattice through the plane's origin, as fine as the volume's smallest spacing."""
    geometry, plane = volume.geometry, region.plane
    step = min(geometry.spacing_mm)
    box = _box(region) / step
    first, last = np.floor(box.min(axis=0)), np.ceil(box.max(axis=0))
    counts = (int(last[0] - first[0]) + 1, int(last[1] - first[1]) + 1)
    start = first * step
    axes = np.vstack([plane.right, plane.down]) * step
    return _Lattice(
        start,
        np.eye(2) * step,
        counts,
        geometry.to_index(plane.to_patient_mm(start)),
        axes @ geometry.inverse[:3, :3].T,
    )


def _box(region: Region) -> Float:
    """(4, 2) corners of the box around the region, in mm along the plane's axes."""
    (x0, y0), (x1, y1) = region.corners.min(axis=0), region.corners.max(axis=0)
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])


def _inside(region: Region, lattice: _Lattice) -> NDArray[np.bool_]:
    """(ni, nj): which centres lie inside the outline or on it."""
    corners = region.corners
    if region.shape is Shape.POLYGON:
        return _inside_polygon(corners, lattice)
    middle, half = corners.mean(axis=0), np.abs(corners[1] - corners[0]) / 2 + ON_OUTLINE_MM
    offsets = (lattice.centres() - middle) / half
    if region.shape is Shape.RECTANGLE:
        return np.asarray((np.abs(offsets) <= 1).all(axis=-1))
    return np.asarray((offsets**2).sum(axis=-1) <= 1)


def _inside_polygon(corners: Float, lattice: _Lattice) -> NDArray[np.bool_]:
    """Even-odd, side by side, in the lattice's own (i, j): each side turns what lies beyond it."""
    ij = np.round((corners - lattice.start) @ np.linalg.inv(lattice.steps), LATTICE_DIGITS)
    inside = np.zeros(lattice.counts, bool)
    j = np.arange(lattice.counts[1])
    for ends in zip(ij, np.roll(ij, -1, axis=0), strict=True):
        # Always from the same end: neighbours that share a side must cut it at the same places.
        (i0, j0), (i1, j1) = sorted(map(tuple, ends))
        first, last = max(0, math.ceil(i0)), min(lattice.counts[0], math.ceil(i1))
        if first < last:  # half open: a corner on a row of centres belongs to one side only
            rows = np.arange(first, last)
            at = j0 + (rows - i0) * (j1 - j0) / (i1 - i0)
            inside[first:last] ^= j[None] < at[:, None]
    return inside
