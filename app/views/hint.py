"""One line for newcomers over the images, until it is dismissed; never a wizard."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QToolButton, QWidget

from app.viewmodels.workspace import Workspace
from app.views.icons import dress
from app.views.keys import native_keys

#: Distance from the lower edge of the images, in logical pixels.
ABOVE = 14


class Hint(QFrame):
    """Lies over the lower edge of the images as soon as a study is open."""

    def __init__(self, over: QWidget, workspace: Workspace) -> None:
        super().__init__(over)
        self._over = over
        self._workspace = workspace
        self.setProperty("card", True)
        self.text = QLabel()
        self.dismiss = QToolButton()
        dress(self.dismiss, "close")
        self.dismiss.setToolTip("Do not show this again")
        self.dismiss.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.dismiss.clicked.connect(self._dismiss)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 4, 4, 4)
        row.addWidget(self.text)
        row.addWidget(self.dismiss)
        workspace.viewer.volume_changed.connect(self.refresh)
        workspace.shortcuts.changed.connect(self.refresh)
        over.installEventFilter(self)
        self.refresh()

    def refresh(self) -> None:
        """Show or hide; name the keys as they are now."""
        keys = self._workspace.shortcuts.keys
        parts = ["Wheel: slices", "Right drag: zoom", "Shift + drag: window"]
        for name, what in (("palette", "every command"), ("help", "all keys")):
            if keys(name):
                parts.append(f"{native_keys(keys(name)[:1])}: {what}")
        self.text.setText("   ·   ".join(parts))
        values = self._workspace.settings.values
        self.setVisible(self._workspace.viewer.volume is not None and not values.hint_dismissed)
        self._place()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Stay at the lower edge."""
        if event.type() == QEvent.Type.Resize:
            self._place()
        return False

    def _place(self) -> None:
        self.adjustSize()
        x = (self._over.width() - self.width()) // 2
        self.move(max(x, 0), self._over.height() - self.height() - ABOVE)
        self.raise_()

    def _dismiss(self) -> None:
        self._workspace.settings.values.hint_dismissed = True
        self._workspace.settings.save()
        self.hide()
