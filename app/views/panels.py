"""The panels beside the images: where the window is narrow, they give way before the images do."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QSplitter

#: Width of the images that the panels leave free, in logical pixels: two views side by side, one
#: with its strip, in which texts still have room. Narrower only where the panels cannot give way.
IMAGES = 430


class Panels(QSplitter):
    """Three widgets side by side, the images in the middle."""

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.setChildrenCollapsible(False)
        self.setHandleWidth(3)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Qt takes all that is missing from the middle; give it back from the sides."""
        super().resizeEvent(event)
        sizes = self.sizes()
        missing = IMAGES - sizes[1]
        if missing <= 0:
            return
        for side in (0, 2):
            panel = self.widget(side)
            assert panel is not None  # there are three
            least = max(panel.minimumWidth(), panel.minimumSizeHint().width())
            given = min(max(sizes[side] - least, 0), missing) if not panel.isHidden() else 0
            sizes[side] -= given
            sizes[1] += given
            missing -= given
        self.setSizes(sizes)
