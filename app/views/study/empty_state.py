"""The opening page: what to drop here, the demo study, and what was opened last, with pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QBoxLayout,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from app.viewmodels.core.settings import Settings
from app.viewmodels.study.recents import Recent, recent_of
from app.viewmodels.study.study import Study, Target
from app.views.parts.elided import ElidedLabel
from app.views.parts.icons import application_icon, dress
from app.views.parts.keys import show_command
from app.views.study.study_browser import pixmap_of

#: Recent places offered here; the menu has all of them.
RECENT_SHOWN = 6

#: Width of the page at most, and of a recent place at least, in logical pixels.
WIDEST, CARD = 760, 250

#: Edge of the application's own picture, and of that of a recent place.
LOGO, PICTURE = 56, 48

#: Left and right of the page.
AROUND = 24


class EmptyState(QWidget):
    """An invitation, not a wizard."""

    def __init__(
        self, study: Study, settings: Settings, commands: dict[str, Callable[[], object]]
    ) -> None:
        super().__init__()
        self._study = study
        self._settings = settings
        self.cards: list[RecentCard] = []
        self._page = QWidget()
        self._page.setMaximumWidth(WIDEST)
        column = QVBoxLayout(self._page)
        column.setContentsMargins(AROUND, 0, AROUND, 0)
        column.setSpacing(10)
        column.addStretch(3)
        column.addLayout(self._head())
        column.addSpacing(10)
        column.addWidget(self._invitation(commands))
        column.addSpacing(10)
        self._recent_title = _line("Opened last", dim=True)
        column.addWidget(self._recent_title)
        self._recent = QGridLayout()
        self._recent.setSpacing(6)
        column.addLayout(self._recent)
        column.addStretch(4)
        outer = QHBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addStretch(1)
        outer.addWidget(self._page, 1000)
        outer.addStretch(1)
        settings.changed.connect(self._preference_changed)
        self.refresh()

    def _head(self) -> QHBoxLayout:
        """The application's picture beside its name and what it is."""
        self.logo = QLabel()
        self.logo.setPixmap(application_icon().pixmap(QSize(LOGO, LOGO)))
        self.logo.setFixedSize(LOGO, LOGO)
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(_line("Med-2E3 viewer", size=6))
        about = "Reads CT studies, and asks a research model about them. Not a medical device."
        words.addWidget(_line(about, dim=True))
        row = QHBoxLayout()
        row.setSpacing(14)
        row.addWidget(self.logo)
        row.addLayout(words, 1)
        return row

    def _invitation(self, commands: dict[str, Callable[[], object]]) -> QFrame:
        """Where to drop a study, what opens, and the buttons."""
        frame = QFrame()
        frame.setProperty("card", True)
        column = QVBoxLayout(frame)
        column.setContentsMargins(16, 14, 16, 14)
        column.setSpacing(8)
        column.addWidget(_line("Drop a CT study here", size=3))
        formats = "a DICOM folder or ZIP, a NIfTI, NRRD, MHA or .npy file"
        column.addWidget(_line(formats, dim=True))
        self._buttons = buttons = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        buttons.setSpacing(10)
        self.buttons: list[QPushButton] = []
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
            self.buttons.append(button)
        buttons.addStretch(1)
        column.addLayout(buttons)
        return frame

    def _preference_changed(self, name: str) -> None:
        # The window must be as wide as these, so that a page behind the images stays as it was.
        if name in ("recent", "recent_facts", "patient_name") and self.isVisible():
            self.refresh()

    def minimumSizeHint(self) -> QSize:
        """Room for the longest of the buttons, which stand one below the other where they must."""
        widest = max(button.minimumSizeHint().width() for button in self.buttons)
        return QSize(widest + 2 * (AROUND + 16), 0)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Buttons and recent places side by side, or one below the other in a narrow window."""
        super().resizeEvent(event)
        way = QBoxLayout.Direction
        room = min(self.width(), WIDEST) - 2 * (AROUND + 16)
        widths = [button.sizeHint().width() for button in self.buttons]
        narrow = sum(widths) + self._buttons.spacing() * len(widths) > room
        self._buttons.setDirection(way.TopToBottom if narrow else way.LeftToRight)
        self._place_cards()

    def refresh(self) -> None:
        """Take over the recent places."""
        while (item := self._recent.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.deleteLater()
        values = self._settings.values
        named = values.corners.patient_name
        self.cards = []
        for place in values.recent[:RECENT_SHOWN]:
            recent = recent_of(place, values.recent_facts.get(place, ()))
            card = RecentCard(recent, named=named)
            card.clicked.connect(lambda _=False, p=place: self._study.start(Target(Path(p))))
            self.cards.append(card)
        self._recent_title.setVisible(bool(self.cards))
        self._place_cards()

    def _place_cards(self) -> None:
        columns = 2 if min(self.width(), WIDEST) - 2 * AROUND >= 2 * CARD else 1
        for k, card in enumerate(self.cards):
            self._recent.addWidget(card, *divmod(k, columns))
        for column in range(2):
            self._recent.setColumnStretch(column, int(column < columns))


class RecentCard(QPushButton):
    """A recent place: its picture, the patient, the study with its date, and where it lies."""

    def __init__(self, recent: Recent, *, named: bool) -> None:
        super().__init__()
        self.recent = recent
        self.setFlat(True)
        self.setToolTip(recent.place)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setProperty("recent", True)
        picture = QLabel()
        picture.setFixedSize(PICTURE, PICTURE)
        picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        picture.setStyleSheet("background: black")
        if recent.picture is not None:
            picture.setPixmap(pixmap_of(recent.picture, self.devicePixelRatioF()))
        lines = [recent.patient if named else "", recent.study]
        self.words = [line for line in lines if line] or [recent.name]
        if len(self.words) < 3 and recent.name not in self.words:
            self.words.append(recent.name)
        self.setAccessibleName("Open " + ", ".join(self.words))
        column = QVBoxLayout()
        column.setSpacing(0)
        column.addStretch(1)
        for k, words in enumerate(self.words):
            label = ElidedLabel(words)
            label.setProperty("dim", k > 0)
            column.addWidget(label)
        column.addStretch(1)
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 4, 6, 4)
        row.setSpacing(10)
        row.addWidget(picture)
        row.addLayout(column, 1)
        for child in self.findChildren(QLabel):
            child.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    def sizeHint(self) -> QSize:
        """As high as the picture or the words need."""
        return self.layout().sizeHint()  # type: ignore[union-attr]

    def minimumSizeHint(self) -> QSize:
        """As narrow as it must be; the words are cut then."""
        return QSize(PICTURE + 40, self.sizeHint().height())


def _line(text: str, *, size: int = 0, dim: bool = False) -> QLabel:
    label = QLabel(text)
    label.setWordWrap(True)
    label.setProperty("dim", dim)
    font = label.font()
    font.setPointSizeF(font.pointSizeF() + size)
    label.setFont(font)
    return label
