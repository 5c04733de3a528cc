"""The strip of slice scores beside a view: bands at their true place, bars on a fixed scale.

Each band is drawn where its slices lie in the volume; its length and colour are its multiple of
uniform on one scale for all answers, the dashed line is ×1. The thin column on the left shows
which slices the model reads at all. Click or drag brings the view there.
"""

from __future__ import annotations

from PySide6.QtCore import QEvent, QLineF, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QHelpEvent,
    QMouseEvent,
    QPainter,
    QPen,
    QPolygonF,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from app.imaging import numbers
from app.rendering import colours
from app.rendering.cached_layer import CachedLayer
from app.viewmodels.assistant.assistant import Assistant
from app.viewmodels.assistant.strip import BandCell, Strip, strip_of
from app.viewmodels.images.mouse import wheel_sign
from app.viewmodels.images.viewed import Viewed
from app.viewmodels.images.viewer import Viewer
from app.views.images.slice_view import NOTCH
from app.views.parts import theme
from app.views.parts.painting import painted
from med2e3 import score_scale
from med2e3.geometry import AXIS_LETTERS, DISPLAY_AXES, Plane

WIDTH = 84
TOP, BOTTOM = 20.0, 34.0
COVER_X, COVER_W = 6.0, 4.0
VIEWED_X, VIEWED_W = 11.0, 3.0
BARS_X, BARS_W = 17.0, 54.0
RANK_W = 10.0

#: Multiples written under the bars; all `score_scale.MARKS` have a tick.
LABELLED = (1.0, 4.0, 32.0)


