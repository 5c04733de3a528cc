"""All questions about the open volume as rows over the model's slices, on the fixed scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPen
from PySide6.QtWidgets import QLabel, QSizePolicy, QToolTip, QVBoxLayout, QWidget

from app.imaging import numbers
from app.rendering import colours
from app.viewmodels.assistant.answers import Turn
from app.viewmodels.assistant.assistant import Assistant
from app.viewmodels.core.signal import Signal
from app.views.parts import theme
from app.views.parts.elided import ChoiceBox
from app.views.parts.painting import painted
from app.views.parts.theme import mark

if TYPE_CHECKING:
    from med2e3.evidence.matrix import Matrix

#: Height of a row and its gap, in logical pixels; share of the width that questions take.
ROW, GAP, WORDS = 20, 2, 0.42

#: How rows are ordered, with the words for it.
ORDERS = (("time", "as asked"), ("similarity", "like beside like"))


class MatrixView(QWidget):
    """The matrix with its order, and what two chosen rows have in common.

    Questions about the plane and window of the shown answer are rows; a click brings an answer
    back, a click with Ctrl compares its scores with those of the shown one.
    """

    def __init__(self, assistant: Assistant) -> None:
        super().__init__()
        self._assistant = assistant
        self.order = ChoiceBox()
        for name, words in ORDERS:
            self.order.addItem(f"All questions, {words}", name)
        self.order.setAccessibleName("Order of the questions")
        self.order.activated.connect(lambda _: self.refresh())
        self.rows = MatrixRows(assistant)
        self.rows.compared.connect(self._compare)
        self.pair = QLabel()
        self.pair.setWordWrap(True)
        mark(self.pair, "dim", value=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.setSpacing(4)
        for widget in (self.order, self.rows, self.pair):
            layout.addWidget(widget)
        assistant.turn_changed.connect(lambda _: self.refresh())
        assistant.turns_changed.connect(self.refresh)
        assistant.chosen_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Take over the answers; one alone is no matrix."""
        turns = comparable(self._assistant)
        self.setVisible(len(turns) > 1)
        if len(turns) < 2:
            return
        matrix = _matrix(turns).ordered(str(self.order.currentData()))
        self.rows.show_turns([turns[k] for k in matrix.order])
        self._compare(self.rows.other)

    def _compare(self, other: Turn | None) -> None:
        shown = self._assistant.shown
        is_pair = other is not None and shown is not None and other is not shown
        self.pair.setVisible(is_pair)
        if not is_pair or other is None or shown is None:
            return
        pair = _matrix([shown, other]).compare(0, 1)
        r = "–" if pair.correlation != pair.correlation else f"{pair.correlation:+.2f}"
        self.pair.setText(
            f"“{shown.question}” and “{other.question}”: correlation {r}, Jensen–Shannon "
            f"divergence {pair.divergence_bits:.2f} bits (0 equal, 1 nothing in common)."
        )


class MatrixRows(QWidget):
    """The rows, painted; the shown answer's has a frame."""

    def __init__(self, assistant: Assistant) -> None:
        super().__init__()
        self._assistant = assistant
        self.turns: list[Turn] = []
        #: The row that the shown answer is compared with.
        self.other: Turn | None = None
        self.compared: Signal[[Turn | None]] = Signal()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName("Slice scores of all questions")

    def show_turns(self, turns: list[Turn]) -> None:
        """Show other rows."""
        self.turns = turns
        if self.other not in turns:
            self.other = None
        self.setFixedHeight(len(turns) * (ROW + GAP))
        self.update()

    def sizeHint(self) -> QSize:
        """As high as the rows are."""
        return QSize(220, len(self.turns) * (ROW + GAP))

    def row_at(self, y: float) -> Turn | None:
        """The answer at a height."""
        k = int(y // (ROW + GAP))
        return self.turns[k] if 0 <= k < len(self.turns) else None

    @painted
    def paintEvent(self, painter: QPainter) -> None:
        """Questions to the left, their scores to the right."""
        palette, left = theme.current(), self.width() * WORDS
        for k, turn in enumerate(self.turns):
            if turn.scores is None:
                continue
            top = k * (ROW + GAP)
            painter.setPen(QColor(palette.text))
            words = painter.fontMetrics().elidedText(
                turn.question, Qt.TextElideMode.ElideRight, int(left) - 8
            )
            place = QRectF(2, top, left - 8, ROW)
            painter.drawText(place, int(Qt.AlignmentFlag.AlignVCenter), words)
            times = turn.scores.times_uniform
            width = (self.width() - left) / len(times)
            for n, value in enumerate(times):
                cell = QRectF(left + n * width, top, width + 0.5, ROW)
                painter.fillRect(cell, colours.score_colour(float(value)))
            if turn in (self._assistant.shown, self.other):
                mine = turn is self._assistant.shown
                painter.setPen(QPen(QColor(palette.accent if mine else palette.warning), 2))
                painter.drawRect(QRectF(left, top + 1, self.width() - left - 1, ROW - 2))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Bring the answer back; with Ctrl compare it with the shown one."""
        turn = self.row_at(event.position().y())
        if turn is None or event.button() != Qt.MouseButton.LeftButton:
            return
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.other = None if turn is self.other else turn
            self.update()
            self.compared.emit(self.other)
        else:
            self._assistant.choose(turn)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Up and Down go from answer to answer."""
        step = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}.get(Qt.Key(event.key()))
        shown = self._assistant.shown
        if step is None or shown not in self.turns:
            super().keyPressEvent(event)
            return
        k = self.turns.index(shown) + step
        if 0 <= k < len(self.turns):
            self._assistant.choose(self.turns[k])

    def event(self, event: QEvent) -> bool:
        """The tooltip of the row under the mouse."""
        if isinstance(event, QHelpEvent) and event.type() is QEvent.Type.ToolTip:
            QToolTip.showText(event.globalPos(), self.tip_at(QPointF(event.pos())), self)
            return True
        return super().event(event)

    def tip_at(self, place: QPointF) -> str:
        """The question, its answer, and the band at a place."""
        turn, left = self.row_at(place.y()), self.width() * WORDS
        if turn is None or turn.scores is None:
            return ""
        lines = [turn.question, turn.text]
        if place.x() >= left:
            times = turn.scores.times_uniform
            k = min(int((place.x() - left) / (self.width() - left) * len(times)), len(times) - 1)
            where = numbers.mm_range(turn.scores.bands[k].from_mm, turn.scores.bands[k].to_mm)
            lines.append(f"{numbers.times(float(times[k]))} uniform · {where}")
        return "\n".join(lines)


def comparable(assistant: Assistant) -> list[Turn]:
    """Answers about the open volume with scores over the same bands as the shown one's."""
    shown = assistant.shown
    if shown is None or shown.scores is None:
        return []
    bands = shown.scores.bands
    return [
        turn
        for turn in assistant.turns
        if assistant.about_open_volume(turn)
        and turn.scores is not None
        and turn.scores.bands == bands
    ]


def _matrix(turns: list[Turn]) -> Matrix:
    from med2e3.evidence.matrix import Matrix, Row

    rows = tuple(
        Row(turn.question, turn.text, (), tuple(float(v) for v in turn.scores.values))
        for turn in turns
        if turn.scores is not None
    )
    return Matrix(rows, tuple(range(len(rows))))
