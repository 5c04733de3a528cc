"""Oblique planes: three planes at right angles, turned about the crosshair.

The axes of a plane are a (3, 3) matrix. Its columns are the unit vectors in LPS from slice to
slice, from row to row and from column to column. A turn in one plane keeps that plane and rotates
the axes of the other two rigidly, so that the three normals stay at right angles after any number
of turns. The grid of an oblique plane has square pixels, and one of its slices passes exactly
through the crosshair. The module knows no mouse.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from app.imaging.patch import Patch, PatchGrid, Work, visible_grid
from app.imaging.plane import PlaneState
from app.imaging.raster import Raster
from app.imaging.sampler import Sampler
from app.imaging.viewport import Viewport
from med2e3.geometry import DISPLAY_AXES, Geometry, Plane
from med2e3.measures import PARALLEL_DEGREES, SlicePlane

Float = NDArray[np.float64]

#: Most pixels along the longer side of an oblique grid: no view shows more.
LARGEST_SIDE = 1024

#: Most samples of an exact picture that the window's thread reads itself: it takes below 10 ms.
AT_ONCE_SAMPLES = 100_000

#: Most samples that are read while something moves: of a plane, and of all layers of a slab, whose
#: samples take the nearest voxel. They take about 3 and 8 ms on one slow core. A turn moves two
#: planes, and both are read and painted in one turn of the loop.
MOVING_PLANE_SAMPLES, MOVING_SLAB_SAMPLES = 80_000, 500_000

#: A point within so many slices of a slice lies on it: the rest is rounding.
ON_SLICE = 1e-6

#: A plane turned by less than so many degrees is straight: the rest is rounding.
STRAIGHT_DEGREES = 0.05


class ObliquePlane(PlaneState):
    """A plane at any angle through the volume, with values interpolated between the voxels.

    `volume` is the stored volume turned to the anatomical plane of the same name; `geometry` is the
    oblique grid.
    """

    def __init__(self, plane: Plane, sampler: Sampler, grid: Geometry) -> None:
        self._laid = self._grid = grid
        super().__init__(plane, sampler.volume)
        self._sampler = sampler
        self._crosshair_mm = np.zeros(3)

    @property
    def geometry(self) -> Geometry:
        """The oblique grid: square pixels in the plane, slices along its normal."""
        return self._grid

    @property
    def scroll_grid(self) -> Geometry:
        """The oblique grid before the crosshair shifted it."""
        return self._laid

    @property
    def position_mm(self) -> float:
        """LPS coordinate of the crosshair in mm: x in sagittal, y in coronal, z in axial planes."""
        return float(self._crosshair_mm[DISPLAY_AXES[self.plane][0][0]])

    @property
    def pixels_key(self) -> tuple[object, ...]:
        """Changes whenever `pixels` would."""
        return (*super().pixels_key, tuple(self._grid.affine_lps[:3, 3]))

    @property
    def notes(self) -> tuple[str, ...]:
        """The angles between this plane and the anatomical plane of its name."""
        return describe(self.plane, self._grid.directions[:, 0])

    @property
    def slab_mm(self) -> float:
        """Thickness in mm of the layers that meet the volume anywhere."""
        here = self._grid.to_patient_mm((self.slice_index, 0.0, 0.0))
        normal = self._grid.directions[:, 0]
        step_mm = self._grid.spacing_mm[0]
        depths_mm = np.asarray((np.arange(self.layers) - (self.layers - 1) / 2) * step_mm)
        return layers_met(self._sampler.volume.geometry, here, normal, depths_mm) * step_mm

    def place(self, patient_mm: Float) -> None:
        """Move the crosshair to `patient_mm` (3,), LPS, and the grid's nearest slice onto it."""
        self._crosshair_mm = np.array(patient_mm, dtype=np.float64)
        off = float(self._grid.to_index(self._crosshair_mm)[0])
        if abs(off - round(off)) > ON_SLICE:
            self._grid = self._shifted_to(self._crosshair_mm)
        self._crosshair = self._grid.to_index(self._crosshair_mm)

    def _shifted_to(self, patient_mm: Float) -> Geometry:
        """The unshifted grid, moved along its normal by at most half a slice."""
        off = float(self._laid.to_index(patient_mm)[0])
        affine = self._laid.affine_lps.copy()
        affine[:3, 3] += (off - round(off)) * affine[:3, 0]
        return Geometry(self._laid.shape, affine)

    def work(self) -> Work:
        """A function that computes `pixels` of the slice shown now, on any thread."""
        whole = PatchGrid((-0.5, -0.5), 1.0, self._grid.shape[1:], self.layers)
        return partial(self._sampler.image, self._raster(whole), self.slab.mode)

    def value_at(self, row: float, column: float) -> float | None:
        """The value (HU in CT) at a pixel of the plane or slab; None outside the volume.

        Where exact pixels are shown it is the value of that pixel.
        """
        r, c = round(row), round(column)
        here = PatchGrid((r - 0.5, c - 0.5), 1.0, (1, 1), self.layers)
        value = self._sampler.value(self._raster(here), self.slab.mode)
        exact, (_, rows, columns) = self._fresh(), self._grid.shape
        if value is not None and exact is not None and 0 <= r < rows and 0 <= c < columns:
            return float(exact[r, c])
        return value

    def _is_stored(self) -> bool:
        return False

    def _is_slow(self) -> bool:
        _, rows, columns = self._grid.shape
        return rows * columns * self.layers > AT_ONCE_SAMPLES

    def _coarse(self, viewport: Viewport) -> Patch:
        """The part of the plane that the view shows, in few samples."""
        most = MOVING_PLANE_SAMPLES if self.layers == 1 else MOVING_SLAB_SAMPLES
        samples = visible_grid(viewport, self.layers, most)
        if samples is None:
            samples = PatchGrid((-0.5, -0.5), 1.0, (1, 1), 1)
        return samples.patch(self._sampler.quick(self._raster(samples), self.slab.mode))

    def _raster(self, samples: PatchGrid) -> Raster:
        """The samples of a patch in LPS mm; its layers divide the slab's thickness evenly."""
        grid_step = self._grid.affine_lps[:3, :3]
        return Raster(
            self._grid.to_patient_mm((self.slice_index, *samples.first_sample)),
            grid_step[:, 1] * samples.step,
            grid_step[:, 2] * samples.step,
            samples.shape,
            samples.layers,
            grid_step[:, 0] * (self.layers / samples.layers),
        )


