"""One plane on the screen: the slice, its annotations, and what the mouse does to it.

Decides nothing: the mouse is translated into calls of the `Viewer`, by what
`app.viewmodels.images.mouse` says of buttons and wheel; double click fills the centre with this
plane.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QContextMenuEvent, QEnterEvent, QMouseEvent, QPainter, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.imaging.plane import PlaneState
from app.imaging.viewport import Viewport
from app.rendering import bands, markings
from app.rendering.cached_layer import CachedLayer
from app.rendering.grey import as_picture, grey_map
from app.rendering.recording import KeptRecording, Recording, changed_among
from app.viewmodels.images.corners import Corner, corner_lines
from app.viewmodels.images.mouse import Button, tool_for, wheel_sign, wheel_zooms
from app.viewmodels.images.tools import Tool
from app.viewmodels.images.viewer import Viewer
from app.views.images.axis_handles import AxisHandles
from app.views.parts import theme
from app.views.parts.painting import painted
from med2e3.geometry import Plane

#: One notch of a mouse wheel, in Qt's eighths of a degree.
NOTCH = 120

#: Zoom factor of one notch, and of 100 pixels of a right drag.
NOTCH_ZOOM = 1.15
DRAG_ZOOM = 1.6

#: Slices a notch while Shift is held.
FAST_SCROLL = 10

#: Pixels of a drag that scroll one slice: the height of the view spans all slices, within these.
DRAG_SLICE = (2.0, 14.0)

#: Below so many pixels between press and release, the right button was clicked and not dragged.
CLICK = 4.0

#: Below this width the window stands in the upper corner, where nothing else is; it grows with the
#: text, whose lines are usually as high as this.
NARROW, USUAL_LINE = 330, 14.0

#: Below this width the scale bar stands above the lower corner's text, given as above.
TIGHT = 150

_CURSORS: dict[str, Qt.CursorShape] = {
    Tool.CROSSHAIR: Qt.CursorShape.CrossCursor,
    Tool.WINDOW: Qt.CursorShape.SizeAllCursor,
    Tool.ZOOM: Qt.CursorShape.SizeVerCursor,
    Tool.PAN: Qt.CursorShape.OpenHandCursor,
    Tool.SCROLL: Qt.CursorShape.SplitVCursor,
}


_BUTTONS = {
    Qt.MouseButton.LeftButton: Button.LEFT,
    Qt.MouseButton.MiddleButton: Button.MIDDLE,
    Qt.MouseButton.RightButton: Button.RIGHT,
}

_ALIGNMENTS = {
    Corner.TOP_LEFT: Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop,
    Corner.TOP_RIGHT: Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop,
    Corner.BOTTOM_LEFT: Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom,
    Corner.BOTTOM_RIGHT: Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom,
}


class SliceView(QWidget):
    """The slice of one plane through the crosshair."""

    def __init__(self, viewer: Viewer, plane: Plane, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.plane = plane
        self._still = CachedLayer(self._paint_still)
        self._edges = KeptRecording(self, self._record_edges)
        self._texts = KeptRecording(self, self._record_texts)
        self._lines = KeptRecording(self, self._record_lines)
        #: What lies over the picture on the screen; None: lines at an angle, which are not kept.
        self._over_drawn: list[Recording] | None = None
        self.axes = AxisHandles(self)
        #: Whether measurements can be drawn here.
        self.takes_drawing = False
        #: Opens the menu of the view at a place of it, if it has one.
        self.open_menu: Callable[[QPointF], object] | None = None
        #: Whether the keys act on this view and another one stands beside it.
        self.framed: Callable[[], bool] = self._is_active
        #: Whether something lies over the picture, which then paints `write_over` on top of itself.
        self.covered = False
        self._dragging: str | None = None
        self._pointer: QPointF | None = None
        self._last = QPointF()
        self._pressed = QPointF()
        self._wheel = 0
        self._dragged = 0.0
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(QSize(108, 120))
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setAccessibleName(f"{plane.capitalize()} view")
        viewer.volume_changed.connect(self.refresh)
        viewer.voxels_filled.connect(self.refresh)
        viewer.slices_changed.connect(self._moved)
        viewer.window_changed.connect(self.update)
        viewer.turned.connect(self.update)
        viewer.zoomed.connect(self._zoomed)
        viewer.activated.connect(self.update)
        for signal in (viewer.tool_changed, viewer.display_changed):
            signal.connect(self._dressed)
        self._dressed()

    @property
    def state(self) -> PlaneState | None:
        """The plane's state; None while no volume is open."""
        return self.viewer.shown.get(self.plane)

    def viewport(self) -> Viewport | None:
        """How the slice lies on this widget."""
        state = self.state
        return None if state is None else state.viewport(self.width(), self.height())

    def show_plane(self, plane: Plane) -> None:
        """Show another plane."""
        if plane is not self.plane:
            self.plane = plane
            self.refresh()

    def refresh(self) -> None:
        """Paint from the voxels again, not from the last picture."""
        for kept in (self._still, self._edges, self._texts, self._lines):
            kept.forget()
        self.update()
        self._read()

    def show_cursor(self, shape: Qt.CursorShape | None = None) -> None:
        """The cursor of the chosen tool, or another one."""
        of_tool = _CURSORS.get(self.viewer.tool, self._drawing_cursor)
        self.setCursor(of_tool if shape is None else shape)

    @property
    def _drawing_cursor(self) -> Qt.CursorShape:
        shape = Qt.CursorShape
        return shape.CrossCursor if self.takes_drawing else shape.ForbiddenCursor

    def _dressed(self) -> None:
        """Another tool is in the hand, or other things are drawn over the image."""
        self.show_cursor()
        self.update()

    def _zoomed(self, plane: Plane) -> None:
        """The slice lies elsewhere on the screen, if it is the one shown here."""
        if plane is self.plane:
            self.update()
            self._read()

    # --- painting --------------------------------------------------------------------------

    @painted
    def paintEvent(self, painter: QPainter) -> None:
        """The slice with its letters, corner texts over it, and the crosshair over these."""
        if self.state is None:
            painter.fillRect(self.rect(), theme.IMAGE_BACKGROUND)
        else:
            self._still.draw(painter, self, self._key())
            if not self.covered:
                self._write(painter)

    def write_over(self, painter: QPainter) -> None:
        """What must be read over everything: letters, scale bar, corner texts, crosshair."""
        if self.state is not None:
            self._edges.of(self._edges_key()).put(painter)
            self._write(painter)

    def _key(self) -> tuple[object, ...]:
        """Everything that the picture below the corner texts depends on."""
        state, viewer = self.state, self.viewer
        assert state is not None
        colours = (viewer.inverted, viewer.colours)
        place = (state.zoom, state.centre, state.fit_mm)
        return (
            state,
            *state.drawn_key,
            viewer.window,
            *colours,
            viewer.display,
            *place,
            self.covered,
        )

    def _edges_key(self) -> tuple[object, ...]:
        """Everything that letters and scale bar depend on."""
        state = self.state
        assert state is not None
        return (state, state.letters, state.zoom, state.centre, state.fit_mm, self.viewer.display)

    def _texts_key(self) -> tuple[object, ...]:
        """Everything that the corner texts depend on."""
        state, viewer = self.state, self.viewer
        assert state is not None
        return (*self._key(), self.plane, state.position_mm, viewer.corner_text, viewer.corners)

    def _lines_key(self) -> tuple[object, ...]:
        """Everything that crosshair and handles depend on."""
        state, viewer = self.state, self.viewer
        assert state is not None
        at = tuple(round(index, 6) for index in state.crosshair)
        tools = (viewer.crosshair_visible, viewer.tool, viewer.space_held, viewer.can_turn)
        turns = tuple(other.turn for other in viewer.planes.values())
        return (*self._edges_key(), self.plane, self._is_kept, *at, *tools, *turns)

    def _paint_still(self, painter: QPainter) -> None:
        state, viewport = self.state, self.viewport()
        assert state is not None
        assert viewport is not None
        grey = grey_map(self.viewer.window, self.viewer.inverted, self.viewer.colours)
        patch = state.drawn(viewport)
        picture = as_picture(grey.pixels(patch.values))
        place = QRectF(*patch.rect(viewport))
        for margin in markings.margins(self.rect(), place.toRect().adjusted(1, 1, -1, -1)):
            painter.fillRect(margin, theme.IMAGE_BACKGROUND)
        smooth = self.viewer.display.interpolation
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
        bands.draw_image(painter, place, picture.image, self.rect())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not self.covered:
            self._edges.of(self._edges_key()).put(painter)

    def _record_edges(self, painter: Recording) -> None:
        """The letters of the patient's sides, and the scale bar."""
        state, viewport = self.state, self.viewport()
        assert state is not None
        assert viewport is not None
        size = QRectF(self.rect())
        bar = markings.scale_bar_height(painter)
        display = self.viewer.display
        if display.scale_bar:
            narrow, tight = (self._is_below(width) for width in (NARROW, TIGHT))
            lines = 2 * markings.line_height(self.font()) if tight else 0.0
            above = size.adjusted(0, 0, 0, -lines)
            markings.draw_scale_bar(painter, above, viewport.pixels_per_mm, centred=not narrow)
        if display.letters:
            markings.draw_letters(painter, size, state.letters, bar if display.scale_bar else 0.0)

    def _write(self, painter: QPainter) -> None:
        """The corner texts, which tell where the crosshair is, and the lines of the planes."""
        over = self._recorded()
        for recording in over:
            recording.put(painter)
        self._over_drawn = over if self._is_kept else None
        if not self._is_kept:
            self.axes.paint(painter)
        if self.framed():
            markings.draw_frame(painter, self.rect(), QColor(theme.DARK.accent))

    @property
    def _is_kept(self) -> bool:
        """Whether all lines run along the pixels, so that they need no finding out."""
        viewer = self.viewer
        if viewer.crosshair_visible:
            return not viewer.is_turned
        return not viewer.reference_lines

    def _recorded(self) -> list[Recording]:
        """Corner texts, and a crosshair that lies along the pixels with its handles."""
        if self.viewer.is_turned:
            self._texts.forget()  # each movement changes them
        return [self._texts.of(self._texts_key()), self._lines.of(self._lines_key())]

    def _record_texts(self, recording: Recording) -> None:
        state = self.state
        if state is not None and self.viewer.corner_text:
            letter = state.letters[2] if self.viewer.display.letters else ""
            size = QRectF(self.rect())
            markings.draw_corners(recording, size, self.corner_texts(state), letter)

    def _record_lines(self, recording: Recording) -> None:
        at = self._crosshair_at()
        if at is not None and self._is_kept:
            colour, room = QColor(theme.DARK.accent), self.room_of_lines()
            markings.record_crosshair(recording, room, at, colour, self._cross)
            self.axes.draw_handles(recording)

    def _is_active(self) -> bool:
        viewer = self.viewer
        return viewer.active is self.plane and viewer.maximised is None

    @property
    def is_narrow(self) -> bool:
        """Whether the lower edge has room for one corner beside the scale bar."""
        return self._is_below(NARROW)

    def _is_below(self, width: float) -> bool:
        """Whether the view is narrower than this, which is given at the usual size of text."""
        return self.width() < width * markings.line_height(self.font()) / USUAL_LINE

    def room_of_lines(self) -> QRectF:
        """Where crosshair and axes may be drawn."""
        state = self.state
        letters = state.letters[:2] if state is not None and self.viewer.display.letters else ()
        return markings.room_of_lines(QRectF(self.rect()), self.font(), letters)

    def written(self) -> list[QRectF]:
        """Where the corner texts stand."""
        state = self.state
        if state is None or not self.viewer.corner_text:
            return []
        letter = state.letters[2] if self.viewer.display.letters else ""
        texts = self.corner_texts(state)
        return markings.corner_rects(self.font(), QRectF(self.rect()), texts, letter)

    def below_corner(self, state: PlaneState, corner: Qt.AlignmentFlag) -> float:
        """How high an upper corner is written on, in logical pixels."""
        texts = self.corner_texts(state) if self.viewer.corner_text else {}
        if corner not in texts:
            return 0.0
        letter = state.letters[2] if self.viewer.display.letters else ""
        width = self.width() - 2 * markings.MARGIN
        down = markings.lines_down(self.font(), width, texts, letter)[corner]
        return (down + len(texts[corner].split("\n"))) * markings.line_height(self.font())

    def _crosshair_at(self) -> QPointF | None:
        state, viewport = self.state, self.viewport()
        if state is None or viewport is None or not self.viewer.crosshair_visible:
            return None
        return QPointF(*viewport.to_screen(*state.crosshair))

    @property
    def _cross(self) -> markings.Cross:
        display = self.viewer.display
        return markings.Cross(display.crosshair_style, display.crosshair_gap)

    def _moved(self) -> None:
        """Another slice, or other lines and texts over the same one.

        In one rectangle, which is most often a strip along a line that moved: Qt takes longer to
        fill through a clip of many thin rectangles than to copy the whole.
        """
        self._read()
        same = self.state is not None and self._still.shows(self, self._key())
        changed = self._changed_over() if same else None
        self.update(self.rect() if changed is None else changed)

    def _changed_over(self) -> QRect | None:
        """Where texts and lines differ from those on the screen; None where that is not known."""
        if self._over_drawn is None or not self._is_kept:
            return None
        try:
            return changed_among(self._recorded(), self._over_drawn)
        except Exception:
            return None  # the painting will fail, too: it says so in the view

    def corner_texts(self, state: PlaneState) -> dict[Qt.AlignmentFlag, str]:
        """What stands in each corner."""
        lines = corner_lines(self.viewer, self.plane, state, narrow=self.is_narrow)
        return {_ALIGNMENTS[corner]: text for corner, text in lines.items() if text}

    def changeEvent(self, event: QEvent) -> None:
        """Another size of text."""
        if event.type() == QEvent.Type.FontChange:
            self.refresh()
        super().changeEvent(event)

    # --- mouse -----------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Start a drag."""
        self._dragging = None if self.axes.press(event) else self._tool_for(event)
        self._last = self._pressed = event.position()
        self._dragged = 0.0
        if self._dragging is Tool.CROSSHAIR:
            self._point(event.position())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go on with a drag, or read the voxel under the mouse."""
        moved, self._last = event.position() - self._last, event.position()
        viewport = self.viewport()
        if viewport is None:
            return
        self._pointer = self._last
        self.viewer.hover(self.plane, *viewport.to_index(self._last.x(), self._last.y()))
        if self.axes.drag(self._last - moved, self._last):
            return
        self.axes.hint(self._last)
        if self._dragging is Tool.CROSSHAIR:
            self._point(event.position())
        elif self._dragging is Tool.WINDOW:
            self.viewer.drag_window(moved.x(), moved.y())
        elif self._dragging is Tool.SCROLL:
            self._drag_slices(moved.y())
        elif self._dragging is Tool.PAN:
            self.viewer.set_viewport(self.plane, viewport.panned(moved.x(), moved.y()))
        elif self._dragging is Tool.ZOOM:
            factor = DRAG_ZOOM ** (-moved.y() / 100)
            start = self._pressed
            self.viewer.set_viewport(self.plane, viewport.zoomed(factor, start.x(), start.y()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """End a drag; a right click opens the menu."""
        self._dragging = None
        moved = (event.position() - self._pressed).manhattanLength()
        if event.button() == Qt.MouseButton.RightButton and moved < CLICK:
            self._menu(event.position())
        self.viewer.end_drag()
        self.axes.release()
        self._read()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Fill the centre with this plane, or show all again."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.viewer.maximise(self.plane)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Open the menu by its key; the right button opens it when it goes up undragged."""
        if event.reason() == QContextMenuEvent.Reason.Keyboard:
            self._menu(QPointF(self.rect().center()))
        event.accept()

    def _menu(self, at: QPointF) -> None:
        if self.open_menu is not None and self.state is not None:
            self.open_menu(at)

    def _drag_slices(self, dy: float) -> None:
        state = self.state
        assert state is not None  # there is a viewport
        low, high = DRAG_SLICE
        self._dragged += dy
        steps = int(self._dragged / min(max(self.height() / state.count, low), high))
        if steps:
            self._dragged -= steps * min(max(self.height() / state.count, low), high)
            self.viewer.scroll(self.plane, steps)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scroll slices, or zoom with Ctrl."""
        delta = event.angleDelta().y() or event.angleDelta().x()
        viewport = self.viewport()
        if viewport is None:
            return
        ctrl = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        if wheel_zooms(self.viewer, ctrl=ctrl):
            at = event.position()
            factor = NOTCH_ZOOM ** (delta / NOTCH)
            self.viewer.set_viewport(self.plane, viewport.zoomed(factor, at.x(), at.y()))
        else:
            delta *= wheel_sign(self.viewer)
            self._scroll(delta, bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))
        event.accept()

    def _scroll(self, delta: int, fast: bool) -> None:
        # Touchpads send many small deltas: they add up to whole slices.
        self._wheel += delta
        notches = int(self._wheel / NOTCH)
        self._wheel -= notches * NOTCH
        if notches:
            self.viewer.scroll(self.plane, -notches * (FAST_SCROLL if fast else 1))

    def enterEvent(self, event: QEnterEvent) -> None:
        """The keys act on the view under the mouse, unless somebody is typing."""
        self.viewer.activate(self.plane)

    def leaveEvent(self, event: object) -> None:
        """No voxel is under the mouse any more."""
        self._pointer = None
        self.viewer.leave()

    def _read(self) -> None:
        """What lies under a mouse that rests: wheel and keys bring another slice there.

        While it is dragged, each of its movements reads.
        """
        viewport = self.viewport()
        if self._pointer is None or viewport is None or self._dragging or self.axes.held:
            return
        if self.isVisible():
            at = viewport.to_index(self._pointer.x(), self._pointer.y())
            self.viewer.hover(self.plane, *at)

    def _tool_for(self, event: QMouseEvent) -> str | None:
        button = _BUTTONS.get(event.button())
        if button is None:
            return None
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        return tool_for(self.viewer, button, shift=shift)

    def _point(self, position: QPointF) -> None:
        viewport = self.viewport()
        if viewport is not None:
            self.viewer.point(self.plane, *viewport.to_index(position.x(), position.y()))
