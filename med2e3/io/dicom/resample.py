"""Resample acquired slices onto a rectangular, even grid: gantry tilt straightened, gaps filled.

Interpolation is linear: within the plane for tilt, between slices for gaps. Notes say in words what
was interpolated. Knows nothing of files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from med2e3.errors import GapError, GeometryError
from med2e3.geometry import TILT_DEGREES, Float, Geometry
from med2e3.io.dicom.positions import (
    GAP_FACTOR,
    IRREGULAR_FRACTION,
    SlicePositions,
    evened,
    usual_step,
)
from med2e3.io.series import SeriesSummary
from med2e3.io.voxels import Voxels
from med2e3.io.watch import Watch
from med2e3.volume import SeriesInfo
from med2e3.words import counted, some_names

#: Resampling may make a volume this many times longer, or its images this many times larger, not
#: more: beyond it, most of what is shown would be invented.
LARGEST_GROWTH = 4

#: Among uneven steps the smallest sets the grid, unless it is this many times below the usual one
#: (then it is an accident, and a grid as fine would be invented too).
ODD_STEP_FACTOR = 2.5


#: A slice this near to its place on the grid, in mm, is taken as it is.
IN_PLACE_MM = 0.06

#: Slices that lie no further off an even grid, in its steps, keep their number.
JITTER = 0.25

#: The steepest gantries of CT are tilted by 30°.
GANTRY_DEGREES = 32.0

#: Slices at a larger angle to their normal lie beside each other rather than above.
STEEPEST_DEGREES = 45.0


@dataclass(frozen=True, eq=False)
class ResamplePlan:
    """The acquired slices and weights that make each slice of the new grid.

    Slice k of the grid is (1 − `weight[k]`) · slice `below[k]` + `weight[k]` · slice `below[k]`+1.
    `shift` (n, 2) is how many rows and columns acquired slice n moves, at least 0.
    """

    geometry: Geometry
    below: NDArray[np.intp]
    weight: Float
    shift: Float
    notes: tuple[str, ...]

    @property
    def keeps_slices(self) -> bool:
        """Whether every slice of the grid is one acquired slice, `below`; others may be unused."""
        return bool((self.weight == 0).all())


def plan(positions: SlicePositions, series: SeriesSummary, *, even: bool) -> ResamplePlan:
    """The plan that brings the slices of `series`, at sorted `positions`, onto an even grid.

    Evenly spaced slices (`even`) are only straightened. Raises `GeometryError` for slices that lie
    too far beside each other, and `GapError` for gaps that are too long to fill.
    """
    shape, label = series.shape, series.label
    targets = positions.along if even else _even_targets(positions, label)
    below, weight = _neighbours(positions.along, targets)
    lateral = _lateral(positions)
    tilt = _tilt_degrees(positions)
    beside = tilt > TILT_DEGREES or (not even and np.abs(lateral).max() > _aside_mm(positions))
    pixels = lateral / positions.spacing if beside else np.zeros_like(lateral)
    lowest = pixels.min(axis=0)
    shift = pixels - lowest
    grown = np.ceil(np.round(shift.max(axis=0), 6)).astype(int)
    step = (targets[-1] - targets[0]) / (len(targets) - 1)
    affine = np.eye(4)
    affine[:3, 0] = positions.normal * step
    affine[:3, 1] = positions.rows * positions.spacing[0]
    affine[:3, 2] = positions.columns * positions.spacing[1]
    affine[:3, 3] = positions.origins[0] + affine[:3, 1:3] @ lowest
    new_shape = (len(targets), shape[1] + int(grown[0]), shape[2] + int(grown[1]))
    try:
        _check_growth(positions, lateral, tilt, shape, new_shape)
    except GeometryError as error:
        raise GeometryError(f"{label}: {error}") from error
    geometry = Geometry(new_shape, affine)
    notes = [_shift_note(tilt, new_shape, series.info)] if beside else []
    if weight.any():
        notes.append(_gap_note(geometry, weight))
    if len(unused := _unused(below, weight, len(positions.along))):
        notes.append(_unused_note(geometry, (positions.along[unused] - positions.along[0]) / step))
    return ResamplePlan(geometry, below, weight, shift, tuple(notes))


def check_upright(positions: SlicePositions, shape: tuple[int, int, int]) -> None:
    """Raise `GeometryError` for evenly spaced slices that lie too far beside each other."""
    lateral = _lateral(positions)
    grown = np.ceil(np.round(np.ptp(lateral / positions.spacing, axis=0), 6)).astype(int)
    tilt = _tilt_degrees(positions)
    if tilt > TILT_DEGREES:
        new_shape = (shape[0], shape[1] + int(grown[0]), shape[2] + int(grown[1]))
        _check_growth(positions, lateral, tilt, shape, new_shape)


def _lateral(positions: SlicePositions) -> Float:
    """(n, 2) mm from the first slice along its rows and columns."""
    beside: Float = (positions.origins - positions.origins[0]) @ np.column_stack(
        [positions.rows, positions.columns]
    )
    return beside


def _check_growth(
    positions: SlicePositions,
    lateral: Float,
    tilt: float,
    shape: tuple[int, int, int],
    new_shape: tuple[int, int, int],
) -> None:
    if tilt > STEEPEST_DEGREES or math.prod(new_shape[1:]) > LARGEST_GROWTH * math.prod(shape[1:]):
        raise GeometryError(
            f"Slices lie up to {np.abs(lateral).max():.0f} mm beside each other, "
            f"{tilt:.1f}° off their normal, and a "
            f"rectangular grid around them would have {new_shape[1]} × {new_shape[2]} pixels where "
            f"the images have {shape[1]} × {shape[2]}. They are no stack; open another series."
        )


def carry_out(plan: ResamplePlan, voxels: Voxels, fill: float, watch: Watch) -> Voxels:
    """`voxels` resampled by `plan`, of the same type, with `fill` where nothing was acquired."""
    result = np.empty(plan.geometry.shape, dtype=voxels.dtype)
    size = plan.geometry.shape[1:]
    for k, (below, weight) in enumerate(zip(plan.below, plan.weight, strict=True)):
        watch.step(k / len(plan.below), "Resampling onto a rectangular grid")
        image = _moved(voxels[below], plan.shift[below], size, fill)
        if weight:
            above = _moved(voxels[below + 1], plan.shift[below + 1], size, fill)
            image = image * np.float32(1 - weight) + above * np.float32(weight)
        result[k] = np.rint(image) if result.dtype == np.int16 else image
    return result


def _moved(
    image: NDArray[np.generic], shift: Float, size: tuple[int, ...], fill: float
) -> NDArray[np.float32]:
    """`image` moved down and right by fractions of a pixel into a frame of `size`."""
    values = image.astype(np.float32) - np.float32(fill)
    for axis in (0, 1):
        whole = int(np.floor(shift[axis]))
        part = np.float32(shift[axis] - whole)
        source = np.moveaxis(values, axis, 0)
        moved = np.zeros((size[axis] + 1, source.shape[1]), dtype=np.float32)
        moved[whole : whole + len(source)] = source * (1 - part)
        moved[whole + 1 : whole + 1 + len(source)] += source * part
        values = np.moveaxis(moved[:-1], 0, axis)
    return values + np.float32(fill)


def _even_targets(positions: SlicePositions, label: str) -> Float:
    """Evenly spaced positions in mm along the normal, from the first slice to the last."""
    steps = np.diff(positions.along)
    usual, smallest = usual_step(positions), float(steps.min())
    count = len(positions.along)
    length = float(positions.along[-1] - positions.along[0])
    away = np.abs(positions.along - evened(positions).along)
    if away.max() > JITTER * length / (count - 1):
        step = usual if steps.max() > GAP_FACTOR * usual else smallest
        step = step if step * ODD_STEP_FACTOR > usual else usual
        count = round(length / step) + 1
    if count > LARGEST_GROWTH * len(positions.along):
        raise GapError(
            f"{label}: its {len(positions.along)} slices would become {count} when the gaps "
            f"(up to {steps.max():.1f} mm) are filled; most of the volume would be invented. "
            "Re-send the series, or take the stray images out of the folder."
        )
    return np.linspace(positions.along[0], positions.along[-1], count)


def _neighbours(along: Float, targets: Float) -> tuple[NDArray[np.intp], Float]:
    """For each target the acquired slice below it, and the weight of the one above.

    A slice that lies on a target, up to rounding, is taken as it is.
    """
    nearest = np.abs(targets[:, None] - along[None]).argmin(axis=1)
    below = np.clip(np.searchsorted(along, targets, side="right") - 1, 0, len(along) - 2)
    weight = (targets - along[below]) / (along[below + 1] - along[below])
    close = np.abs(targets - along[nearest]) <= IN_PLACE_MM
    return np.where(close, nearest, below), np.where(close, 0.0, weight)


def _unused(below: NDArray[np.intp], weight: Float, count: int) -> NDArray[np.intp]:
    """The acquired slices that no slice of the grid is made of."""
    return np.setdiff1d(np.arange(count), np.concatenate([below, below[weight > 0] + 1]))


def _aside_mm(positions: SlicePositions) -> float:
    """How far a slice may lie beside its place without being moved there."""
    return max(IN_PLACE_MM, IRREGULAR_FRACTION * usual_step(positions))


def _tilt_degrees(positions: SlicePositions) -> float:
    origins = evened(positions).origins
    step = origins[-1] - origins[0]
    cosine = float(step @ positions.normal) / float(np.linalg.norm(step))
    return float(np.degrees(np.arccos(min(1.0, cosine))))


def _shift_note(tilt: float, shape: tuple[int, int, int], info: SeriesInfo) -> str:
    cause = "The slices do not lie straight above each other"
    if tilt > TILT_DEGREES:
        is_gantry = info.is_ct and tilt <= GANTRY_DEGREES
        cause = f"Gantry tilt of {tilt:.1f}°" if is_gantry else f"{cause} but at {tilt:.1f}°"
    outside = "air" if info.is_ct else "the lowest value"
    return (
        f"{cause}: the slices were shifted within their planes, with linear interpolation, onto a "
        f"rectangular grid of {' × '.join(str(n) for n in shape)} voxels; what lies outside the "
        f"acquired images shows as {outside}."
    )


def _gap_note(geometry: Geometry, weight: Float) -> str:
    """Which slices were interpolated, with their positions in mm on the plane's patient axis."""
    made = np.flatnonzero(weight)
    runs = np.split(made, np.flatnonzero(np.diff(made) > 1) + 1)
    axis = geometry.patient_axes[0]
    middle = [(n - 1) / 2 for n in geometry.shape[1:]]
    spans = []
    for run in runs[:5]:
        ends = [geometry.to_patient_mm((float(k), *middle))[axis] for k in (run[0], run[-1])]
        spans.append(f"{run[0] + 1}–{run[-1] + 1} at {ends[0]:.1f} to {ends[1]:.1f} mm")
    more = f" and {len(runs) - 5} more" if len(runs) > 5 else ""
    return (
        f"{counted(len(made), 'slice')} interpolated between acquired ones to even out the "
        f"spacing: {'; '.join(spans)}{more}. What they show was not measured."
    )


def _unused_note(geometry: Geometry, index: Float) -> str:
    """A note on the acquired slices that are not shown; `index` is where each lies on the grid."""
    axis = geometry.patient_axes[0]
    middle = [(n - 1) / 2 for n in geometry.shape[1:]]
    positions = [f"{geometry.to_patient_mm((float(k), *middle))[axis]:.1f} mm" for k in index]
    return (
        f"{counted(len(positions), 'acquired slice')} between those of the even grid not shown "
        f"(at {some_names(positions)})."
    )
