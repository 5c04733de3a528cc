"""What the parts of the `Viewer` share: the `Look` on the screen, read and replaced whole."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from app.imaging.plane import PlaneState
from app.imaging.slab import Slab
from app.viewmodels.core.undo import UndoStack
from app.viewmodels.images.look import Look
from med2e3.geometry import Plane
from med2e3.volume import Volume

Float = NDArray[np.float64]


class Screen:
    """The look on the screen. Each part replaces it and then emits a signal of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.look = Look()
        #: What the reader did on the open volume: who changes something pushes a step.
        self.steps = UndoStack()

    @property
    def volume(self) -> Volume | None:
        """The volume on the screen, whole or still filling; None while there is none."""
        return self.look.volume

    @property
    def previewing(self) -> bool:
        """Whether voxels are still being read into the volume on the screen."""
        return self.look.filling

    @property
    def planes(self) -> Mapping[Plane, PlaneState]:
        """The stored slices in the three anatomical planes; empty without a volume."""
        return self.look.planes

    @property
    def shown(self) -> Mapping[Plane, PlaneState]:
        """What the views show: the stored slices, or oblique planes in their place."""
        return self.look.shown

    @property
    def crosshair_mm(self) -> Float:
        """(3,) the common point of the planes in LPS mm."""
        return self.look.crosshair_mm

    @property
    def slab(self) -> Slab:
        """How thick the planes are shown, and how their layers are combined."""
        return self.look.slab

    @property
    def unit(self) -> str:
        """The unit of the voxel values, "HU" in CT."""
        return self.look.unit
