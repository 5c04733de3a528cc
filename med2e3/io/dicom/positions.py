"""The grid that the images of a stack form.

Position and orientation alone decide it (PS3.3 C.7.6.2): never file names, instance numbers, slice
thickness or "spacing between slices". Knows nothing of pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from med2e3.errors import GeometryError
from med2e3.geometry import FARTHEST_MM, Float, Geometry
from med2e3.io.dicom.headers import Frame

#: Scanners round each coordinate to 0.1 mm at the coarsest, and some add two rounded numbers: what
#: lies this far off a line in each coordinate (0.17 mm in all three) may be rounding.
ROUNDING_MM = 0.1

#: The line that fits best drifts by this much where half of the slices are rounded to the next
#: tenth: by 1.5 times as much as they.
DRIFT_MM = 0.151

#: Rounding once moves a coordinate by half of that, however thin the slices are.
ROUNDED_ONCE_MM = 0.051

#: Rounding twice explains no more than this share of the spacing: of thin slices less than 0.1 mm.
ROUNDED_FRACTION = 0.2

#: This share of the spacing is too little to see, whatever its cause.
IRREGULAR_FRACTION = 0.05

#: A step this many times the usual one means that at least one slice is missing.
GAP_FACTOR = 1.5

#: Steps by thirds towards the slope of a line: to a millionth of the interval in which it lies.
SLOPE_STEPS = 35


@dataclass(frozen=True, eq=False)
class SlicePositions:
    """Where the n frames of a stack lie.

    `origins` (n, 3) are the centres of the first pixels in LPS mm. `along` (n,) are their distances
    in mm along the unit vector `normal`. `rows` and `columns` are the unit vectors along which the
    row and the column index grow, `spacing` the mm from row to row and from column to column.
    """

    origins: Float
    rows: Float
    columns: Float
    spacing: tuple[float, float]
    normal: Float
    along: Float


def slice_positions(frames: Sequence[Frame]) -> SlicePositions:
    """Positions and mean directions of `frames`.

    Raises `GeometryError` for directions that are not perpendicular, and for values that are not
    finite or lie outside every patient.
    """
    with np.errstate(all="ignore"):  # of damaged numbers, which are refused below
        cosines = np.mean([f.orientation for f in frames], axis=0)
        spacing = np.mean([f.spacing for f in frames], axis=0)
    columns, rows = cosines[:3], cosines[3:]
    with np.errstate(all="ignore"):
        lengths = np.linalg.norm(columns), np.linalg.norm(rows)
    are_units = all(abs(length - 1) <= 0.01 for length in lengths)  # none that is no number
    if not are_units or abs(columns @ rows) > 0.01:
        raise GeometryError(
            f"ImageOrientationPatient {[round(float(c), 4) for c in cosines]} is not two "
            "perpendicular directions of length 1. The geometry is damaged; re-send the series."
        )
    columns, rows = columns / lengths[0], rows / lengths[1]
    normal = np.cross(columns, rows)
    normal /= np.linalg.norm(normal)
    origins = np.array([f.position for f in frames], dtype=np.float64)
    are_near = np.abs(origins).max() <= FARTHEST_MM and spacing.max() <= FARTHEST_MM
    if not (are_near and spacing.min() > 0):  # nor where one is no number
        raise GeometryError(
            f"ImagePositionPatient or PixelSpacing {spacing.tolist()} are not usable numbers. "
            "The geometry is damaged; re-send the series."
        )
    return SlicePositions(
        origins, rows, columns, (float(spacing[0]), float(spacing[1])), normal, origins @ normal
    )


def acquired_grid(positions: SlicePositions, shape: tuple[int, int, int]) -> Geometry:
    """The geometry of evenly spaced images as they were acquired.

    The slice axis is the mean step from position to position, so a tilted gantry gives a sheared
    grid.
    """
    step = (positions.origins[-1] - positions.origins[0]) / (len(positions.origins) - 1)
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = positions.rows * positions.spacing[0]
    affine[:3, 2] = positions.columns * positions.spacing[1]
    affine[:3, 3] = positions.origins[0]
    return Geometry(shape, affine)


def evened(positions: SlicePositions) -> SlicePositions:
    """The positions on the line that fits them best: rounding of single ones averages out.

    A line that leaves the normal by no more than rounding, over all of its length, is the normal.
    """
    count = len(positions.origins)
    index = np.arange(count) - (count - 1) / 2
    middle = positions.origins.mean(axis=0)
    step = index @ (positions.origins - middle) / (index @ index)
    straight = (step @ positions.normal) * positions.normal
    if np.abs(step - straight).max() * (count - 1) <= DRIFT_MM:
        step = straight
    origins = middle + index[:, None] * step
    return replace(positions, origins=origins, along=origins @ positions.normal)


def usual_step(positions: SlicePositions) -> float:
    """The step in mm along the normal that most slices have: the lower median."""
    steps = np.sort(np.diff(positions.along))
    return float(steps[(len(steps) - 1) // 2])


def wide_steps(positions: SlicePositions) -> NDArray[np.intp]:
    """The slices that lie below a step so wide that slices are missing in it."""
    if len(positions.along) < 2:
        return np.zeros(0, dtype=np.intp)
    return np.flatnonzero(np.diff(positions.along) > GAP_FACTOR * usual_step(positions))


def is_even(positions: SlicePositions) -> bool:
    """Whether the positions lie on an even grid, up to what rounding explains.

    A slice that is missing among thin ones may hide in rounding: positions are not even where a
    grid with the missing slices fits them better.
    """
    steps = np.diff(positions.along)
    if len(steps) < 2:
        return True
    index, wide = np.arange(len(steps) + 1), wide_steps(positions)
    spacing = float(positions.along[-1] - positions.along[0]) / len(steps)
    rounding = max(ROUNDED_ONCE_MM, min(ROUNDING_MM, ROUNDED_FRACTION * spacing))
    fitted = np.polyfit(index, positions.origins, 1)[0]
    if not len(wide) and _width(index, positions.origins, fitted).max() / 2 <= rounding:
        return True  # the narrowest band is no wider; looking for it takes a quarter of a scan
    off = _half_widths(index, positions.origins)
    if off.max() > rounding and np.linalg.norm(off) > IRREGULAR_FRACTION * spacing:
        return False
    if not len(wide):
        return True
    jumps = np.maximum(np.rint(steps / usual_step(positions)), 1)
    gapped = _half_widths(np.concatenate([[0], np.cumsum(jumps)]), positions.origins)
    return bool(np.linalg.norm(gapped) >= np.linalg.norm(off))


def _half_widths(index: Float | NDArray[np.intp], origins: Float) -> Float:
    """For each coordinate half the width of the narrowest band around a line by `index`.

    The width is convex in the slope: that is looked for between slopes that bound it.
    """
    fitted = np.polyfit(index, origins, 1)[0]
    most = 2 * _width(index, origins, fitted) / index[-1]
    low, high = fitted - most, fitted + most
    for _ in range(SLOPE_STEPS):
        third = (high - low) / 3
        left, right = low + third, high - third
        narrower = _width(index, origins, left) <= _width(index, origins, right)
        low, high = np.where(narrower, low, left), np.where(narrower, right, high)
    return _width(index, origins, (low + high) / 2) / 2


def _width(index: Float | NDArray[np.intp], origins: Float, slope: Float) -> Float:
    width: Float = np.ptp(origins - np.multiply.outer(index, slope), axis=0)
    return width
