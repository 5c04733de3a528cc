"""The brush: paints labels of an overlay, or wipes them away, as a disc in a plane or a ball.

A stroke is one step that can be undone. Places and sizes are mm in the patient, so that a label map
may have any grid. Knows no widgets.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.imaging import numbers, windows
from app.viewmodels.core.latest import LatestJob
from app.viewmodels.core.notices import Notices
from app.viewmodels.core.signal import Signal
from app.viewmodels.core.tasks import Tasks
from app.viewmodels.core.undo import Step
from app.viewmodels.core.work import Done, Failed, Job, Message
from app.viewmodels.images.layers import Label, Layer
from app.viewmodels.images.overlays import Overlays
from app.viewmodels.images.viewer import Viewer
from med2e3.geometry import Float, Geometry
from med2e3.volume import Volume

#: The tool of the left mouse button that paints.
BRUSH = "brush"

#: Diameters in mm that a brush can have, its first one, and one step of the wheel.
SIZES_MM, FIRST_MM, NOTCH = (1.0, 120.0), 12.0, 1.15

#: Stamps along a stroke are this share of the radius apart: the edge stays smooth.
STAMP = 0.35

#: Most stamps of one movement of the mouse: more would hold the window up.
MOST_STAMPS = 64

#: The largest value of a label that is painted.
LARGEST = 4095


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured of a painted label; HU only where it lies on the volume's own grid."""

    millilitres: float
    long_mm: float
    short_mm: float
    mean: float | None = None
    sd: float | None = None
    low: float | None = None
    high: float | None = None


class Measurer(Protocol):
    """Measures labels."""

    def measure(self, volume: Volume, layer: Layer, value: int) -> Job[Measured]:
        """The size of one label of a layer, and the values of the volume in it."""
        ...


#: Parts of an array by the numbers of their blocks.
_Blocks = dict[tuple[int, int, int], NDArray[np.int16]]


@dataclass(eq=False)
class _Stroke:
    """A stroke on its way: the array that it changes and what was there before."""

    voxels: NDArray[np.int16]
    at: Float
    before: _Blocks = field(default_factory=dict)
    #: How many voxels each value has more, since the layer was shown last.
    came: Counter[int] = field(default_factory=Counter)


#: Edge of the blocks of voxels that a stroke keeps as they were before, for undo.
BLOCK = 32


