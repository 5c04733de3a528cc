"""The strips across the window: errors, lasting warnings of a volume, and loading."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.viewmodels.core.notices import Notices
from app.viewmodels.images.viewer import Viewer
from app.viewmodels.study.study import Study
from app.views.parts.icons import dress
from app.views.parts.theme import mark

#: Lines of an error's details that are seen at once.
MOST_LINES = 9


class ErrorBar(QFrame):
    """The latest notice: its sentence, details on demand, and a button for its remedy."""

    def __init__(self, notices: Notices) -> None:
        super().__init__()
        self._notices = notices
        self.setProperty("bar", "error")
        self.sentence = _label()
        self.remedy = QPushButton()
        self.remedy.clicked.connect(self._act)
        self.details = QPlainTextEdit()
        self.details.setAccessibleName("Details of the message")
        self.details.setReadOnly(True)
        self.more = QPushButton("Details")
        self.more.setCheckable(True)
        self.more.toggled.connect(self.details.setVisible)
        self.close_button = QToolButton()
        dress(self.close_button, "close")
        self.close_button.setToolTip("Dismiss")
        self.close_button.clicked.connect(notices.dismiss)
        row = QHBoxLayout()
        row.addWidget(self.sentence, 1)
        for button in (self.remedy, self.more, self.close_button):
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            row.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 4, 6, 4)
        layout.addLayout(row)
        layout.addWidget(self.details)
        notices.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the latest notice, its details folded; hide the bar where there is none."""
        message, remedy = self._notices.message, self._notices.remedy
        self.setVisible(message is not None)
        self.more.setChecked(False)
        self.details.hide()
        if message is not None:
            mark(self, "bar", "notice" if message.is_good else "error")
            self.sentence.setText(message.sentence)
            self.details.setPlainText(message.details)
            self.details.setFixedHeight(self._height_of(message.details))
            self.more.setVisible(bool(message.details))
            self.remedy.setVisible(remedy is not None)
            self.remedy.setText(remedy.label if remedy is not None else "")

    def _height_of(self, details: str) -> int:
        """The height in pixels of so many lines, of `MOST_LINES` at most; more of them scroll."""
        lines = min(details.count("\n") + 1, MOST_LINES)
        around = 2 * self.details.document().documentMargin() + 12  # padding and border
        return round(lines * self.details.fontMetrics().lineSpacing() + around)

    def _act(self) -> None:
        remedy = self._notices.remedy
        self._notices.dismiss()
        if remedy is not None:
            remedy.act()


class BarsOverImages(QWidget):
    """Bars that come and go, at the lower edge of the images: no image moves or changes size."""

    def __init__(self, images: QWidget, bars: Sequence[QWidget]) -> None:
        window = images.window()
        super().__init__(window)
        self._window = window
        self._images = images
        self._bars = tuple(bars)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(1)
        for watched in (images, *self._bars):
            watched.installEventFilter(self)
        for bar in self._bars:
            bar.setAutoFillBackground(True)
            column.addWidget(bar)
        self.place()

    def place(self) -> None:
        """As wide as the images and as high as what is said; away where nothing is."""
        said = any(not bar.isHidden() for bar in self._bars)
        self.setVisible(said)
        if said:
            width = self._images.width()
            self.layout().activate()  # type: ignore[union-attr]  # it has one
            high = max(self.heightForWidth(width), self.minimumSizeHint().height())
            corner = self._images.mapTo(self._window, self._images.rect().bottomLeft())
            self.setGeometry(corner.x(), corner.y() + 1 - high, width, high)
            self.raise_()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the images, and bars that come, go or grow."""
        kinds = QEvent.Type
        if watched is self._images:
            moved = event.type() in (kinds.Resize, kinds.Move)
        else:
            moved = event.type() in (kinds.ShowToParent, kinds.HideToParent, kinds.LayoutRequest)
        if moved:
            QTimer.singleShot(0, self, self.place)  # when the layouts have what they ask for
        return False


class WarningBar(QFrame):
    """The warnings of the open volume, shown as long as it is open."""

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self.setProperty("bar", "warning")
        self.text = _label()
        self.more = QPushButton()
        self.more.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.more.setCheckable(True)
        self.more.toggled.connect(lambda _: self.refresh())
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 3, 6, 3)
        row.addWidget(self.text, 1)
        row.addWidget(self.more, 0, Qt.AlignmentFlag.AlignTop)
        viewer.volume_changed.connect(self._volume_changed)
        self.refresh()

    def _volume_changed(self) -> None:
        self.more.setChecked(False)
        self.refresh()

    def refresh(self) -> None:
        """Show the first warning, or all of them where the reader asked for more."""
        volume = self._viewer.volume
        warnings = volume.warnings if volume is not None else ()
        self.setVisible(bool(warnings))
        shown = warnings if self.more.isChecked() else warnings[:1]
        self.text.setText("\n".join(shown))
        self.more.setVisible(len(warnings) > 1)
        self.more.setText("Fewer" if self.more.isChecked() else f"{len(warnings) - 1} more")


class LoadingBar(QFrame):
    """The progress of opening a study, with a button that cancels it."""

    def __init__(self, study: Study) -> None:
        super().__init__()
        self._study = study
        self.setProperty("bar", "notice")
        self.text = QLabel()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.cancel = QPushButton("Cancel")
        self.cancel.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.cancel.clicked.connect(study.cancel)
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 3, 6, 3)
        row.addWidget(self.text)
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel)
        study.changed.connect(self.refresh)
        study.progressed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show how far the opening is; hide the bar while nothing opens."""
        target, progress = self._study.loading, self._study.progress
        self.setVisible(target is not None)
        if target is not None:
            self.text.setText(f"{self._study.opening} — {progress.doing}")
            known = progress.fraction >= 0
            # A bar paints at once when it is set, and with it all of the window that waits for
            # painting, inside this very call; while it may not, it waits for the next turn too.
            self.bar.setUpdatesEnabled(False)
            self.bar.setRange(0, 1000 if known else 0)
            self.bar.setValue(round(progress.fraction * 1000) if known else 0)
            self.bar.setUpdatesEnabled(True)


def _label() -> QLabel:
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
