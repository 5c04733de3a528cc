"""The menu of colour maps in the toolbar, each with its strip; overlays are opened from it too."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QActionGroup, QIcon, QPixmap
from PySide6.QtWidgets import QMenu, QToolButton

from app.imaging.colour_names import ColourMap
from app.rendering.colour_maps import swatch
from app.viewmodels.images.viewer import Viewer

#: Size of a strip in the menu, and of the one on the button, in logical pixels.
STRIP, ICON = (16, 16), (20, 20)


class ColourButton(QToolButton):
    """Which colours the images are shown in."""

    def __init__(self, viewer: Viewer, others: list[QAction]) -> None:
        """`others`: actions below the colour maps."""
        super().__init__()
        self._viewer = viewer
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setToolTip("Colour map of the images, and overlays")
        self.setAccessibleName("Colours")
        menu = QMenu(self)
        group = QActionGroup(self)
        self.maps: dict[ColourMap, QAction] = {}
        self._drawn: ColourMap | None = None
        for name in ColourMap:
            action = menu.addAction(_icon(name, STRIP), f"{name[:1].upper()}{name[1:]}")
            action.setCheckable(True)
            action.triggered.connect(lambda _=False, n=name: viewer.use_colours(n))
            group.addAction(action)
            self.maps[name] = action
        menu.addSeparator()
        for other in others:
            menu.addAction(other)
        self.setMenu(menu)
        viewer.window_changed.connect(self.refresh)
        viewer.volume_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Take over the map in use."""
        shown = self._viewer.colours_shown
        self.maps[shown].setChecked(True)
        if shown is not self._drawn:  # each step of a drag of the window comes by here
            self._drawn = shown
            self.setIcon(_icon(shown, ICON))
        self.setEnabled(self._viewer.volume is not None)


def _icon(name: ColourMap, size: tuple[int, int]) -> QIcon:
    return QIcon(QPixmap.fromImage(swatch(name, *size)))