class StripView(QWidget):
    """The scores of the shown answer along the slices of one plane."""

    def __init__(
        self,
        assistant: Assistant,
        viewer: Viewer,
        viewed: Viewed,
        plane: Plane,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewed = viewed
        self._assistant = assistant
        self._viewer = viewer
        self.plane = plane
        self.strip: Strip | None = None
        self.setFixedWidth(WIDTH)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)
        self.setMouseTracking(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName(f"Slice scores beside the {plane} view")
        assistant.chosen_changed.connect(self.refresh)
        assistant.turns_changed.connect(self.refresh)
        assistant.model_changed.connect(self.refresh)
        self._painted_marker: float | None = None
        self._wheel = 0
        self._still = CachedLayer(self._paint_still)
        viewer.slices_changed.connect(self._moved)
        viewed.changed.connect(self.update)
        self.refresh()

    def sizeHint(self) -> QSize:
        """As narrow as the bars allow."""
        return QSize(WIDTH, 200)

    def refresh(self) -> None:
        """Take over the answer that is shown now; hidden beside the other planes."""
        shown = self._assistant.shown
        self.strip = strip_of(shown) if shown is not None and shown.has_scores else None
        self.setVisible(self._assistant.strip_plane is self.plane)
        self.update()

    # --- places ----------------------------------------------------------------------------

    def y_of(self, fraction: float) -> float:
        """Screen height of a place on the strip."""
        return TOP + fraction * (self.height() - TOP - BOTTOM)

    def fraction_at(self, y: float) -> float:
        """Place on the strip of a screen height."""
        return (y - TOP) / max(self.height() - TOP - BOTTOM, 1.0)

    @property
    def marker(self) -> float | None:
        """Where the view is now, as a place on the strip."""
        state = self._viewer.planes.get(self.plane)
        return None if state is None else (state.slice_index + 0.5) / state.count

    # --- painting --------------------------------------------------------------------------

    @painted
    def paintEvent(self, painter: QPainter) -> None:
        """Bands with bars, the line of uniform, coverage, scale; and the marker over them."""
        painter.drawPixmap(0, 0, self._still.of(self, (self.strip, self.hint)))
        self._paint_viewed(painter)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_marker(painter)

    def _paint_viewed(self, painter: QPainter) -> None:
        """What the reader has had on the screen, beside what the model was given."""
        state = self._viewer.planes.get(self.plane)
        if state is None or self.strip is None:
            return
        colour = QColor(theme.DARK.accent)
        for first, last in self._viewed.runs(self.plane):
            y0, y1 = self.y_of(first / state.count), self.y_of((last + 1) / state.count)
            painter.fillRect(QRectF(VIEWED_X, y0, VIEWED_W, max(y1 - y0, 0.5)), colour)

    def _paint_still(self, painter: QPainter) -> None:
        painter.fillRect(self.rect(), QColor(theme.DARK.window))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        small = painter.font()
        small.setPointSizeF(max(small.pointSizeF() - 1.5, 6.5))
        painter.setFont(small)
        self._paint_ends(painter)
        if self.strip is None:
            self._paint_hint(painter)
        else:
            self._paint_cover(painter, self.strip)
            for cell in self.strip.cells:
                self._paint_cell(painter, cell)
            self._paint_ranks(painter, self.strip)
            if self.strip.flat:
                self._paint_along(painter, self.strip.flat, QColor(theme.DARK.text))
            self._paint_scale(painter)

    def _paint_ranks(self, painter: QPainter, strip: Strip) -> None:
        """The bands of highest weight by number, as the marks in the other planes have them."""
        if strip.flat:
            return
        painter.setPen(QColor(theme.DARK.text))
        for rank, cell in enumerate(strip.ranked, start=1):
            middle = (self.y_of(cell.top) + self.y_of(cell.bottom)) / 2
            room = QRectF(self.width() - RANK_W - 1, middle - 7, RANK_W, 14)
            painter.drawText(room, int(Qt.AlignmentFlag.AlignCenter), str(rank))

    def _paint_ends(self, painter: QPainter) -> None:
        axis, sign = DISPLAY_AXES[self.plane][0]
        first, last = AXIS_LETTERS[axis][:: 1 if sign > 0 else -1]
        painter.setPen(QColor(theme.DARK.dim))
        ends = ((first, QRectF(0, 2, BARS_X + 2, TOP - 4)),)
        low = QRectF(0, self.height() - BOTTOM + 2, BARS_X + 2, 14)
        for letter, rect in (*ends, (last, low)):
            painter.drawText(rect, int(Qt.AlignmentFlag.AlignCenter), letter)

    def _paint_hint(self, painter: QPainter) -> None:
        painter.setPen(QPen(QColor(theme.DARK.line), 1))
        height = self.y_of(1) - self.y_of(0)
        painter.drawRect(QRectF(BARS_X, TOP, BARS_W, height))
        self._paint_along(painter, self.hint, QColor(theme.DARK.dim))

    def _paint_along(self, painter: QPainter, text: str, colour: QColor) -> None:
        """Words along the bars, read from below."""
        height = self.y_of(1) - self.y_of(0)
        painter.save()
        painter.translate(BARS_X + BARS_W / 2, TOP + height / 2)
        painter.rotate(-90)
        painter.setPen(colour)
        area = QRectF(-height / 2, -BARS_W / 2, height, BARS_W)
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        painter.drawText(area, int(flags), text)
        painter.restore()

    @property
    def hint(self) -> str:
        """What stands here while there are no scores to show."""
        model = self._assistant.model
        if model is not None and not model.has_scores:
            return "this model gives\nno slice scores"
        if self._assistant.running is not None:
            return "reading the volume …"
        return "slice scores\nappear with an answer"

    def _paint_cover(self, painter: QPainter, strip: Strip) -> None:
        column = QRectF(COVER_X, TOP, COVER_W, self.y_of(1) - TOP)
        painter.fillRect(column, QColor(theme.DARK.dim))
        step = 1 / strip.slice_count
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        for middle in strip.unread:
            y0, y1 = self.y_of(middle - step / 2), self.y_of(middle + step / 2)
            painter.fillRect(QRectF(COVER_X, y0, COVER_W, y1 - y0), QColor(theme.DARK.field))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        not_given = QColor(theme.DARK.field)
        for y0, y1 in ((0.0, strip.cells[0].top), (strip.cells[-1].bottom, 1.0)):
            painter.fillRect(
                QRectF(BARS_X, self.y_of(y0), BARS_W, self.y_of(y1) - self.y_of(y0)), not_given
            )

    def _paint_cell(self, painter: QPainter, cell: BandCell) -> None:
        y0, y1 = self.y_of(cell.top), self.y_of(cell.bottom)
        gap = 1.0 if y1 - y0 > 4 else 0.0
        row = QRectF(BARS_X, y0, BARS_W, max(y1 - y0 - gap, 0.5))
        painter.fillRect(row, QColor(theme.DARK.panel))
        if cell.times_uniform is not None:
            row.setWidth(max(score_scale.position(cell.times_uniform) * BARS_W, 1.5))
            painter.fillRect(row, colours.score_colour(cell.times_uniform))

    def _paint_scale(self, painter: QPainter) -> None:
        bottom = self.y_of(1)
        dim = QColor(theme.DARK.dim)
        if self._assistant.shown is not None and self._assistant.shown.scores is None:
            return
        for step in range(int(BARS_W)):
            multiple = score_scale.multiple(step / BARS_W)
            ramp = QRectF(BARS_X + step, bottom + 3, 1.5, 4)
            painter.fillRect(ramp, colours.score_colour(multiple))
        for mark in score_scale.MARKS:
            x = BARS_X + score_scale.position(mark) * BARS_W
            painter.setPen(QPen(dim, 1))
            painter.drawLine(QLineF(x, bottom + 7, x, bottom + 10))
            if mark in LABELLED:
                label = QRectF(x - 16, bottom + 10, 32, 14)
                label.moveRight(min(label.right(), self.width() + 8.0))
                sign = "×" if mark == LABELLED[0] else ""
                painter.drawText(label, int(Qt.AlignmentFlag.AlignCenter), f"{sign}{mark:.0f}")
        x = BARS_X + score_scale.position(1.0) * BARS_W
        pen = QPen(QColor(theme.DARK.text), 1, Qt.PenStyle.DashLine)
        pen.setDashPattern([3, 3])
        painter.setPen(pen)
        painter.drawLine(QLineF(x, TOP, x, bottom))

    def _moved(self) -> None:
        if self.marker != self._painted_marker:
            self.update()

    def _paint_marker(self, painter: QPainter) -> None:
        marker = self._painted_marker = self.marker
        if marker is None:
            return
        y = self.y_of(marker)
        accent = QColor(theme.DARK.accent)
        painter.setPen(QPen(QColor(0, 0, 0, 160), 3))
        painter.drawLine(QLineF(COVER_X, y, self.width(), y))
        painter.setPen(QPen(accent, 1.2))
        painter.drawLine(QLineF(COVER_X, y, self.width(), y))
        painter.setBrush(accent)
        painter.setPen(Qt.PenStyle.NoPen)
        tip = (QPointF(0, y - 4.5), QPointF(0, y + 4.5), QPointF(COVER_X, y))
        painter.drawPolygon(QPolygonF(tip))

    # --- mouse -----------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Bring the view to the band, or to the slice where the model was given nothing."""
        if event.button() == Qt.MouseButton.LeftButton:
            fraction = self.fraction_at(event.position().y())
            cell = self.strip.at(fraction) if self.strip is not None else None
            self._go(fraction if cell is None else (cell.top + cell.bottom) / 2)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Dragging along the strip scrolls the view."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._go(self.fraction_at(event.position().y()))

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scroll the view, as over the view itself; a touchpad's small steps add up."""
        self._wheel += event.angleDelta().y() * wheel_sign(self._viewer)
        notches = int(self._wheel / NOTCH)
        self._wheel -= notches * NOTCH
        if notches:
            self._viewer.scroll(self.plane, -notches)

    def event(self, event: QEvent) -> bool:
        """The tooltip of the band under the mouse."""
        if isinstance(event, QHelpEvent) and event.type() is QEvent.Type.ToolTip:
            QToolTip.showText(event.globalPos(), self.tip_at(event.pos().y()), self)
            return True
        return super().event(event)

    def tip_at(self, y: float) -> str:
        """What lies at a height of the strip, in words."""
        if self.strip is None:
            return self.hint.replace("\n", " ")
        if self.strip.flat and not 0 <= self.fraction_at(y) <= 1:
            return f"The weights are {self.strip.flat}: they point nowhere."
        fraction = self.fraction_at(y)
        cell = self.strip.at(fraction)
        if cell is not None:
            return cell.tip
        if not 0 <= fraction <= 1:
            return "Multiples of uniform: ×1 is an equal share for every slice."
        index = min(int(fraction * self.strip.slice_count), self.strip.slice_count - 1)
        return f"{numbers.slice_range(index, index)}: cropped away, the model was not given it"

    def _go(self, fraction: float) -> None:
        state = self._viewer.planes.get(self.plane)
        if state is not None:
            self._viewer.go_to_slice(self.plane, fraction * state.count - 0.5)
