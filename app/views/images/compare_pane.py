"""Series side by side: a line that says how they are linked, and a cell of each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QEvent, QObject, QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QStackedLayout,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.viewmodels.core.patients import patient_name
from app.viewmodels.images.compare import Link
from app.viewmodels.images.refiner import Refiner
from app.viewmodels.images.side_by_side import MOST, SideBySide
from app.viewmodels.images.viewer import Viewer
from app.views.images.idle_timer import IdleTimer
from app.views.images.slice_slider import SliceSlider
from app.views.images.slice_view import SliceView
from app.views.parts import theme
from app.views.parts.drop_target import DropTarget
from app.views.parts.elided import ChoiceBox, ElidedLabel
from app.views.parts.theme import mark
from med2e3.geometry import Plane
from med2e3.volume import Volume

#: Width of the pane at least, in logical pixels: what panels leave of a screen of 800.
NARROWEST = 300

#: Letters of the note that have room beside the buttons at least; else it has its own line.
NOTE_LETTERS = 30

#: Said in a cell that has nothing yet.
EMPTY = "Drag a series from the list here"

#: Said while a series is over a cell.
DROP = "Show it here"


class SeriesCell(QWidget):
    """One cell: a title, the view with its slider, or what is said while it has no series."""

    def __init__(self, viewer: Viewer, plane: Plane, picture: QWidget | None) -> None:
        super().__init__()
        self.view = SliceView(viewer, plane)
        self.slider = SliceSlider(self.view)
        self.title = ElidedLabel()
        self.title.setProperty("dim", True)
        self.title.setContentsMargins(8, 0, 8, 2)
        self.picture = picture
        self.empty = QLabel(EMPTY)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setWordWrap(True)
        ink, ground = theme.DARK.dim, theme.DARK.window
        self.empty.setStyleSheet(f"color: {ink}; background: {ground}")
        images = QWidget()
        beside = QHBoxLayout(images)
        beside.setContentsMargins(0, 0, 0, 0)
        beside.setSpacing(0)
        beside.addWidget(self.view, 1)
        beside.addWidget(self.slider)
        self._images = images
        self._stack = QStackedLayout()
        for widget in filter(None, (images, self.empty, picture)):
            self._stack.addWidget(widget)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.title)
        column.addLayout(self._stack, 1)

    def show_content(self, *, pictured: bool) -> None:
        """Show the picture, the series, or that the cell is empty."""
        if pictured and self.picture is not None:
            self._stack.setCurrentWidget(self.picture)
        else:
            has = self.view.viewer.volume is not None
            self._stack.setCurrentWidget(self._images if has else self.empty)


class ComparePane(QWidget):
    """What stands in the centre while series stand side by side."""

    def __init__(
        self,
        side_by_side: SideBySide,
        refiners: tuple[Refiner, ...],
        picture_of: Callable[[int], QWidget | None] = lambda cell: None,
        is_pictured: Callable[[int], bool] = lambda cell: False,
    ) -> None:
        super().__init__()
        self._side_by_side = side_by_side
        self._is_pictured = is_pictured
        compare = side_by_side.first
        self.cells = [
            SeriesCell(viewer, compare.plane, picture_of(k))
            for k, viewer in enumerate(side_by_side.viewers)
        ]
        self.views = [cell.view for cell in self.cells]
        self.first, self.second = self.views[:2]
        self.titles = [cell.title for cell in self.cells]
        self.sliders = [cell.slider for cell in self.cells]
        self.idle_timers = [IdleTimer(refiner, self) for refiner in refiners]
        self.targets: list[DropTarget] = []
        self.note = QLabel()
        self.note.setWordWrap(True)  # that places may differ must not be cut away
        self.planes = ChoiceBox()
        self.planes.setAccessibleName("Plane of the series side by side")
        for plane in Plane:
            self.planes.addItem(plane.value.capitalize(), plane)
        # Qt keeps a string enumeration as a plain string.
        self.planes.activated.connect(
            lambda k: side_by_side.choose_plane(Plane(self.planes.itemData(k)))
        )
        self.link = QPushButton()
        self.link.clicked.connect(side_by_side.swap_link)
        self.slices = _lock("Slices", "All scroll together")
        self.slices.clicked.connect(lambda on: side_by_side.lock(slices=on))
        self.zoom = _lock("Zoom", "All zoom and pan together")
        self.zoom.clicked.connect(lambda on: side_by_side.lock(zoom=on))
        self.window_lock = _lock("Window", "All of one kernel have one window")
        self.window_lock.clicked.connect(lambda on: side_by_side.lock(window=on))
        self.end = QPushButton("End")
        self.end.setToolTip("End comparing")
        self.end.setAccessibleName("End comparing")
        self.end.clicked.connect(side_by_side.close)
        self._shape: tuple[int, int] | None = None
        self._note_place = (0, 0, 0, 0)
        for k, view in enumerate(self.views):
            view.framed = partial(self._is_pointed, k)
            view.installEventFilter(self)
            view.viewer.readout_changed.connect(partial(self._share_readout, k))
        self._lay_out()
        side_by_side.changed.connect(self.refresh)
        side_by_side.note_changed.connect(self._show_note)
        self.refresh()

    def take_drops(self, dropped: Callable[[str, int], object]) -> None:
        """Let series be dropped on the cells: `dropped` is told which one, and on which cell."""
        for k in range(MOST):
            told = partial(_told, dropped, k)
            self.targets.append(DropTarget(self.cells[k], lambda: DROP, told))

    def minimumSizeHint(self) -> QSize:
        """No wider than a small screen leaves for it; its line of words is cut there."""
        least = super().minimumSizeHint()
        return QSize(min(least.width(), NARROWEST), least.height())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The keys are for the view under the mouse; none of them fills the centre alone."""
        if event.type() in (QEvent.Type.Enter, QEvent.Type.Leave):
            entered = event.type() == QEvent.Type.Enter
            cell = next(k for k, view in enumerate(self.views) if view is watched)
            self._side_by_side.point(cell if entered else 0)
            for view in self.views[: max(self._side_by_side.count, 2)]:
                view.update()
        return event.type() == QEvent.Type.MouseButtonDblClick

    def refresh(self) -> None:
        """Take over cells, plane, links and names."""
        side_by_side = self._side_by_side
        lead, plane = side_by_side.lead, side_by_side.first.plane
        self._place_cells()
        for cell in self.cells:
            cell.view.show_plane(plane)
            cell.slider.refresh()
        self.planes.setCurrentIndex(self.planes.findData(plane))
        self._show_note()
        for lock, on in (
            (self.slices, lead.slices_linked),
            (self.zoom, lead.zoom_linked),
            (self.window_lock, lead.window_linked),
        ):
            lock.setChecked(on)
            lock.setEnabled(lead.link is not Link.NONE)
        self.link.setText("Link" if lead.link is Link.NONE else "Unlink")
        self.link.setEnabled(lead.active)
        for k, cell in enumerate(self.cells):
            words = _title(cell.view.viewer.volume, named=side_by_side.different)
            # Of two series the note says it.
            apart = side_by_side.apart(k) if side_by_side.count > 2 else ""
            cell.title.setText(" · ".join(filter(None, (words, apart))))
            cell.show_content(pictured=self._is_pictured(k))

    def _is_pointed(self, cell: int) -> bool:
        """Whether the keys are for a cell, and another one stands beside it."""
        return self._side_by_side.pointed == cell and self._side_by_side.count > 1

    def _place_cells(self) -> None:
        """Put as many cells into rows and columns as were chosen."""
        shape = self._side_by_side.shown_shape or (1, 2)
        if shape == self._shape:
            return
        self._shape = (rows, columns) = shape
        for cell in self.cells:
            self._grid.removeWidget(cell)
        for k, cell in enumerate(self.cells):
            if k < rows * columns:
                self._grid.addWidget(cell, k // columns, k % columns)
            cell.setVisible(k < rows * columns)
        for k in range(3):
            self._grid.setColumnStretch(k, int(k < columns))
            self._grid.setRowStretch(k, int(k < rows))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Give the note a line of its own where it would have little room beside the buttons."""
        super().resizeEvent(event)
        self._fit_note()

    def _fit_note(self) -> None:
        beside = sum(one.sizeHint().width() + 8 for one in (self.planes, *self._buttons))
        least = NOTE_LETTERS * self.fontMetrics().averageCharWidth()
        place = (0, 1, 1, 1) if self.width() - beside >= least else (1, 0, 1, -1)
        if self._head.indexOf(self.note) < 0 or self._note_place != place:
            self._note_place = place
            self._head.removeWidget(self.note)
            self._head.addWidget(self.note, *place)

    def _show_note(self) -> None:
        self.note.setText(self._side_by_side.note)
        mark(self.note, "warning", self._side_by_side.doubtful)

    def _share_readout(self, cell: int) -> None:
        """The line at the bottom is about whatever is under the mouse."""
        viewer = self._side_by_side.first.viewer
        if cell:
            viewer.readout = self.views[cell].viewer.readout
            viewer.readout_changed.emit()

    def _lay_out(self) -> None:
        self._head = QGridLayout()
        self._head.setContentsMargins(8, 4, 8, 4)
        self._head.setHorizontalSpacing(8)
        self._head.setVerticalSpacing(2)
        self._head.setColumnStretch(1, 1)
        self._buttons = (self.slices, self.zoom, self.window_lock, self.link, self.end)
        self._head.addWidget(self.planes, 0, 0)
        for k, button in enumerate(self._buttons, start=2):
            self._head.addWidget(button, 0, k)
        self._fit_note()
        self._grid = QGridLayout()
        self._grid.setSpacing(2)
        for cell in self.cells:
            cell.setParent(self)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addLayout(self._head)
        whole.addLayout(self._grid, 1)


def _told(dropped: Callable[[str, int], object], cell: int, name: str) -> object:
    return dropped(name, cell)


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
