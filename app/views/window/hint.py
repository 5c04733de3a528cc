"""One line for newcomers above the images, shown until it is dismissed."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QToolButton

from app.viewmodels.window.workspace import Workspace
from app.views.parts.elided import ElidedLabel
from app.views.parts.icons import dress
from app.views.parts.keys import native_keys


class Hint(QFrame):
    """A strip across the window while a study is open; it covers no image."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._workspace = workspace
        self.setProperty("bar", "notice")
        self.text = ElidedLabel()
        self.dismiss = QToolButton()
        dress(self.dismiss, "close")
        self.dismiss.setToolTip("Do not show this again")
        self.dismiss.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.dismiss.clicked.connect(self._dismiss)
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 3, 6, 3)
        row.addWidget(self.text, 1)
        row.addWidget(self.dismiss)
        workspace.viewer.volume_changed.connect(self.refresh)
        workspace.shortcuts.changed.connect(self.refresh)
        workspace.settings.changed.connect(self._preference_changed)
        self.refresh()

    def refresh(self) -> None:
        """Name the keys as they are now, and show the line unless it was dismissed."""
        keys = self._workspace.shortcuts.keys
        parts = ["Wheel: slices", "Right drag: zoom", "Shift + drag: window"]
        for name, what in (("palette", "every command"), ("help", "all keys")):
            if keys(name):
                parts.append(f"{native_keys(keys(name)[:1])}: {what}")
        self.text.setText("   ·   ".join(parts))
        values = self._workspace.settings.values
        self.setVisible(self._workspace.viewer.volume is not None and not values.hint_dismissed)

    def _dismiss(self) -> None:
        self._workspace.settings.set("hint_dismissed", True)
        self._workspace.settings.save()

    def _preference_changed(self, name: str) -> None:
        if name == "hint_dismissed":
            self.refresh()
