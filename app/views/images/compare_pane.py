"""Two volumes side by side: a line that says how they are linked, and a view of each."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QSize
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QToolButton, QVBoxLayout, QWidget

from app.viewmodels.core.patients import patient_name
from app.viewmodels.images.compare import Compare, Link
from app.viewmodels.images.refiner import Refiner
from app.views.images.idle_timer import IdleTimer
from app.views.images.slice_slider import SliceSlider
from app.views.images.slice_view import SliceView
from app.views.parts.elided import ChoiceBox, ElidedLabel
from app.views.parts.theme import mark
from med2e3.geometry import Plane
from med2e3.volume import Volume

#: Width of the pane at least, in logical pixels: what panels leave of a screen of 800.
NARROWEST = 300


class ComparePane(QWidget):
    """What stands in the centre while a second volume is shown."""

    def __init__(self, compare: Compare, refiner: Refiner) -> None:
        super().__init__()
        self._compare = compare
        self.first = SliceView(compare.viewer, compare.plane)
        self.second = SliceView(compare.other, compare.plane)
        self.idle_timer = IdleTimer(refiner, self)
        self.note = QLabel()
        self.note.setWordWrap(True)  # that places may differ must not be cut away
        self.titles = (ElidedLabel(), ElidedLabel())
        self.planes = ChoiceBox()
        for plane in Plane:
            self.planes.addItem(plane.value.capitalize(), plane)
        # Qt keeps a string enumeration as a plain string.
        self.planes.activated.connect(
            lambda k: compare.choose_plane(Plane(self.planes.itemData(k)))
        )
        self.link = QPushButton()
        self.link.clicked.connect(compare.swap_link)
        self.zoom = _lock("Zoom", "Both zoom and pan together")
        self.zoom.clicked.connect(lambda on: compare.lock(zoom=on))
        self.window_lock = _lock("Window", "Both have one window")
        self.window_lock.clicked.connect(lambda on: compare.lock(window=on))
        self.end = QPushButton("End")
        self.end.setToolTip("End comparing")
        self.end.setAccessibleName("End comparing")
        self.end.clicked.connect(compare.close)
        self.sliders: list[SliceSlider] = []
        self.first.framed = lambda: not compare.pointed
        self.second.framed = lambda: compare.pointed
        self._lay_out()
        compare.changed.connect(self.refresh)
        compare.note_changed.connect(self._show_note)
        compare.other.readout_changed.connect(self._share_readout)
        for view in (self.first, self.second):
            view.installEventFilter(self)
        self.refresh()

    def minimumSizeHint(self) -> QSize:
        """No wider than a small screen leaves for it; its line of words is cut there."""
        least = super().minimumSizeHint()
        return QSize(min(least.width(), NARROWEST), least.height())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The keys are for the view under the mouse; neither of the two fills the centre alone."""
        if event.type() == QEvent.Type.Enter:
            self._compare.pointed = watched is self.second
        elif event.type() == QEvent.Type.Leave:
            self._compare.pointed = False
        if event.type() in (QEvent.Type.Enter, QEvent.Type.Leave):
            self.first.update()
            self.second.update()
        return event.type() == QEvent.Type.MouseButtonDblClick

    def refresh(self) -> None:
        """Take over plane, link and names."""
        compare = self._compare
        for view in (self.first, self.second):
            view.show_plane(compare.plane)
        for slider in self.sliders:
            slider.refresh()
        self.planes.setCurrentIndex(self.planes.findData(compare.plane))
        self._show_note()
        for lock, on in (
            (self.zoom, compare.zoom_linked),
            (self.window_lock, compare.window_linked),
        ):
            lock.setChecked(on)
            lock.setEnabled(compare.link is not Link.NONE)
        self.link.setText("Link" if compare.link is Link.NONE else "Unlink")
        for label, viewer in zip(self.titles, (compare.viewer, compare.other), strict=True):
            label.setText(_title(viewer.volume, named=bool(compare.different)))

    def _show_note(self) -> None:
        self.note.setText(self._compare.note)
        mark(self.note, "warning", self._compare.doubtful)

    def _share_readout(self) -> None:
        viewer = self._compare.viewer
        viewer.readout = self._compare.other.readout
        viewer.readout_changed.emit()

    def _lay_out(self) -> None:
        line = QHBoxLayout()
        line.setContentsMargins(8, 4, 8, 4)
        line.setSpacing(8)
        line.addWidget(self.planes)
        line.addWidget(self.note, 1)
        for lock in (self.zoom, self.window_lock):
            line.addWidget(lock)
        line.addWidget(self.link)
        line.addWidget(self.end)
        views = QHBoxLayout()
        views.setSpacing(0)  # the slider of the first stands between them
        for title, view in zip(self.titles, (self.first, self.second), strict=True):
            title.setProperty("dim", True)
            title.setContentsMargins(8, 0, 8, 2)
            column = QVBoxLayout()
            column.setSpacing(0)
            column.addWidget(title)
            beside = QHBoxLayout()
            beside.setSpacing(0)
            beside.addWidget(view, 1)
            slider = SliceSlider(view)
            self.sliders.append(slider)
            beside.addWidget(slider)
            column.addLayout(beside, 1)
            views.addLayout(column, 1)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addLayout(line)
        whole.addLayout(views, 1)


def _lock(words: str, tip: str) -> QToolButton:
    button = QToolButton()
    button.setText(words)
    button.setCheckable(True)
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    return button


def _title(volume: Volume | None, *, named: bool) -> str:
    if volume is None:
        return ""
    date = volume.info.study_date
    day = f"{date[:4]}-{date[4:6]}-{date[6:8]}  " if len(date) == 8 else ""
    patient = f"{patient_name(volume.info)}  " if named else ""
    return f"{patient}{day}{volume.name}"