def turned(
    shown: Mapping[Plane, PlaneState],
    sampler: Sampler,
    crosshair_mm: Float,
    keep: Plane,
    radians: float,
) -> dict[Plane, PlaneState]:
    """The planes after a turn about the normal of `keep`, from its columns towards its rows."""
    axes = {plane: axes_of(state) for plane, state in shown.items()}
    axis = np.cross(axes[keep][:, 2], axes[keep][:, 1])
    turn = rotation(axis, radians)
    made: dict[Plane, PlaneState] = {}
    for plane, state in shown.items():
        if plane is keep:
            made[plane] = state
            continue
        turned_axes = nearest_rotation(turn @ axes[plane])
        grid = grid_through(sampler.volume.geometry, turned_axes, crosshair_mm)
        made[plane] = _carried(state, ObliquePlane(plane, sampler, grid), crosshair_mm)
    return made


def turned_onto(
    planes: Mapping[Plane, PlaneState], sampler: Sampler, target: SlicePlane
) -> tuple[Plane, dict[Plane, PlaneState]]:
    """The stored planes, turned so that one of them shows `target` as it was seen.

    Also returns which one does: the one that turns least. A plane that turns only within itself
    stays as it is.
    """
    axes = {plane: axes_of(state) for plane, state in planes.items()}
    turns = {plane: _turn_onto(own, target) for plane, own in axes.items()}
    nearest = max(turns, key=lambda plane: float(np.trace(turns[plane])))
    point_mm, made = np.asarray(target.origin_mm), dict(planes)
    for plane, own in axes.items():
        turned_axes = nearest_rotation(turns[nearest] @ own)
        if not _are_parallel(turned_axes[:, 0], own[:, 0]):
            grid = grid_through(sampler.volume.geometry, turned_axes, point_mm)
            made[plane] = ObliquePlane(plane, sampler, grid)
            made[plane].slab = planes[plane].slab
    return nearest, made


def _turn_onto(axes: Float, target: SlicePlane) -> Float:
    """(3, 3) rotation of a plane's axes onto those of `target`: rows run down, columns right."""
    wanted = np.column_stack([target.normal, target.down, target.right])
    if np.linalg.det(wanted) * np.linalg.det(axes) < 0:
        wanted[:, 0] *= -1
    return np.asarray(wanted @ axes.T)


def _are_parallel(a: Float, b: Float) -> bool:
    across = float(np.linalg.norm(np.cross(a, b)))
    return across < math.sin(math.radians(PARALLEL_DEGREES))


def axes_of(state: PlaneState) -> Float:
    """(3, 3) axes of a plane, made orthogonal where the stored grid is sheared."""
    return nearest_rotation(state.geometry.directions)


def nearest_rotation(directions: Float) -> Float:
    """The orthogonal (3, 3) nearest to `directions` (polar decomposition).

    Without it the rounding of many turns would add up.
    """
    u, _, vt = np.linalg.svd(directions)
    return np.asarray(u @ vt)


