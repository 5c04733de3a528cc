"""The images: cells in the layout that was chosen, or the invitation to open a study.

`CELLS` is the table of everything that can stand in a cell. To add one, write its factory here and
its title in `app.viewmodels.window.layouts.TITLES`; it is made when a layout first shows it.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QGridLayout, QStackedLayout, QWidget

from app.viewmodels.annotation.annotations import Annotations
from app.viewmodels.window.layouts import GridSpan
from app.viewmodels.window.workspace import Workspace
from app.views.annotation.annotation_layer import AnnotationLayer
from app.views.assistant.model_sheet import ModelSheet
from app.views.assistant.plane_cell import PlaneCell
from app.views.assistant.scene_slabs import SceneSlabs
from app.views.assistant.score_levels import ScoreLevels
from app.views.images.cine_timer import CineTimer
from app.views.images.compare_pane import ComparePane
from app.views.images.idle_timer import IdleTimer
from app.views.images.overlay_layer import OverlayLayer
from app.views.images.scene_cell import SceneCell
from app.views.images.slice_view import SliceView
from app.views.parts import theme
from app.views.parts.painting import painted
from app.views.study.empty_state import EmptyState
from med2e3.geometry import Plane


def _plane(plane: Plane) -> Callable[[Workspace], QWidget]:
    def made(workspace: Workspace) -> QWidget:
        cell = PlaneCell(workspace.viewer, workspace.assistant, workspace.viewed, plane)
        OverlayLayer(cell.view, workspace.overlays)
        ScoreLevels(cell.view, workspace.assistant)
        _draw_on(cell.view, workspace, workspace.books.first)
        return cell

    return made


def _draw_on(view: SliceView, workspace: Workspace, book: Annotations) -> None:
    """Show what is drawn on the volume of a view, and let the mouse draw there."""
    AnnotationLayer(view, book, workspace.books.drawing[book])


def _scene(workspace: Workspace) -> QWidget:
    cell = SceneCell(workspace.scene, workspace.viewer, workspace.layouts, workspace.overlays)
    SceneSlabs(cell.view, workspace.assistant)
    return cell


#: Every cell by its name: what makes its widget from the workspace.
CELLS: dict[str, Callable[[Workspace], QWidget]] = {
    Plane.AXIAL.value: _plane(Plane.AXIAL),
    Plane.SAGITTAL.value: _plane(Plane.SAGITTAL),
    Plane.CORONAL.value: _plane(Plane.CORONAL),
    "sheet": lambda workspace: ModelSheet(workspace.assistant, workspace.viewer),
    "3d": _scene,
}


class Ground(QWidget):
    """The gaps between the cells: dark in both themes, for no bright line is beside an image."""

    @painted
    def paintEvent(self, painter: QPainter) -> None:
        """Fill the gaps with one colour."""
        painter.fillRect(self.rect(), QColor(theme.DARK.window))


class Centre(QWidget):
    """The cells of the layout, or one plane alone."""

    def __init__(self, workspace: Workspace, empty: EmptyState) -> None:
        super().__init__()
        self._workspace = workspace
        self._viewer = workspace.viewer
        self.empty = empty
        self.grid = Ground()
        self._layout = QGridLayout(self.grid)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(2)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self.grid)
        self.compare = ComparePane(workspace.compare, workspace.refiner_beside)
        OverlayLayer(self.compare.first, workspace.overlays)
        _draw_on(self.compare.first, workspace, workspace.books.first)
        _draw_on(self.compare.second, workspace, workspace.books.second)
        self._stack.addWidget(self.compare)
        self.idle_timer = IdleTimer(workspace.refiner, self)
        self.cine_timer = CineTimer(workspace.cine, self)
        workspace.compare.changed.connect(self.refresh)
        self._made: dict[str, QWidget] = {}
        self._placed: dict[str, GridSpan] = {}
        self._away = ""
        self._viewer.volume_changed.connect(self.refresh)
        self._viewer.maximised_changed.connect(self._arrange)
        workspace.layouts.changed.connect(self._arrange)
        self.refresh()

    @property
    def cells(self) -> dict[Plane, PlaneCell]:
        """The cells of the three planes, shown or not."""
        cells = {plane: self.cell(plane.value) for plane in Plane}
        return {plane: cell for plane, cell in cells.items() if isinstance(cell, PlaneCell)}

    @property
    def sheet(self) -> ModelSheet:
        """What the model saw, shown or not."""
        sheet = self.cell("sheet")
        assert isinstance(sheet, ModelSheet)
        return sheet

    def cell(self, name: str) -> QWidget:
        """The widget of a cell of `CELLS`; it is made at the first call."""
        if name not in self._made:
            made = self._made[name] = CELLS[name](self._workspace)
            made.setParent(self.grid)
            made.hide()
        return self._made[name]

    def serve_views(self, serve: Callable[[SliceView, Annotations], object]) -> None:
        """Tell `serve` of every view with the drawings that belong to it."""
        books = self._workspace.books
        for cell in self.cells.values():
            serve(cell.view, books.first)
        serve(self.compare.first, books.first)
        serve(self.compare.second, books.second)

    def hand_out(self, name: str) -> QWidget:
        """Give a cell to another window; it has no place here until `take_back`."""
        widget = self.cell(name)
        self._layout.removeWidget(widget)
        self._away = name
        self._placed.pop(name, None)
        return widget

    def take_back(self, name: str) -> None:
        """Place a cell that was handed out where the layout wants it."""
        self._away = ""
        widget = self.cell(name)
        widget.setParent(self.grid)
        widget.hide()
        self._placed = {}
        self._arrange()

    def refresh(self) -> None:
        """Show the images of the open volume, or the invitation where none is open."""
        has_volume = self._viewer.volume is not None
        if not has_volume:
            self.empty.refresh()
        images = self.compare if self._workspace.compare.active else self.grid
        self._stack.setCurrentWidget(images if has_volume else self.empty)
        self._arrange()

    def _arrange(self) -> None:
        alone = self._viewer.maximised
        places = self._workspace.layouts.places()
        if alone and alone.value != self._away:
            places = {alone.value: GridSpan(0, 0)}
        places.pop(self._away, None)  # until it was taken back
        if places == self._placed:
            return
        self._placed = places
        here = (widget for name, widget in self._made.items() if name != self._away)
        for widget in here:
            self._layout.removeWidget(widget)
        for name, at in places.items():
            self._layout.addWidget(self.cell(name), at.row, at.column, at.rows, at.columns)
        for name, widget in self._made.items():
            if name != self._away:
                widget.setVisible(name in places)
        self._stretch(places)

    def _stretch(self, places: dict[str, GridSpan]) -> None:
        rows = max((at.row + at.rows for at in places.values()), default=1)
        columns = max((at.column + at.columns for at in places.values()), default=1)
        for k in range(max(self._layout.rowCount(), rows)):
            self._layout.setRowStretch(k, int(k < rows))
        for k in range(max(self._layout.columnCount(), columns)):
            self._layout.setColumnStretch(k, int(k < columns))
