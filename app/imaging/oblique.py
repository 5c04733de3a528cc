"""Oblique planes: three planes at right angles, turned about their common point.

The frame of a plane is (3, 3): unit vectors in LPS along its slices, rows and columns, as columns.
Turning in one plane leaves its own picture as it is and carries the frames of the other two along,
rigidly: the three normals stay at right angles whatever was done before. The grid of an oblique
plane is even in mm and always has a slice exactly through the crosshair. Knows no mouse.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from app.imaging.patch import Patch, Sampling, Work, visible
from app.imaging.plane import PlaneState
from app.imaging.raster import Raster
from app.imaging.sampler import Sampler
from app.imaging.viewport import Viewport
from med2e3.geometry import DISPLAY_AXES, Geometry, Plane
from med2e3.measures import PARALLEL_DEGREES, SlicePlane

Float = NDArray[np.float64]

#: Pixels along the longer side of an oblique grid at most: more than any view shows of one.
LARGEST_SIDE = 1024

#: Samples of an exact picture that may be computed while the window waits: below 10 ms.
AT_ONCE_SAMPLES = 100_000

#: Samples that may be read while something moves: of a plane, and of all layers of a slab, which
#: are read without anything between the voxels. About 5 and 8 ms on one slow core:
#: a turn moves two planes at once, and both are painted in one turn of the loop.
MOVING_PLANE_SAMPLES, MOVING_SLAB_SAMPLES = 80_000, 500_000

#: A point this near to a slice, in slices, lies on it: what is left of whole steps is rounding.
ON_SLICE = 1e-6

#: Angles below this are rounding, not obliquity.
STRAIGHT_DEGREES = 0.05


class ObliquePlane(PlaneState):
    """A plane at any angle through the volume, sampled between the voxels.

    `volume` stays the stored volume turned to the nearest anatomical plane; `geometry` is the
    oblique grid. `pixels` and `value_at` agree with what is on the screen.
    """

    def __init__(self, plane: Plane, sampler: Sampler, grid: Geometry) -> None:
        self._laid = self._grid = grid
        super().__init__(plane, sampler.volume)
        self._sampler = sampler
        self._crosshair_mm = np.zeros(3)

    @property
    def geometry(self) -> Geometry:
        """The oblique grid: even in the plane, its slices along the normal."""
        return self._grid

    @property
    def reach(self) -> Geometry:
        """The grid as it was laid over the volume: what the crosshair shifts is not in it."""
        return self._laid

    @property
    def position_mm(self) -> float:
        """Patient coordinate of the crosshair along the axis that the plane's name stands for."""
        return float(self._crosshair_mm[DISPLAY_AXES[self.plane][0][0]])

    @property
    def wanted(self) -> tuple[object, ...]:
        """Changes whenever `pixels` would."""
        return (*super().wanted, tuple(self._grid.affine_lps[:3, 3]))

    @property
    def notes(self) -> tuple[str, ...]:
        """The true angles between this plane and the anatomical one of its name."""
        return describe(self.plane, self._grid.directions[:, 0])

    @property
    def slab_mm(self) -> float:
        """How thick, in mm, the slab is at its thickest: of the layers that meet the volume."""
        here = self._grid.to_patient_mm((self.slice_index, 0.0, 0.0))
        normal = self._grid.directions[:, 0]
        step_mm = self._grid.spacing_mm[0]
        depths_mm = np.asarray((np.arange(self.layers) - (self.layers - 1) / 2) * step_mm)
        return layers_met(self._sampler.volume.geometry, here, normal, depths_mm) * step_mm

    def place(self, patient_mm: Float) -> None:
        """Let the crosshair be at `patient_mm` (LPS), on a slice of the grid."""
        self._crosshair_mm = np.array(patient_mm, dtype=np.float64)
        off = float(self._grid.to_index(self._crosshair_mm)[0])
        if abs(off - round(off)) > ON_SLICE:
            self._grid = self._shifted_to(self._crosshair_mm)
        self._crosshair = self._grid.to_index(self._crosshair_mm)

    def _shifted_to(self, patient_mm: Float) -> Geometry:
        """The grid as it was laid, moved by half a slice at most: moves never add up."""
        off = float(self._laid.to_index(patient_mm)[0])
        affine = self._laid.affine_lps.copy()
        affine[:3, 3] += (off - round(off)) * affine[:3, 0]
        return Geometry(self._laid.shape, affine)

    def work(self) -> Work:
        """What computes `pixels` of what is shown now, on any thread."""
        whole = Sampling((-0.5, -0.5), 1.0, self._grid.shape[1:], self.layers)
        return partial(self._sampler.image, self._raster(whole), self.slab.mode)

    def value_at(self, row: float, column: float) -> float | None:
        """The value (HU in CT) shown at a point of the plane or slab; None beside the volume."""
        r, c = round(row), round(column)
        here = Sampling((r - 0.5, c - 0.5), 1.0, (1, 1), self.layers)
        value = self._sampler.value(self._raster(here), self.slab.mode)
        exact, (_, rows, columns) = self._fresh(), self._grid.shape
        if value is not None and exact is not None and 0 <= r < rows and 0 <= c < columns:
            return float(exact[r, c])  # to the last digit what is on the screen
        return value

    def _is_stored(self) -> bool:
        return False

    def _is_slow(self) -> bool:
        _, rows, columns = self._grid.shape
        return rows * columns * self.layers > AT_ONCE_SAMPLES

    def _coarse(self, viewport: Viewport) -> Patch:
        """What the view shows of the plane, in few samples."""
        most = MOVING_PLANE_SAMPLES if self.layers == 1 else MOVING_SLAB_SAMPLES
        sampling = visible(viewport, self.layers, most)
        if sampling is None:
            sampling = Sampling((-0.5, -0.5), 1.0, (1, 1), 1)
        return sampling.patch(self._sampler.quick(self._raster(sampling), self.slab.mode))

    def _raster(self, sampling: Sampling) -> Raster:
        """The samples in LPS mm; their layers share the slab's thickness evenly."""
        grid_step = self._grid.affine_lps[:3, :3]
        return Raster(
            self._grid.to_patient_mm((self.slice_index, *sampling.first)),
            grid_step[:, 1] * sampling.step,
            grid_step[:, 2] * sampling.step,
            sampling.shape,
            sampling.layers,
            grid_step[:, 0] * (self.layers / sampling.layers),
        )


