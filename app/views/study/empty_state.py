"""What stands in the centre while no study is open: what to drop here, and the demo study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.viewmodels.core.settings import Settings
from app.viewmodels.study.study import Study, Target
from app.views.parts.icons import dress
from app.views.parts.keys import show_command

#: Recent places offered here; the menu has all of them.
RECENT_SHOWN = 4


class EmptyState(QWidget):
    """An invitation, not a wizard."""

    def __init__(
        self, study: Study, settings: Settings, commands: dict[str, Callable[[], object]]
    ) -> None:
        super().__init__()
        self._study = study
        self._settings = settings
        title = _line("Drop a CT study here", size=6)
        formats = _line("a DICOM folder or ZIP, a NIfTI, NRRD, MHA or .npy file", dim=True)
        self._buttons = buttons = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        buttons.setSpacing(10)
        buttons.addStretch(1)
        for name, label, symbol in (
            ("open_folder", "Open folder…", "folder"),
            ("open_files", "Open file…", "open"),
            ("open_demo", "Open the demo study", "demo"),
        ):
            button = QPushButton(label)
            dress(button, symbol)
            button.setIconSize(QSize(18, 18))
            show_command(button, name)
            button.setMinimumHeight(32)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.clicked.connect(lambda _=False, act=commands[name]: act())
            buttons.addWidget(button)
        buttons.addStretch(1)
        self._recent = QVBoxLayout()
        self._recent.setSpacing(2)
        layout = QVBoxLayout(self)
        layout.setSpacing(10)
        layout.addStretch(3)
        layout.addWidget(title)
        layout.addWidget(formats)
        layout.addSpacing(8)
        layout.addLayout(buttons)
        layout.addSpacing(8)
        layout.addLayout(self._recent)
        layout.addStretch(4)
        settings.changed.connect(self._preference_changed)
        self.refresh()

    def _preference_changed(self, name: str) -> None:
        # The window must be as wide as these, so that a page behind the images stays as it was.
        if name == "recent" and self.isVisible():
            self.refresh()

    def minimumSizeHint(self) -> QSize:
        """Room for the longest of the buttons, which stand one below the other where they must."""
        buttons = self.findChildren(QPushButton)
        widest = max(button.minimumSizeHint().width() for button in buttons)
        return QSize(widest + 2 * 24, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Buttons side by side, or one below the other where the window is narrow."""
        super().resizeEvent(event)
        way = QBoxLayout.Direction
        narrow = self._wanted() > self.width()
        self._buttons.setDirection(way.TopToBottom if narrow else way.LeftToRight)

    def _wanted(self) -> int:
        items = (self._buttons.itemAt(k) for k in range(self._buttons.count()))
        widths = [item.sizeHint().width() for item in items if item is not None]
        return sum(widths) + self._buttons.spacing() * len(widths)

    def refresh(self) -> None:
        """Take over the recent places."""
        while (item := self._recent.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.deleteLater()
        for place in self._settings.values.recent[:RECENT_SHOWN]:
            link = QPushButton(_shortened(place))
            link.setToolTip(place)
            link.setFlat(True)
            link.clicked.connect(lambda _=False, p=place: self._study.start(Target(Path(p))))
            self._recent.addWidget(link, 0, Qt.AlignmentFlag.AlignHCenter)


def _line(text: str, *, size: int = 0, dim: bool = False) -> QLabel:
    label = QLabel(text)
    label.setAlignment(Qt.AlignmentFlag.AlignCenter)
    label.setWordWrap(True)
    label.setProperty("dim", dim)
    font = label.font()
    font.setPointSizeF(font.pointSizeF() + size)
    label.setFont(font)
    return label


def _shortened(place: str) -> str:
    path = Path(place)
    return str(Path(*path.parts[-2:])) if len(path.parts) > 3 else place
