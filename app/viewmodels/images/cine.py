"""Cine: plays the slices of a plane as a film. Knows no timer: the view calls `step`."""

from __future__ import annotations

from app.viewmodels.core.signal import Signal
from app.viewmodels.images.viewer import Viewer
from med2e3.geometry import Plane

#: Slices a second on the menu; 10 is where stacks of CT are read comfortably.
RATES = (2, 5, 10, 15, 20, 30)
STANDARD_RATE = 10


class Cine:
    """Plays one plane, in a loop or to and fro, until somebody scrolls."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self.playing = False
        self.rate = STANDARD_RATE
        self.bounces = False
        self.plane = Plane.AXIAL
        self._direction = 1
        self._own = False
        self._at = -1
        self.changed: Signal[[]] = Signal()
        viewer.volume_changed.connect(self.stop)
        viewer.slices_changed.connect(self._moved)

    @property
    def interval_ms(self) -> int:
        """Milliseconds between two slices."""
        return round(1000 / self.rate)

    def toggle(self, plane: Plane | None = None) -> None:
        """Stop, or play a plane: the active one where none is named."""
        if self.playing:
            self.stop()
        elif self._viewer.volume is not None:
            self.plane, self.playing, self._direction = plane or self._viewer.active, True, 1
            self._at = self._index
            self.changed.emit()

    def stop(self) -> None:
        """Stay on the slice that is shown."""
        if self.playing:
            self.playing = False
            self.changed.emit()

    def choose_rate(self, slices_a_second: int) -> None:
        """Play faster or slower."""
        self.rate = slices_a_second
        self.changed.emit()

    def choose_bounce(self, bounces: bool) -> None:
        """Play to and fro, or start again after the last slice."""
        self.bounces = bounces
        if not bounces:
            self._direction = 1  # a film running backwards would stop at the first slice
        self.changed.emit()

    def step(self) -> None:
        """Show the next slice."""
        if not self.playing:
            return
        count = self._viewer.shown[self.plane].count
        at = self._index + self._direction
        if not 0 <= at < count:
            if self.bounces:
                self._direction = -self._direction
                at = min(max(self._index + self._direction, 0), count - 1)
            else:
                at = 0
        self._own = True
        self._viewer.go_to_shown(self.plane, at)
        self._own = False
        self._at = self._index

    @property
    def _index(self) -> int:
        return self._viewer.shown[self.plane].slice_index

    def _moved(self) -> None:
        if self.playing and not self._own and self._index != self._at:
            self.stop()
