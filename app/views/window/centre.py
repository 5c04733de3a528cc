"""The images: cells in the layout that was chosen, or the invitation to open a study.

`CELLS` is the table of everything that can stand in a cell. To add one, write its factory here and
its title in `app.viewmodels.window.layouts.TITLES`; it is made when a layout first shows it.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QGridLayout, QStackedLayout, QWidget

from app.viewmodels.annotation.annotations import Annotations
from app.viewmodels.window.layouts import PICTURE, GridSpan
from app.viewmodels.window.workspace import Workspace
from app.views.annotation.annotation_layer import AnnotationLayer
from app.views.assistant.model_sheet import ModelSheet
from app.views.assistant.plane_cell import PlaneCell
from app.views.assistant.scene_slabs import SceneSlabs
from app.views.assistant.score_levels import ScoreLevels
from app.views.images.brush_layer import BrushLayer
from app.views.images.cine_timer import CineTimer
from app.views.images.click_layer import ClickLayer
from app.views.images.compare_pane import ComparePane
from app.views.images.idle_timer import IdleTimer
from app.views.images.magnifier import Magnifier
from app.views.images.overlay_layer import OverlayLayer
from app.views.images.scene_cell import SceneCell
from app.views.images.scene_masks import SceneMasks
from app.views.images.slice_view import SliceView
from app.views.parts import theme
from app.views.parts.drop_target import DropTarget
from app.views.parts.painting import painted
from app.views.study.empty_state import EmptyState
from app.views.study.picture_cell import PictureCell
from med2e3.geometry import Plane


def _plane(plane: Plane) -> Callable[[Workspace], QWidget]:
    def made(workspace: Workspace) -> QWidget:
        cell = PlaneCell(workspace.viewer, workspace.assistant, workspace.viewed, plane)
        OverlayLayer(cell.view, workspace.overlays)
        ScoreLevels(cell.view, workspace.assistant)
        _draw_on(cell.view, workspace, workspace.books.first)
        BrushLayer(cell.view, workspace.brush)
        ClickLayer(cell.view, workspace.clicking)
        return cell

    return made


def _draw_on(view: SliceView, workspace: Workspace, book: Annotations) -> None:
    """Show what is drawn on the volume of a view, and let the mouse draw there."""
    AnnotationLayer(view, book, workspace.books.drawing[book])
    Magnifier(view)


def _scene(workspace: Workspace) -> QWidget:
    cell = SceneCell(workspace.scene, workspace.viewer, workspace.layouts, workspace.overlays)
    SceneMasks(cell.view, workspace.solids)
    SceneSlabs(cell.view, workspace.assistant)
    return cell


#: Every cell by its name: what makes its widget from the workspace.
CELLS: dict[str, Callable[[Workspace], QWidget]] = {
    Plane.AXIAL.value: _plane(Plane.AXIAL),
    Plane.SAGITTAL.value: _plane(Plane.SAGITTAL),
    Plane.CORONAL.value: _plane(Plane.CORONAL),
    "sheet": lambda workspace: ModelSheet(workspace.assistant, workspace.viewer),
    "3d": _scene,
    PICTURE: lambda workspace: PictureCell(workspace.pictures),
}


#: Said while a series is over a plane of the open one.
OPEN_IN_PLANES = "Open it"


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
        pictures = workspace.cell_pictures
        self.compare = ComparePane(
            workspace.side_by_side,
            workspace.refiners_beside,
            lambda k: PictureCell(pictures[k]),
            lambda k: pictures[k].active,
        )
        for one in pictures:
            one.changed.connect(self.compare.refresh)
        self.compare.take_drops(self._dropped_on)
        OverlayLayer(self.compare.first, workspace.overlays)
        for view, book in zip(self.compare.views, workspace.books.all, strict=True):
            _draw_on(view, workspace, book)
        self._stack.addWidget(self.compare)
        self.idle_timer = IdleTimer(workspace.refiner, self)
        self.cine_timer = CineTimer(workspace.cine, self)
        workspace.side_by_side.changed.connect(self.refresh)
        self._made: dict[str, QWidget] = {}
        self._placed: dict[str, GridSpan] = {}
        self._away = ""
        self._viewer.volume_changed.connect(self.refresh)
        workspace.pictures.changed.connect(self._pictures_changed)
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
            DropTarget(made, lambda: OPEN_IN_PLANES, self._dropped)
        return self._made[name]

    def serve_views(self, serve: Callable[[SliceView, Annotations], object]) -> None:
        """Tell `serve` of every view with the drawings that belong to it."""
        books = self._workspace.books
        for cell in self.cells.values():
            serve(cell.view, books.first)
        for view, book in zip(self.compare.views, books.all, strict=True):
            serve(view, book)

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
        images = self.compare if self._workspace.side_by_side.active else self.grid
        seen = has_volume or self._workspace.pictures.active
        self._stack.setCurrentWidget(images if seen else self.empty)
        self._arrange()

    def _dropped(self, name: str) -> None:
        """A series was dropped on a cell of the planes: it opens in all of them."""
        series = self._workspace.study.named(name)
        if series is None:
            return
        if series.is_volume:
            self._workspace.study.pick(series)
        else:
            self._workspace.pictures.show(series)

    def _dropped_on(self, name: str, cell: int) -> None:
        """A series was dropped on a cell of those that stand side by side: it is shown there."""
        workspace = self._workspace
        series = workspace.study.named(name)
        if series is None:
            return
        if not series.is_volume:
            workspace.cell_pictures[cell].offer(series)
            return
        workspace.cell_pictures[cell].close()
        if cell:
            workspace.study.open_beside(series, cell)
        else:
            workspace.study.pick(series)

    def _pictures_changed(self) -> None:
        """An image that is seen by itself needs no volume beside it."""
        if self._viewer.volume is None:
            self.refresh()

    def _arrange(self) -> None:
        alone = self._viewer.maximised
        places = self._workspace.layouts.places()
        if alone and alone.value != self._away:
            places = {alone.value: GridSpan(0, 0)}
        if self._viewer.volume is None and self._workspace.pictures.active:
            places = {PICTURE: GridSpan(0, 0)}
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
