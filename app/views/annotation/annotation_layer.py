"""The layer of a view that shows annotations and hands the mouse to `Drawing`.

It lies over a `SliceView` and takes no part in its painting, so that the view stays quick. It
decides nothing: the view gets the mouse events that `Drawing` does not take.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QRectF, Qt
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent, QPainter
from PySide6.QtWidgets import QLineEdit, QWidget

from app.rendering import annotations as forms
from app.rendering import markings
from app.rendering.annotations import Item
from app.viewmodels.annotation import values
from app.viewmodels.annotation.annotations import Annotations
from app.viewmodels.annotation.drawing import Cursor, Drawing
from app.viewmodels.annotation.model import LONGEST_TEXT, Annotation
from app.viewmodels.annotation.view_frame import HIDDEN, ViewFrame
from app.viewmodels.images.mouse import left_is_taken
from app.views.images.slice_view import SliceView
from app.views.parts.painting import painted

#: Said over a marked slice.
MARKED = "★ key image"


class AnnotationLayer(QWidget):
    """The annotations of one view."""

    def __init__(self, view: SliceView, annotations: Annotations, drawing: Drawing) -> None:
        super().__init__(view)
        self._view = view
        self._annotations = annotations
        self._drawing = drawing
        self.editor: TextEditor | None = None
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setGeometry(view.rect())
        view.installEventFilter(self)
        view.takes_drawing = True
        annotations.changed.connect(self.update)
        annotations.live_changed.connect(self.update)
        annotations.selection_changed.connect(self.update)
        annotations.changed.connect(self._end_editing)
        drawing.hover_changed.connect(self._hovered)
        annotations.viewer.tool_changed.connect(self._hovered)

    def frame(self) -> ViewFrame | None:
        """The slice that the view shows, and how it lies there; None without one."""
        state, viewport = self._view.state, self._view.viewport()
        return None if state is None or viewport is None else ViewFrame.of(state, viewport)

    def items(self, frame: ViewFrame) -> list[Item]:
        """The annotations to draw on a slice, with their text and strength."""
        hovered = self._drawing.hovered
        selected, live = self._annotations.selected, self._annotations.live
        found = []
        for annotation in self._annotations.shown:
            strength = frame.strength(annotation)
            if strength == HIDDEN:
                continue
            lines = self._lines(annotation)
            chosen = annotation.uid == selected or annotation is live
            under = hovered is not None and hovered.uid == annotation.uid
            found.append(Item(annotation, lines, strength, chosen, under))
        return found

    @painted
    def paintEvent(self, painter: QPainter) -> None:
        """Draw the forms and values of the slice, and the mark of a key image."""
        annotations = self._annotations
        if annotations.volume is None:
            return
        frame = self.frame()
        if frame is None or not (annotations.shown or annotations.document.key_images):
            return
        size = QRectF(self.rect())
        if annotations.key_image_at(frame.plane) is not None:
            state = self._view.state
            assert state is not None  # there is a frame
            below = self._view.below_corner(state, markings.TOP_RIGHT)
            markings.draw_corners(
                painter, size.adjusted(0, below, 0, 0), {markings.TOP_RIGHT: MARKED}
            )
        forms.draw(painter, size, frame, self.items(frame), self._view.written())

    def _lines(self, annotation: Annotation) -> tuple[str, ...]:
        reading = self._annotations.reading(annotation)
        return values.lines_over(annotation, reading, self._annotations.viewer.slab)

    # --- mouse -----------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take events of the view before it gets them; True keeps them from it."""
        kind = event.type()
        if kind == QEvent.Type.Resize:
            self.setGeometry(self._view.rect())
        elif kind == QEvent.Type.Leave:
            self._drawing.leave()
        elif isinstance(event, QMouseEvent) and (frame := self.frame()) is not None:
            return self._mouse(kind, event, frame)
        return False

    def _mouse(self, kind: QEvent.Type, event: QMouseEvent, frame: ViewFrame) -> bool:
        x, y = event.position().x(), event.position().y()
        if kind == QEvent.Type.MouseMove:
            self._drawing.move(frame, x, y)
            return False  # the view reads the voxel under the mouse in any case
        if event.button() != Qt.MouseButton.LeftButton:
            return False
        taken = False
        if kind == QEvent.Type.MouseButtonRelease:
            taken = self._drawing.release(frame, x, y)
        elif self._belongs_to_view(event):
            return False
        elif kind == QEvent.Type.MouseButtonPress:
            taken = self._drawing.press(frame, x, y)
        elif kind == QEvent.Type.MouseButtonDblClick:
            taken = self._drawing.double_click(frame, x, y)
        self._ask_for_text(frame)
        return taken

    def _belongs_to_view(self, event: QMouseEvent) -> bool:
        """Whether Space or Shift gives the left button another meaning."""
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        return left_is_taken(self._annotations.viewer, shift=shift)

    def _hovered(self) -> None:
        if self._drawing.cursor() is Cursor.GRAB:
            self._view.setCursor(Qt.CursorShape.PointingHandCursor)
        else:
            self._view.show_cursor()
        self.update()

    # --- text ------------------------------------------------------------------------------

    def _ask_for_text(self, frame: ViewFrame) -> None:
        annotation = self._drawing.awaiting_text
        if annotation is None or self.editor is not None:
            return
        self.editor = TextEditor(self._view, annotation.text)
        x, y = frame.to_screen(annotation.points_mm)[-1]
        width, height = 180, self.editor.sizeHint().height()
        left = min(max(0, round(float(x)) + 10), max(0, self.width() - width))
        top = min(max(0, round(float(y)) - height // 2), max(0, self.height() - height))
        self.editor.setGeometry(left, top, width, height)
        self.editor.show()
        self.editor.setFocus()
        self.editor.done = self._typed

    def _typed(self, text: str | None) -> None:
        editor, self.editor = self.editor, None
        if editor is not None:
            # A click elsewhere has given the keyboard to what was clicked on: it must stay there.
            had_keys = editor.window().focusWidget() is editor
            editor.deleteLater()
            self._drawing.write(text)
            if had_keys:
                self._view.setFocus()

    def _end_editing(self) -> None:
        """Close the editor where nothing waits for a text any more."""
        if self.editor is not None and self._drawing.awaiting_text is None:
            self._typed(None)


class TextEditor(QLineEdit):
    """A line of text at an annotation: Return or a click elsewhere takes it, Esc drops it."""

    def __init__(self, parent: QWidget, text: str) -> None:
        super().__init__(parent)
        # One more than is kept: where a longer text is pasted, `Annotations` says so.
        self.setMaxLength(LONGEST_TEXT + 1)
        self.setText(text)
        self.setPlaceholderText("Text, then Return")
        self.selectAll()
        self.done: Callable[[str | None], object] = lambda _: None
        self.returnPressed.connect(lambda: self.done(self.text()))

    def event(self, event: QEvent) -> bool:
        """Keep Esc from the window: it drops the text."""
        if isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Escape:
            if event.type() == QEvent.Type.KeyPress:
                self.done(None)
            event.accept()
            return True
        return super().event(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Take the text when a click elsewhere takes the keyboard away."""
        super().focusOutEvent(event)
        self.done(self.text())
