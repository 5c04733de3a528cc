"""The grid that the images of a stack form.

Position and orientation alone decide it (PS3.3 C.7.6.2): never file names, instance numbers, slice
thickness or "spacing between slices". Knows nothing of pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from med2e3.errors import GapError, GeometryError
from med2e3.geometry import Float, Geometry
from med2e3.io.dicom.headers import Frame
from med2e3.words import counted, some_names

#: How far a slice may lie from where a regular grid puts it: scanners round positions to 0.1 mm,
#: so 0.06 mm is rounding; 5 % of the spacing is too little to see.
ROUNDING_MM = 0.06
IRREGULAR_FRACTION = 0.05

#: A step this many times the usual one means that at least one slice is missing.
GAP_FACTOR = 1.5


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

    Raises `GeometryError` for directions that are not perpendicular or values that are not finite.
    """
    cosines = np.mean([f.orientation for f in frames], axis=0)
    columns, rows = cosines[:3], cosines[3:]
    lengths = np.linalg.norm(columns), np.linalg.norm(rows)
    if abs(lengths[0] - 1) > 0.01 or abs(lengths[1] - 1) > 0.01 or abs(columns @ rows) > 0.01:
        raise GeometryError(
            f"ImageOrientationPatient {[round(float(c), 4) for c in cosines]} is not two "
            "perpendicular directions of length 1. The geometry is damaged; re-send the series."
        )
    columns, rows = columns / lengths[0], rows / lengths[1]
    normal = np.cross(columns, rows)
    normal /= np.linalg.norm(normal)
    origins = np.array([f.position for f in frames], dtype=np.float64)
    spacing = np.mean([f.spacing for f in frames], axis=0)
    if not (np.isfinite(origins).all() and spacing.min() > 0):
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


def tolerance_mm(positions: SlicePositions) -> float:
    """How far in mm a slice may lie from its position on an even grid."""
    return max(ROUNDING_MM, IRREGULAR_FRACTION * float(np.median(np.diff(positions.along))))


def check_even(positions: SlicePositions, label: str, names: Sequence[str] = ()) -> None:
    """Raise `GapError` unless every position lies where an even spacing puts it.

    `names` are the file names in the order of the positions; the message names those beside a gap.
    """
    steps = np.diff(positions.along)
    usual = float(np.median(steps))
    wide = np.flatnonzero(steps > GAP_FACTOR * usual)
    if len(wide):
        raise GapError(
            f"{label}: {counted(len(wide), 'gap')} between slices ({steps[wide].max():.2f} mm "
            f"where {usual:.2f} mm is usual){_between(wide, positions, names)}; instances are "
            "probably missing. Open it anyway with resampling, or re-send the series."
        )
    count = len(positions.origins)
    line = np.linspace(positions.origins[0], positions.origins[-1], count)
    away = np.linalg.norm(positions.origins - line, axis=1)
    if away.max() > tolerance_mm(positions):
        worst = int(away.argmax())
        where = f" at {names[worst]}" if names else ""
        raise GapError(
            f"{label}: the slices are unevenly spaced ({steps.min():.2f} to {steps.max():.2f} mm; "
            f"up to {away[worst]:.2f} mm off an even grid{where}). "
            "Open it anyway with resampling, or export it with even spacing."
        )


def _between(wide: NDArray[np.intp], positions: SlicePositions, names: Sequence[str]) -> str:
    """The files on both sides of each gap, and their positions along the normal in mm."""
    if not names:
        return ""
    along = positions.along
    spans = [
        f"{names[k]} and {names[k + 1]} ({along[k]:.1f} to {along[k + 1]:.1f} mm)" for k in wide
    ]
    return f", between {some_names(spans)}"
