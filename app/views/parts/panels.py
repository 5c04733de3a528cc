"""The panels beside the images: where the window is narrow, they give way before the images do."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QSplitter

#: Width of the images that the panels leave free, in logical pixels: two views side by side, one
#: with its strip, in which texts still have room. Narrower only where the panels cannot give way.
IMAGES = 430

#: The images, and the panels at their sides, the first one gives way first.
MIDDLE, SIDES = 1, (0, 2)


class Panels(QSplitter):
    """Three widgets side by side, the images in the middle.

    What a panel gave in a narrow window comes back with the room, unless somebody moved a handle.
    """

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.setChildrenCollapsible(False)
        self.setHandleWidth(3)
        self._given = dict.fromkeys(SIDES, 0)
        self.splitterMoved.connect(lambda *_: self._given.update(dict.fromkeys(SIDES, 0)))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Share a change of width with the panels; Qt alone gives all of it to the images."""
        before = self.sizes()
        super().resizeEvent(event)
        sizes = self.sizes()
        for side in SIDES:  # where the middle had no more, Qt took from the sides, too
            self._given[side] += max(before[side] - sizes[side], 0) if sizes[side] else 0
        spare = sizes[MIDDLE] - IMAGES
        for side in SIDES if spare < 0 else reversed(SIDES):
            wider = min(spare, self._given[side]) if spare > 0 else -min(self._room(side), -spare)
            if self.widget(side).isHidden():  # type: ignore[union-attr]  # there are three
                continue
            sizes[side] += wider
            sizes[MIDDLE] -= wider
            self._given[side] -= wider
            spare -= wider
        self.setSizes(sizes)

    def _room(self, side: int) -> int:
        """The width in pixels that a panel can give up."""
        panel = self.widget(side)
        assert panel is not None
        least = max(panel.minimumWidth(), panel.minimumSizeHint().width())
        return max(self.sizes()[side] - least, 0)
