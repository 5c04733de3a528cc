"""The part of the `Viewer` that turns planes out of the stored ones and thickens them to slabs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from app.imaging import linear, oblique
from app.imaging.raster import Reslice
from app.imaging.sampler import Sampler
from app.imaging.slab import Slab
from app.viewmodels.core.signal import Signal
from app.viewmodels.images.navigation import Navigation
from med2e3.geometry import Plane
from med2e3.measures import SlicePlane

Float = NDArray[np.float64]


class TurnedPlanes(Navigation):
    """Oblique planes and slabs.

    `turned` follows a turn, its end, and whether planes can be turned at all; `slab_changed`
    follows another slab. Both come after `slices_changed`, since other pixels are shown. `reslice`
    reads the exact pictures.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reslice: Reslice = linear.reslice
        self.can_turn = True
        self.turned: Signal[[]] = Signal()
        self.slab_changed: Signal[[]] = Signal()

    @property
    def is_turned(self) -> bool:
        """Whether the planes were turned out of the stored ones."""
        return bool(self.look.turned)

    def allow_turning(self, *, allowed: bool) -> None:
        """Offer the turning of planes to the reader, or not: two volumes compare straight."""
        self.can_turn = allowed
        self.turned.emit()

    def turn(self, keep: Plane, radians: float) -> None:
        """Turn the other two planes about the normal of `keep`, from its columns to its rows."""
        sampler = self._sampler()
        if sampler is None:
            return
        self.look = replace(
            self.look, turned=oblique.turned(self.shown, sampler, self.crosshair_mm, keep, radians)
        )
        self._moved()
        self.turned.emit()

    def turn_onto(self, target: SlicePlane, patient_mm: Float) -> Plane | None:
        """Turn the planes so that one shows `target` at a point of it; which one does.

        None where planes cannot be turned now: they only go to the point.
        """
        sampler, name = self._sampler(), None
        if sampler is not None and self.can_turn:
            name, turned = oblique.turned_onto(self.planes, sampler, target)
            self.look = replace(self.look, turned=turned)
        self.move_crosshair(patient_mm)
        self.turned.emit()
        return name

    def straighten(self) -> None:
        """Back to the stored planes; zoom and pan start anew where a plane was turned."""
        if self.is_turned:
            self.look = replace(self.look, turned={})
            self.move_crosshair(self.crosshair_mm)
            self.turned.emit()

    def set_slab(self, slab: Slab) -> None:
        """Show slabs, or planes alone (a thickness of 0)."""
        self.look = replace(self.look, slab=slab)
        for state in self.look.states:
            state.slab = slab
        self._moved()
        self.slab_changed.emit()

    def _sampler(self) -> Sampler | None:
        """What samples the volume between its voxels, made at the first turn; None without one."""
        if self.look.sampler is None and self.volume is not None:
            self.look = replace(self.look, sampler=Sampler(self.volume, self.reslice))
        return self.look.sampler