class Brush:
    """What the brush is, which label it paints, and the stroke on its way."""

    def __init__(
        self,
        viewer: Viewer,
        overlays: Overlays,
        measurer: Measurer,
        tasks: Tasks,
        notices: Notices,
        explain: Callable[[BaseException], Message],
    ) -> None:
        self._viewer = viewer
        self._overlays = overlays
        self._measurer = measurer
        self._tasks = tasks
        self._notices = notices
        self._explain = explain
        self._stroke: _Stroke | None = None
        self._job: LatestJob[Measured] = LatestJob()
        #: Arrays that belong to the brush and may be changed in place, by their numbers.
        self._own: dict[int, NDArray[np.int16]] = {}
        self._target: NDArray[np.int16] | None = None
        self._about: Volume | None = None
        self._wipes = False
        self._count = 0
        self.value = 1
        self.size_mm = FIRST_MM
        self.is_ball = False
        self.erases = False
        self.measured: Measured | None = None
        self.changed: Signal[[]] = Signal()
        overlays.changed.connect(self._overlays_changed)
        viewer.volume_changed.connect(self._volume_changed)

    # --- what it is ------------------------------------------------------------------------

    @property
    def in_hand(self) -> bool:
        """Whether the left mouse button paints now."""
        return self._viewer.holds(BRUSH)

    @property
    def painting(self) -> bool:
        """Whether a stroke is on its way."""
        return self._stroke is not None

    def set(
        self,
        *,
        size_mm: float | None = None,
        is_ball: bool | None = None,
        erases: bool | None = None,
    ) -> None:
        """Another size, form or effect."""
        low, high = SIZES_MM
        self.size_mm = self.size_mm if size_mm is None else min(max(size_mm, low), high)
        self.is_ball = self.is_ball if is_ball is None else is_ball
        self.erases = self.erases if erases is None else erases
        self.changed.emit()

    def grow(self, notches: float) -> None:
        """A larger or smaller brush, by notches of the wheel."""
        self.set(size_mm=self.size_mm * NOTCH**notches)

    def choose(self, layer: Layer, value: int) -> None:
        """Paint on a label of a layer from now on, with the brush in the hand."""
        self._target, self.value = layer.voxels, value
        self._viewer.choose_tool(BRUSH)
        self._measure()
        self.changed.emit()

    def begin_label(self) -> None:
        """Paint on a new label from now on, which the next stroke makes."""
        layer = self.layer
        if layer is None:
            self._target = None
        else:
            self.value = max((one.value for one in layer.labels), default=0) + 1
        self.measured = None
        self.changed.emit()

    @property
    def layer(self) -> Layer | None:
        """The layer that is painted on; None: the next stroke makes one."""
        return self._overlays.of_voxels(self._target)

    @property
    def label(self) -> Label | None:
        """The label that is painted."""
        layer = self.layer
        labels = layer.labels if layer is not None else ()
        return next((one for one in labels if one.value == self.value), None)

    @property
    def words(self) -> str:
        """Which label is painted, its size, and the values in it."""
        label, found = self.label, self.measured
        if label is None:
            return "The next stroke begins a new label."
        parts = [label.name, f"{label.millilitres:.2f} ml"]
        if found is not None and found.millilitres:
            if found.mean is not None:
                mean = windows.with_unit(numbers.signed(found.mean), self._viewer.unit)
                parts.append(f"mean {mean}, SD {found.sd:.1f}")
            parts.append(f"longest {found.long_mm:.1f} × {found.short_mm:.1f} mm")
        return " · ".join(parts)

    # --- strokes ---------------------------------------------------------------------------

    def press(self, at_mm: Float, normal: Float, *, erases: bool = False) -> None:
        """Begin a stroke at a place (LPS mm) of a plane with this unit normal."""
        if not self.in_hand:
            return
        wipes = erases or self.erases
        if wipes and self.label is None:
            return
        layer = self._painted_on()
        if layer is None:
            return
        self._stroke = _Stroke(layer.voxels, np.asarray(at_mm, dtype=np.float64))
        self._wipes = wipes
        self.move(at_mm, normal)

    def move(self, at_mm: Float, normal: Float) -> None:
        """Go on with the stroke, in a straight line to a place."""
        stroke, layer = self._stroke, self.layer
        if stroke is None or layer is None:
            return
        end, start = np.asarray(at_mm, dtype=np.float64), stroke.at
        apart = float(np.linalg.norm(end - start))
        count = min(max(math.ceil(apart / max(self.size_mm * STAMP / 2, 0.1)), 1), MOST_STAMPS)
        for k in range(1, count + 1):
            self._stamp(stroke, layer.geometry, start + (end - start) * (k / count), normal)
        stroke.at = end
        if stroke.came:
            labels = _counted(layer, stroke.came)
            stroke.came.clear()
            self._overlays.repaint(layer, labels)

    def release(self) -> None:
        """End the stroke; it becomes a step that can be undone."""
        stroke, layer = self._stroke, self.layer
        self._stroke = None
        if stroke is None or layer is None or not stroke.before:
            return
        after = {at: _block(stroke.voxels, at).copy() for at in stroke.before}
        before, voxels, name = stroke.before, stroke.voxels, self._step_name()
        self._viewer.steps.push(
            Step(name, lambda: self._put(voxels, before), lambda: self._put(voxels, after))
        )
        self._measure()
        self.changed.emit()

    def _step_name(self) -> str:
        label = self.label
        return f"{'wipe' if self._wipes else 'paint'} {label.name if label else 'label'}"

    def _painted_on(self) -> Layer | None:
        """The layer to change in place: the chosen one, its copy, or a new one."""
        layer, volume = self.layer, self._viewer.volume
        if layer is None:
            if volume is None:
                return None
            self._count += 1
            self.value = 1
            voxels = np.zeros(volume.shape, np.int16)
            self._own[id(voxels)] = voxels
            self._target = voxels
            name = f"painted {self._count}"
            label = Label(1, name, self._overlays.fresh_colour, 0.0)
            self._overlays.lay(Layer(name, voxels, volume.geometry, (label,)))
            return self.layer
        if id(layer.voxels) not in self._own:
            voxels = layer.voxels.astype(np.int16)
            self._own[id(voxels)] = voxels
            self._target = voxels
            self._overlays.replace(
                layer, replace(layer, voxels=voxels, about=""), "paint on a copy"
            )
        layer = self.layer
        if layer is not None and self.label is None:
            label = Label(
                min(self.value, LARGEST),
                f"label {self.value}",
                self._overlays.fresh_colour,
                0.0,
            )
            self._overlays.change(layer, labels=(*layer.labels, label))
        return self.layer

    def _stamp(self, stroke: _Stroke, geometry: Geometry, at: Float, normal: Float) -> None:
        """Paint one disc or ball."""
        found = stamp(geometry, at, self.size_mm / 2, None if self.is_ball else normal)
        if found is None:
            return
        box, inside = found
        part = stroke.voxels[box]
        mask = inside & (part == self.value) if self._wipes else inside & (part != self.value)
        if not mask.any():
            return
        for at_block in _blocks(box):
            if at_block not in stroke.before:
                stroke.before[at_block] = _block(stroke.voxels, at_block).copy()
        new = 0 if self._wipes else self.value
        stroke.came.subtract(part[mask].tolist())
        stroke.came[new] += int(mask.sum())
        part[mask] = new

    def _put(self, voxels: NDArray[np.int16], blocks: _Blocks) -> None:
        """Take a stroke back, or do it again."""
        came: Counter[int] = Counter()
        for at, values in blocks.items():
            there = _block(voxels, at)
            other = there != values
            came.subtract(there[other].tolist())
            came.update(values[other].tolist())
            there[...] = values
        layer = self._overlays.of_voxels(voxels)
        if layer is not None:
            self._overlays.repaint(layer, _counted(layer, came))
            self._measure()

    # --- what follows ----------------------------------------------------------------------

    def _measure(self) -> None:
        layer, volume = self.layer, self._viewer.volume
        if layer is None or volume is None:
            return
        job = self._job.start(self._measurer.measure, volume, layer, self.value)
        self._tasks.start(self._take(job))

    async def _take(self, job: Job[Measured]) -> None:
        outcome = await self._job.result(job)
        if isinstance(outcome, Done):
            self.measured = outcome.value
            self.changed.emit()
        elif isinstance(outcome, Failed):
            self._notices.show(self._explain(outcome.error))

    def _overlays_changed(self) -> None:
        """What was painted on may be gone: the next stroke then begins anew."""
        if self._target is not None and self.layer is None and self._stroke is None:
            self.measured = None
            self.changed.emit()

    def _volume_changed(self) -> None:
        if self._viewer.open_volume is not self._about:
            self._about = self._viewer.open_volume
            self._stroke = self._target = self.measured = None
            self._own.clear()
            self._job.cancel()
            self._count, self.value = 0, 1
            self.changed.emit()


