"""The part of the `Viewer` that says where: crosshair, slices, zoom and the voxel under the mouse.

The crosshair is a point of the patient in LPS mm; each plane shows the slice through it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from app.imaging import oblique
from app.imaging.plane import PlaneState
from app.imaging.turn import Turn
from app.imaging.viewport import Viewport
from app.viewmodels.core.signal import Signal
from app.viewmodels.core.undo import Step
from app.viewmodels.images.screen import Screen
from med2e3.geometry import Plane

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Readout:
    """The voxel under the mouse: its value, its centre in LPS mm, and the value's unit.

    `index` counts its column, row and slice in the file, from 0.
    """

    value: float
    patient_mm: tuple[float, float, float]
    unit: str
    index: tuple[int, int, int] = (0, 0, 0)


class Navigation(Screen):
    """Which place of the volume the planes show, and how large.

    `slices_changed` follows a move of the crosshair and every other change of the pixels that a
    plane shows; `zoomed` names the plane that was zoomed or panned. `sent_to` names the plane in
    which the reader was brought to a place; a plane that the mouse makes active is not announced.
    """

    def __init__(self) -> None:
        super().__init__()
        self.active = Plane.AXIAL
        self.readout: Readout | None = None
        self.slices_changed: Signal[[]] = Signal()
        self.zoomed: Signal[[Plane]] = Signal()
        self.readout_changed: Signal[[]] = Signal()
        self.sent_to: Signal[[Plane]] = Signal()
        self.activated: Signal[[]] = Signal()

    def move_crosshair(self, patient_mm: Float) -> None:
        """Bring all planes to the voxel nearest to a point in LPS mm, kept inside the volume."""
        if self.volume is None:
            return
        if self.look.turned:
            inside = oblique.kept_inside(self.look.turned, patient_mm)
        else:
            geometry = self.volume.geometry
            last = np.asarray(geometry.shape) - 1
            inside = geometry.to_patient_mm(np.clip(geometry.to_index(patient_mm), 0, last))
        self.look = replace(self.look, crosshair_mm=inside)
        self.look.place()
        self._moved()

    def point(self, plane: Plane, row: float, column: float) -> None:
        """Bring the crosshair to a (row, column) of the slice that `plane` shows."""
        if plane in self.planes:
            self.move_crosshair(self.shown[plane].mm_at(row, column))

    def scroll(self, plane: Plane, steps: int) -> None:
        """Move `plane` by so many slices; it stops at the first and the last one."""
        if plane in self.planes:
            self.go_to_shown(plane, self.shown[plane].slice_index + steps)

    def go_to_slice(self, plane: Plane, slice_index: float) -> None:
        """Go to a stored slice (0-based, display order) of an anatomical plane."""
        self._go(self.planes.get(plane), slice_index)

    def go_to_shown(self, plane: Plane, slice_index: float) -> None:
        """Show a slice of what `plane` shows, oblique or not; the others keep their place."""
        self._go(self.shown.get(plane), slice_index)

    def _go(self, state: PlaneState | None, slice_index: float) -> None:
        if state is None:
            return
        inside = min(max(slice_index, 0.0), state.count - 1.0)
        self.move_crosshair(state.mm_at(*state.crosshair, slice_index=inside))

    def activate(self, plane: Plane) -> None:
        """Let the keys act on this plane."""
        if plane is not self.active:
            self.active = plane
            self.activated.emit()

    def send_to(self, plane: Plane) -> None:
        """Let the keys act on this plane, and whoever shows only one plane show this one."""
        self.activate(plane)
        self.sent_to.emit(plane)

    def set_viewport(self, plane: Plane, viewport: Viewport) -> None:
        """Zoom and pan one plane."""
        if plane in self.planes:
            self.shown[plane].look(viewport)
            self.zoomed.emit(plane)

    def lie(self, plane: Plane, change: Callable[[Turn], Turn]) -> None:
        """Turn or mirror one plane on the screen, as a step that can be undone."""
        state = self.planes.get(plane)
        if state is not None and not self.look.turned:
            before, after = state.turn, change(state.turn)
            self._lie(state, after)
            undo, redo = partial(self._lie, state, before), partial(self._lie, state, after)
            self.steps.push(Step("turn of an image", undo, redo))

    def _lie(self, state: PlaneState, turn: Turn) -> None:
        state.lie(turn)
        self.slices_changed.emit()
        self.zoomed.emit(state.plane)

    def one_to_one(self, plane: Plane, width: float, height: float) -> None:
        """Show a plane with the shorter side of a voxel on one pixel of a view of that size."""
        if plane in self.planes:
            viewport = self.shown[plane].viewport(width, height)
            factor = 1 / (min(viewport.spacing_mm) * viewport.pixels_per_mm)
            self.set_viewport(plane, viewport.zoomed(factor, width / 2, height / 2))

    def fit(self) -> None:
        """Show every plane whole, in the middle of its view."""
        for state in self.look.states:
            state.reset_view()
        for plane in self.planes:
            self.zoomed.emit(plane)

    def hover(self, plane: Plane, row: float, column: float) -> None:
        """Read the voxel under the mouse."""
        state = self.shown.get(plane)
        value = state.value_at(row, column) if state is not None else None
        if state is None or value is None:
            self.leave()
            return
        x, y, z = (float(v) for v in state.mm_at(round(row), round(column)))
        assert self.volume is not None  # there is a plane of it
        stored = np.rint(self.volume.geometry.to_index((x, y, z))).astype(int)
        s, r, c = (int(n) for n in stored)
        self.readout = Readout(value, (x, y, z), self.unit, (c, r, s))
        self.readout_changed.emit()

    def leave(self) -> None:
        """The mouse is over no voxel."""
        self.readout = None
        self.readout_changed.emit()

    @property
    def is_coarse(self) -> bool:
        """Whether a picture is coarser than it can be, because something has just moved."""
        return self.next_coarse() is not None

    def next_coarse(self) -> PlaneState | None:
        """The plane that should become exact next, the active one first; None if all are."""
        order = (self.active, *(plane for plane in Plane if plane is not self.active))
        states = (self.shown[plane] for plane in order if plane in self.shown)
        return next((state for state in states if state.is_coarse), None)

    def settle(self) -> None:
        """Show everything as finely as it can be at once, however long that takes."""
        self.look.mark_moving(moving=False)
        self.slices_changed.emit()

    def _moved(self) -> None:
        """The planes show other pixels, which may be coarse until nothing moves."""
        self.look.mark_moving(moving=True)
        self.slices_changed.emit()
