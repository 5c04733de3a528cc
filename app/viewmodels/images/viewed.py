"""Which slices of each plane the reader has had on the screen. Knows no widgets."""

from __future__ import annotations

from app.viewmodels.core.signal import Signal
from app.viewmodels.images.viewer import Viewer
from med2e3.geometry import Plane


class Viewed:
    """Slices in display order, of the volume that is open; another volume begins anew.

    Turned planes count nothing: a slice of them is none of the volume's.
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._slices: dict[Plane, set[int]] = {plane: set() for plane in Plane}
        self.changed: Signal[[]] = Signal()
        viewer.volume_changed.connect(self._begin)
        viewer.slices_changed.connect(self._look)
        self._begin()

    def of(self, plane: Plane) -> frozenset[int]:
        """The slices of a plane that were on the screen."""
        return frozenset(self._slices[plane])

    def runs(self, plane: Plane) -> list[tuple[int, int]]:
        """The same as first and last slices of runs without a gap, in order."""
        found: list[tuple[int, int]] = []
        for index in sorted(self._slices[plane]):
            if found and found[-1][1] == index - 1:
                found[-1] = (found[-1][0], index)
            else:
                found.append((index, index))
        return found

    def _begin(self) -> None:
        for seen in self._slices.values():
            seen.clear()
        self._look()
        self.changed.emit()

    def _look(self) -> None:
        alone, new = self._viewer.maximised, False
        for plane, state in self._viewer.planes.items():
            if alone in (None, plane) and not self._viewer.is_turned:
                seen, index = self._slices[plane], state.slice_index
                new = new or index not in seen
                seen.add(index)
        if new:
            self.changed.emit()