def stamp(
    geometry: Geometry, at_mm: Float, radius_mm: float, normal: Float | None
) -> tuple[tuple[slice, slice, slice], NDArray[np.bool_]] | None:
    """The box of voxels about a place, and which of them lie within the brush.

    A ball, or with a `normal` a disc of one layer of voxels in its plane. The voxel at the place
    itself always belongs to it. None where the place is outside of the grid.
    """
    centre = geometry.to_index(at_mm)
    reach = radius_mm / np.asarray(geometry.spacing_mm) / max(geometry_skew(geometry), 0.2) + 1
    low = np.maximum(np.floor(centre - reach), 0).astype(int)
    high = np.minimum(np.ceil(centre + reach) + 1, geometry.shape).astype(int)
    if (low >= high).any():
        return None
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    axes = [np.arange(a, b, dtype=np.float64) for a, b in zip(low, high, strict=True)]
    steps = geometry.affine_lps[:3, :3]
    away = geometry.to_patient_mm(low.astype(np.float64)) - np.asarray(at_mm)
    grid = [
        away[k]
        + steps[k, 0] * (axes[0] - low[0])[:, None, None]
        + steps[k, 1] * (axes[1] - low[1])[None, :, None]
        + steps[k, 2] * (axes[2] - low[2])[None, None, :]
        for k in range(3)
    ]
    if normal is None:
        inside = grid[0] ** 2 + grid[1] ** 2 + grid[2] ** 2 <= radius_mm**2
    else:
        depth = sum(grid[k] * float(normal[k]) for k in range(3))
        half = 0.5 * float(np.abs(np.asarray(normal) @ steps).max())
        square = sum((grid[k] - depth * float(normal[k])) ** 2 for k in range(3))
        inside = (square <= radius_mm**2) & (depth >= -half) & (depth < half)
    nearest = np.floor(centre + 0.5).astype(int) - low
    if (nearest >= 0).all() and (nearest < inside.shape).all():
        inside[tuple(nearest)] = True
    return (box[0], box[1], box[2]), inside


def geometry_skew(geometry: Geometry) -> float:
    """The smallest height of a voxel over its longest face, as a share of that of a brick: ≤ 1."""
    return float(abs(np.linalg.det(geometry.directions)))


def _counted(layer: Layer, came: Counter[int]) -> tuple[Label, ...]:
    """The labels of a layer after so many voxels of each value have come."""
    ml = layer.geometry.voxel_ml
    return tuple(
        replace(one, millilitres=max(one.millilitres + came[one.value] * ml, 0.0))
        for one in layer.labels
    )


def _blocks(box: tuple[slice, slice, slice]) -> list[tuple[int, int, int]]:
    """The blocks that a box touches, each by its number along every axis."""
    ranges = [range(one.start // BLOCK, (one.stop - 1) // BLOCK + 1) for one in box]
    return [(i, j, k) for i in ranges[0] for j in ranges[1] for k in ranges[2]]


def _block(voxels: NDArray[np.int16], at: tuple[int, int, int]) -> NDArray[np.int16]:
    i, j, k = (slice(n * BLOCK, (n + 1) * BLOCK) for n in at)
    return voxels[i, j, k]
