"""What the model saw: its slices side by side, framed in the colour of their score.

Click a slice: the view of its plane goes there. Decides nothing.
"""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import QEvent, QRectF, Qt
from PySide6.QtGui import QColor, QHelpEvent, QImage, QMouseEvent, QPainter, QPen
from PySide6.QtWidgets import QLabel, QSizePolicy, QToolTip, QVBoxLayout, QWidget

from app.imaging import numbers
from app.rendering import colours
from app.rendering.cached_layer import CachedLayer
from app.rendering.contact_sheet import Cell, ContactSheet
from app.viewmodels.assistant.answers import Seen
from app.viewmodels.assistant.assistant import Assistant
from app.viewmodels.assistant.strip import Strip, strip_of
from app.viewmodels.images.viewer import Viewer
from app.views.parts import theme
from app.views.parts.painting import painted

#: Space around each slice, which holds its frame, in logical pixels.
FRAME = 3.0
#: How much of it stays free on the outside.
GAP = 0.5

EMPTY = "What the model saw\n\nThe slices that the model is given appear here with an answer."


class ModelSheet(QWidget):
    """The contact sheet with a line above it that says how the volume was given."""

    def __init__(self, assistant: Assistant, viewer: Viewer) -> None:
        super().__init__()
        self._assistant = assistant
        self.caption = QLabel()
        self.caption.setWordWrap(True)
        # On the ground of images, as the slices below it are.
        ink, ground = theme.DARK.dim, theme.DARK.window
        self.caption.setStyleSheet(f"color: {ink}; background: {ground}")
        self.caption.setContentsMargins(8, 5, 8, 3)
        self.tiles = Tiles(assistant, viewer)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.caption)
        layout.addWidget(self.tiles, 1)
        assistant.chosen_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Take over the answer that is shown now."""
        shown = self._assistant.shown
        seen = shown.seen if shown is not None else None
        self.caption.setVisible(seen is not None)
        if seen is not None:
            self.caption.setText(numbers.unbroken(describe(seen)))
        self.tiles.refresh()


def describe(seen: Seen) -> str:
    """How the volume was given to the model, in one line."""
    count, rows, columns = seen.slices.shape
    total = seen.slice_count
    read = f"reads {total - len(seen.unread)} of {total} {seen.plane} slices"
    kept = "" if seen.crop_shape[0] == total else f", {total - seen.crop_shape[0]} cropped away"
    return (
        f"The model saw {count} {seen.plane} slices of {rows} × {columns} · "
        f"{seen.describe_window()} · {read}{kept}"
    )


class Tiles(QWidget):
    """The model's slices, as large as fits."""

    def __init__(self, assistant: Assistant, viewer: Viewer) -> None:
        super().__init__()
        self._assistant = assistant
        self._viewer = viewer
        self._seen: Seen | None = None
        self._strip: Strip | None = None
        self._sheet = ContactSheet(np.empty((0, 1, 1), np.uint8))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(120, 100)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setAccessibleName("Slices that the model was given")
        self._here: int | None = None
        self._still = CachedLayer(self._paint_still)
        viewer.slices_changed.connect(self._moved)

    def refresh(self) -> None:
        """Take over the answer that is shown now."""
        shown = self._assistant.shown
        self._seen = shown.seen if shown is not None else None
        self._strip = strip_of(shown)
        known = self._seen is not None
        if self._seen is not None and not np.array_equal(self._sheet.slices, self._seen.slices):
            self._sheet = ContactSheet(self._seen.slices)
        self.setCursor(Qt.CursorShape.PointingHandCursor if known else Qt.CursorShape.ArrowCursor)
        self.update()

    def tile_rects(self) -> list[QRectF]:
        """Where each model slice is drawn, with its frame, in true proportions."""
        if self._seen is None:
            return []
        count, rows, columns = self._seen.slices.shape
        _, row_mm, column_mm = self._seen.geometry.spacing_mm
        shape = (columns * column_mm) / (rows * row_mm)
        across, width = max(
            ((n, self._tile_width(n, count, shape)) for n in range(1, count + 1)),
            key=lambda choice: choice[1],
        )
        height = (width - 2 * FRAME) / shape + 2 * FRAME
        left = (self.width() - across * width) / 2
        return [
            QRectF(left + (k % across) * width, (k // across) * height, width, height)
            for k in range(count)
        ]

    def _tile_width(self, across: int, count: int, shape: float) -> float:
        down = math.ceil(count / across)
        by_height = (self.height() / down - 2 * FRAME) * shape + 2 * FRAME
        return min(self.width() / across, by_height)

    @painted
    def paintEvent(self, painter: QPainter) -> None:
        """Slices in their frames, and a rim around the one that the view shows."""
        painter.drawPixmap(0, 0, self._still.of(self, (self._seen, self._strip)))
        self._here = self._band_here()
        if self._here is not None:
            painter.setPen(QPen(QColor(theme.DARK.accent), 1))
            rect = self.tile_rects()[self._here]
            painter.drawRect(rect.adjusted(FRAME, FRAME, -FRAME, -FRAME))

    def _paint_still(self, painter: QPainter) -> None:
        painter.fillRect(self.rect(), QColor(theme.DARK.window))
        if self._seen is None or self._strip is None:
            painter.setPen(QColor(theme.DARK.dim))
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(self.rect().adjusted(24, 12, -24, -12), int(flags), EMPTY)
            return
        ratio = self.devicePixelRatioF()
        frames = [_frame_colour(cell.times_uniform).rgb() for cell in self._strip.cells]
        pixels = self._sheet.compose(
            (round(self.height() * ratio), round(self.width() * ratio)),
            [_cell(rect, ratio) for rect in self.tile_rects()],
            frames,
            QColor(theme.DARK.window).rgb(),
            (round(GAP * ratio), round(FRAME * ratio)),
        )
        rows, columns = pixels.shape
        image = QImage(pixels.data, columns, rows, 4 * columns, QImage.Format.Format_RGB32)
        image.setDevicePixelRatio(ratio)
        painter.drawImage(0, 0, image)

    def _moved(self) -> None:
        if self._band_here() != self._here:
            self.update()

    def _band_here(self) -> int | None:
        if self._seen is None or self._strip is None:
            return None
        state = self._viewer.planes.get(self._seen.plane)
        if state is None:
            return None
        cell = self._strip.at(self._strip.fraction_of(state.slice_index))
        return None if cell is None else cell.model_slice

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Bring the view to the slice."""
        k = self._tile_at(event.position().x(), event.position().y())
        if k is not None and self._seen is not None:
            self._viewer.go_to_slice(self._seen.plane, self._seen.centre_slice(k))

    def event(self, event: QEvent) -> bool:
        """The tooltip of the slice under the mouse."""
        if isinstance(event, QHelpEvent) and event.type() is QEvent.Type.ToolTip:
            k = self._tile_at(event.pos().x(), event.pos().y())
            known = k is not None and self._strip is not None
            tip = self._strip.cells[k].tip if known and self._strip and k is not None else ""
            QToolTip.showText(event.globalPos(), tip, self)
            return True
        return super().event(event)

    def _tile_at(self, x: float, y: float) -> int | None:
        rects = self.tile_rects()
        return next((k for k, rect in enumerate(rects) if rect.contains(x, y)), None)


def _cell(rect: QRectF, ratio: float) -> Cell:
    """A tile in pixels of the screen; whole ones, so that all tiles are of one size."""
    left, top = round(rect.left() * ratio), round(rect.top() * ratio)
    return Cell(left, top, int(rect.width() * ratio), int(rect.height() * ratio))


def _frame_colour(times_uniform: float | None) -> QColor:
    if times_uniform is None:
        return QColor(theme.DARK.line)
    return colours.score_colour(times_uniform)
