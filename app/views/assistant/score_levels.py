"""The bands of highest weight as marks at the borders of a view: a clear sheet on it."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPolygonF

from app.imaging.viewport import Viewport
from app.rendering import colours
from app.viewmodels.assistant.assistant import Assistant
from app.viewmodels.assistant.levels import Level, levels_of
from app.views.images.slice_view import SliceView
from app.views.parts import theme
from app.views.parts.painting import painted
from app.views.parts.sheet import Sheet

#: Length of a mark into the image, and its least height, in logical pixels.
LENGTH, LEAST = 9.0, 2.0

#: Room of a rank beside its mark, in logical pixels.
RANK = 12.0


class ScoreLevels(Sheet):
    """The levels of the answer that is shown, in one view; the mouse goes through."""

    def __init__(self, view: SliceView, assistant: Assistant) -> None:
        super().__init__(view)
        self._view = view
        self._assistant = assistant
        self._painted: tuple[Level, ...] | None = None
        view.viewer.slices_changed.connect(self._moved)
        view.viewer.volume_changed.connect(self.update)
        assistant.chosen_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Take over the answer that is shown; without scores the sheet is away."""
        turn = self._assistant.shown
        self.cover()
        self.setVisible(turn is not None and turn.scores is not None)
        self.update()

    def _moved(self) -> None:
        """Another slice: the marks stay where they are in most views."""
        if self.isVisible() and self.levels() != self._painted:
            self.update()

    def levels(self) -> tuple[Level, ...]:
        """What is marked now."""
        state, viewport = self._view.state, self._view.viewport()
        if state is None or viewport is None:
            return ()
        return levels_of(self._assistant.shown, state.mm_at, viewport.shape)

    @painted
    def paintEvent(self, painter: QPainter) -> None:
        """A mark with its rank at both borders of the image, as far as they are in the view."""
        viewport = self._view.viewport()
        levels = self._painted = self.levels()
        if viewport is None or not levels:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        small = painter.font()
        small.setPointSizeF(max(small.pointSizeF() - 2, 6.5))
        painter.setFont(small)
        for level in reversed(levels):  # the highest on top
            self._paint(painter, level, viewport)

    def _paint(self, painter: QPainter, level: Level, viewport: Viewport) -> None:
        for number, (one, other) in enumerate(level.ends):
            inward = 1.0 if number == 0 else -1.0
            shape, middle = self._mark(level.across, one, other, viewport, inward)
            painter.setPen(QColor(0, 0, 0))
            painter.setBrush(colours.score_colour(level.times_uniform))
            painter.drawPolygon(shape)
            painter.setPen(QColor(theme.DARK.text))
            room = QRectF(middle.x() - RANK / 2, middle.y() - RANK / 2, RANK, RANK)
            painter.drawText(room, int(Qt.AlignmentFlag.AlignCenter), str(level.rank))

    def _mark(
        self,
        across: bool,
        one: tuple[float, float],
        other: tuple[float, float],
        viewport: Viewport,
        inward: float,
    ) -> tuple[QPolygonF, QPointF]:
        """The mark between two points of a border, and where its rank stands."""
        a, b = QPointF(*viewport.to_screen(*one)), QPointF(*viewport.to_screen(*other))
        if across:
            x = min(max(a.x(), 0.0), self.width() - 1.0)
            low, high = _at_least(a.y(), b.y())
            corners = [(x, low), (x + inward * LENGTH, low), (x + inward * LENGTH, high), (x, high)]
            middle = QPointF(x + inward * (LENGTH + RANK / 2 + 1), (low + high) / 2)
        else:
            y = min(max(a.y(), 0.0), self.height() - 1.0)
            low, high = _at_least(a.x(), b.x())
            corners = [(low, y), (low, y + inward * LENGTH), (high, y + inward * LENGTH), (high, y)]
            middle = QPointF((low + high) / 2, y + inward * (LENGTH + RANK / 2 + 1))
        return QPolygonF([QPointF(*corner) for corner in corners]), middle


def _at_least(one: float, other: float) -> tuple[float, float]:
    """Both ends in order, `LEAST` apart at least."""
    low, high = min(one, other), max(one, other)
    if high - low < LEAST:
        middle = (low + high) / 2
        low, high = middle - LEAST / 2, middle + LEAST / 2
    return low, high