def rotation(axis: Float, radians: float) -> Float:
    """(3, 3) right-handed rotation about the unit vector `axis` (Rodrigues' formula)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(
        np.eye(3) + math.sin(radians) * cross + (1 - math.cos(radians)) * cross @ cross
    )


def grid_through(geometry: Geometry, axes: Float, point_mm: Float) -> Geometry:
    """The smallest grid along `axes` that holds the volume and has a voxel centre at `point_mm`.

    Its pixels are squares of the volume's finest spacing, larger where `LARGEST_SIDE` asks for it.
    Its slices lie one voxel of the volume apart, measured along the normal.
    """
    along = (_corners_mm(geometry) - point_mm) @ axes  # (8, 3) mm
    low, high = along.min(axis=0), along.max(axis=0)
    finest = min(geometry.spacing_mm)
    even = max(finest, float((high - low)[1:].max()) / LARGEST_SIDE)
    step = 1.0 / float(np.linalg.norm(geometry.inverse[:3, :3] @ axes[:, 0]))
    steps = np.array([step, even, even])
    before = np.floor(-low / steps + 1e-6)
    shape = before + np.floor(high / steps + 1e-6) + 1
    affine = np.eye(4)
    affine[:3, :3] = axes * steps
    affine[:3, 3] = point_mm - affine[:3, :3] @ before
    slices, rows, columns = (max(int(n), 1) for n in shape)
    return Geometry((slices, rows, columns), affine)


def layers_met(geometry: Geometry, point_mm: Float, normal: Float, depths_mm: Float) -> int:
    """Number of layers that meet the volume anywhere.

    Layer k is at right angles to `normal` (3,), `depths_mm[k]` from `point_mm` (3,) in LPS.
    """
    along = (_corners_mm(geometry) - point_mm) @ normal
    inside = (depths_mm >= along.min() - 1e-6) & (depths_mm <= along.max() + 1e-6)
    return int(np.count_nonzero(inside))


def _corners_mm(geometry: Geometry) -> Float:
    """(8, 3) LPS mm of the volume's corners, at the outer edges of its voxels."""
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in geometry.shape])).reshape(3, -1).T
    return geometry.to_patient_mm(corners)


def kept_inside(shown: Mapping[Plane, PlaneState], patient_mm: Float) -> Float:
    """The point (3,), LPS mm, nearest to `patient_mm` on which every plane has a slice."""
    point = np.array(patient_mm, dtype=np.float64)
    for state in shown.values():
        off = float(state.scroll_grid.to_index(point)[0])
        inside = min(max(off, 0.0), state.count - 1.0)
        step = state.scroll_grid.affine_lps[:3, 0]
        point = point + (inside - off) * step
    return point


def describe(plane: Plane, normal: Float) -> tuple[str, ...]:
    """The angle between an oblique and an anatomical plane, then its parts towards the other two.

    The first part is the angle of the normal (3,), LPS, within the plane of this axis and the first
    other one; the second is the angle out of that plane. The two give the normal back. A double
    oblique has both, a straight plane has no text.
    """
    axis, sign = DISPLAY_AXES[plane][0]
    own = normal * sign * (1 if normal[axis] * sign >= 0 else -1)
    whole = math.degrees(math.acos(min(1.0, abs(float(normal[axis])))))
    if whole < STRAIGHT_DEGREES:
        return ()
    others = [(p, DISPLAY_AXES[p][0][0]) for p in Plane if p is not plane]
    (first, a), (second, b) = others
    parts = (
        (first, math.degrees(math.atan2(own[a], abs(own[axis])))),
        (second, math.degrees(math.asin(max(-1.0, min(1.0, float(own[b])))))),
    )
    towards = [f"to {p.value} {abs(d):.1f}°" for p, d in parts if abs(d) >= STRAIGHT_DEGREES]
    title = "oblique" if len(towards) == 1 else "double oblique"
    return (f"{title} {whole:.1f}°", *towards)


def _carried(before: PlaneState, after: PlaneState, crosshair_mm: Float) -> PlaneState:
    """`after`, with the zoom, the slab and the crosshair's place on the screen of `before`."""
    after.place(crosshair_mm)
    after.zoom, after.slab = before.zoom, before.slab
    _, rows, columns = before.geometry.shape
    _, row_mm, column_mm = before.geometry.spacing_mm
    after.fit_mm = before.fit_mm or (rows * row_mm, columns * column_mm)
    middle = before.centre or ((rows - 1) / 2, (columns - 1) / 2)
    even = after.geometry.spacing_mm[1]
    off = before.geometry.to_index(crosshair_mm)[1:]
    row, column = after.crosshair
    after.centre = (
        row - (float(off[0]) - middle[0]) * row_mm / even,
        column - (float(off[1]) - middle[1]) * column_mm / even,
    )
    return after


def crossing(here: PlaneState, other: PlaneState) -> tuple[float, float] | None:
    """Direction of another plane's line in this plane's picture: a unit (x right, y down).

    None where the planes are parallel.
    """
    return _crossing(_bytes_of(here), _bytes_of(other))


def _bytes_of(state: PlaneState) -> bytes:
    return np.asarray(state.geometry.directions, dtype=np.float64).tobytes()


@lru_cache(maxsize=64)
def _crossing(here: bytes, other: bytes) -> tuple[float, float] | None:
    # Each painting asks for it, and it stays the same until something turns.
    own, others = (nearest_rotation(np.frombuffer(each).reshape(3, 3)) for each in (here, other))
    along = np.cross(own[:, 0], others[:, 0])
    length = float(np.linalg.norm(along))
    if length < 1e-6:
        return None
    return float(along @ own[:, 2]) / length, float(along @ own[:, 1]) / length