def turned(
    shown: Mapping[Plane, PlaneState],
    sampler: Sampler,
    crosshair_mm: Float,
    keep: Plane,
    radians: float,
) -> dict[Plane, PlaneState]:
    """The planes after a turn about the normal of `keep`, from its columns towards its rows."""
    frames = {plane: frame_of(state) for plane, state in shown.items()}
    axis = np.cross(frames[keep][:, 2], frames[keep][:, 1])
    turn = rotation(axis, radians)
    made: dict[Plane, PlaneState] = {}
    for plane, state in shown.items():
        if plane is keep:
            made[plane] = state
            continue
        frame = nearest_rotation(turn @ frames[plane])
        grid = grid_through(sampler.volume.geometry, frame, crosshair_mm)
        made[plane] = _carried(state, ObliquePlane(plane, sampler, grid), crosshair_mm)
    return made


def turned_onto(
    planes: Mapping[Plane, PlaneState], sampler: Sampler, target: SlicePlane
) -> tuple[Plane, dict[Plane, PlaneState]]:
    """The stored planes turned so that one of them shows `target` as it was seen; which one.

    The one that turns least; one that only turns within itself stays as it is.
    """
    frames = {plane: frame_of(state) for plane, state in planes.items()}
    turns = {plane: _turn_onto(frame, target) for plane, frame in frames.items()}
    nearest = max(turns, key=lambda plane: float(np.trace(turns[plane])))
    point_mm, made = np.asarray(target.origin_mm), dict(planes)
    for plane, frame in frames.items():
        turned_frame = nearest_rotation(turns[nearest] @ frame)
        if not _are_parallel(turned_frame[:, 0], frame[:, 0]):
            grid = grid_through(sampler.volume.geometry, turned_frame, point_mm)
            made[plane] = ObliquePlane(plane, sampler, grid)
            made[plane].slab = planes[plane].slab
    return nearest, made


def _turn_onto(frame: Float, target: SlicePlane) -> Float:
    """(3, 3) that turns a frame so that its rows run down and its columns right in `target`."""
    wanted = np.column_stack([target.normal, target.down, target.right])
    if np.linalg.det(wanted) * np.linalg.det(frame) < 0:
        wanted[:, 0] *= -1
    return np.asarray(wanted @ frame.T)


