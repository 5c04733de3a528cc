"""What one test of an answer found: both answers in one marked text, the change in probability."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from PySide6.QtCore import QLineF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPen
from PySide6.QtWidgets import QFrame, QLabel, QSizePolicy, QVBoxLayout, QWidget

from app.viewmodels.assistant.evidence import TESTS
from app.views.parts import theme
from app.views.parts.painting import painted
from app.views.parts.theme import mark

if TYPE_CHECKING:
    from med2e3.evidence.outcomes import Outcome

#: Height of the bars of the probability before and after, in logical pixels.
BARS_HEIGHT = 18

TITLES = {row.name: row.label for row in TESTS}


class OutcomeCard(QFrame):
    """A test's title, the marked answers, the probability before and after, one sentence."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome
        self.setProperty("card", True)
        verdict = "same answer" if outcome.same and not outcome.changed else "another answer"
        title = QLabel(f"{TITLES.get(outcome.test, outcome.test)} — {verdict}")
        mark(title, "heading", value=True)
        self.text = _label()
        self.text.setTextFormat(Qt.TextFormat.RichText)
        self.text.setText(marked_html(outcome))
        self.bars = ProbabilityBars(outcome)
        self.sentence = _label()
        self.sentence.setText(outcome.sentence)
        mark(self.sentence, "dim", value=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 8, 10, 8)
        layout.setSpacing(4)
        for widget in (title, self.text, self.bars, self.sentence):
            layout.addWidget(widget)


class ProbabilityBars(QWidget):
    """The probability of the first answer, before above after; every draw of a control a line."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self._outcome = outcome
        self.setFixedHeight(BARS_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Probability of the answer before and after")
        self.setToolTip(
            f"Probability of the first answer: {outcome.probability_before:.3f} before (above), "
            f"{outcome.probability_after:.3f} after (below)"
        )

    def sizeHint(self) -> QSize:
        """As high as two bars."""
        return QSize(120, BARS_HEIGHT)

    @painted
    def paintEvent(self, painter: QPainter) -> None:
        """Two bars on one scale of 0 to 1."""
        colours, found = theme.current(), self._outcome
        half = self.height() / 2
        rows = (
            (0.0, found.probability_before, colours.dim),
            (half, found.probability_after, colours.accent),
        )
        for top, value, colour in rows:
            room = QRectF(0, top + 1, self.width(), half - 2)
            painter.fillRect(room, QColor(colours.field))
            room.setWidth(max(value * self.width(), 1.0))
            painter.fillRect(room, QColor(colour))
        painter.setPen(QPen(QColor(colours.text), 1))
        for draw in found.draws:
            x = min(draw * self.width(), self.width() - 1.0)
            painter.drawLine(QLineF(x, half + 1, x, self.height() - 1))


def marked_html(outcome: Outcome) -> str:
    """Both answers as one rich text: what went is struck out, what came is underlined."""
    colours = theme.current()
    frames = {
        "same": "{}",
        "removed": f'<s style="color:{colours.error}">{{}}</s>',
        "added": f'<u style="color:{colours.accent}">{{}}</u>',
    }
    return " ".join(frames[part.change].format(html.escape(part.text)) for part in outcome.parts)


def _label() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