def _are_parallel(a: Float, b: Float) -> bool:
    across = float(np.linalg.norm(np.cross(a, b)))
    return across < math.sin(math.radians(PARALLEL_DEGREES))


def frame_of(state: PlaneState) -> Float:
    """(3, 3) unit vectors along slices, rows and columns of what a plane shows, at right angles."""
    return nearest_rotation(state.geometry.directions)


def nearest_rotation(directions: Float) -> Float:
    """The nearest frame with right angles (polar decomposition): no drift over many turns."""
    u, _, vt = np.linalg.svd(directions)
    return np.asarray(u @ vt)


def rotation(axis: Float, radians: float) -> Float:
    """(3, 3) that turns about a unit vector (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(
        np.eye(3) + math.sin(radians) * cross + (1 - math.cos(radians)) * cross @ cross
    )


def grid_through(geometry: Geometry, frame: Float, point_mm: Float) -> Geometry:
    """The grid along `frame` that just holds the volume and has a voxel centre at `point_mm`.

    Even in the plane at the volume's finest spacing; along the normal in steps of about one voxel.
    """
    along = (_corners_mm(geometry) - point_mm) @ frame  # (8, 3) mm
    low, high = along.min(axis=0), along.max(axis=0)
    finest = min(geometry.spacing_mm)
    even = max(finest, float((high - low)[1:].max()) / LARGEST_SIDE)
    step = 1.0 / float(np.linalg.norm(geometry.inverse[:3, :3] @ frame[:, 0]))
    steps = np.array([step, even, even])
    before = np.floor(-low / steps + 1e-6)
    shape = before + np.floor(high / steps + 1e-6) + 1
    affine = np.eye(4)
    affine[:3, :3] = frame * steps
    affine[:3, 3] = point_mm - affine[:3, :3] @ before
    slices, rows, columns = (max(int(n), 1) for n in shape)
    return Geometry((slices, rows, columns), affine)


def layers_met(geometry: Geometry, point_mm: Float, normal: Float, depths_mm: Float) -> int:
    """How many layers, so many mm (n,) from a point along `normal`, meet the volume anywhere."""
    along = (_corners_mm(geometry) - point_mm) @ normal
    inside = (depths_mm >= along.min() - 1e-6) & (depths_mm <= along.max() + 1e-6)
    return int(np.count_nonzero(inside))


def _corners_mm(geometry: Geometry) -> Float:
    """(8, 3) outer corners of the volume in LPS mm."""
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in geometry.shape])).reshape(3, -1).T
    return geometry.to_patient_mm(corners)


def kept_inside(shown: Mapping[Plane, PlaneState], patient_mm: Float) -> Float:
    """The nearest point whose planes all still meet the volume."""
    point = np.array(patient_mm, dtype=np.float64)
    for state in shown.values():
        off = float(state.reach.to_index(point)[0])
        inside = min(max(off, 0.0), state.count - 1.0)
        step = state.reach.affine_lps[:3, 0]
        point = point + (inside - off) * step
    return point


def describe(plane: Plane, normal: Float) -> tuple[str, ...]:
    """A plane's angle to the anatomical one, then its two parts towards the other planes.

    The first part turns the normal towards the first other axis, the second out of that plane; the
    two together give the normal back: a double oblique has both.
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
    """Size, slab and the crosshair's place on the screen stay as they were."""
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
    """The direction (x right, y down; unit length) of another plane's line in this one's picture.

    None where the two are parallel.
    """
    return _crossing(_bytes_of(here), _bytes_of(other))


def _bytes_of(state: PlaneState) -> bytes:
    return np.asarray(state.geometry.directions, dtype=np.float64).tobytes()


@lru_cache(maxsize=64)
def _crossing(here: bytes, other: bytes) -> tuple[float, float] | None:
    # Asked for at each painting, and the same for as long as nothing turns.
    frame, across = (nearest_rotation(np.frombuffer(each).reshape(3, 3)) for each in (here, other))
    along = np.cross(frame[:, 0], across[:, 0])
    length = float(np.linalg.norm(along))
    if length < 1e-6:
        return None
    return float(along @ frame[:, 2]) / length, float(along @ frame[:, 1]) / length
