"""One question and its answer in the conversation."""

from __future__ import annotations

import re
from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QContextMenuEvent, QGuiApplication, QMouseEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QMenu,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.imaging import numbers
from app.viewmodels.assistant import exports
from app.viewmodels.assistant.answers import Turn, TurnState
from app.viewmodels.assistant.assistant import Assistant
from app.viewmodels.assistant.attention import NOTE, WordMaps
from app.viewmodels.assistant.certainty import outside_words, short_line
from app.viewmodels.assistant.strip import BandCell, strip_of
from app.views.assistant.score_bars import ScoreBars
from app.views.assistant.words_view import WordsView
from app.views.parts.icons import dress
from app.views.parts.theme import mark
from med2e3.words import counted

#: Why an answer ended, in words; an answer that came to its own end needs none.
REASONS = {"length": "cut off at the longest length", "cancelled": "stopped"}


#: Seconds below which a time is not written out: it would read as none.
SHORTEST = 0.1

#: A run of this many characters without a space may be wider than the panel.
LONG_RUN = re.compile(r"(\S{24})(?=\S)")


class TurnCard(QFrame):
    """Shows a turn as it grows; a click shows its scores beside the images."""

    def __init__(
        self,
        turn: Turn,
        assistant: Assistant,
        word_maps: WordMaps,
        jump: Callable[[Turn, BandCell], object],
    ) -> None:
        super().__init__()
        self.turn = turn
        self._word_maps = word_maps
        self._assistant = assistant
        self._jump = jump
        self.setProperty("card", True)
        self.question = _Text(self, turn.question)
        self.question.setProperty("heading", True)
        self.answer = _Text(self)
        self.words = WordsView(turn, word_maps)
        self.outside = _Text(self)
        mark(self.outside, "warning", value=True)
        self.status = _Text(self)
        self.bars = ScoreBars(lambda cell: jump(turn, cell), compact=True)
        self.copy = _button("copy", "Copy the answer")
        self.copy.clicked.connect(
            lambda: QGuiApplication.clipboard().setText(exports.answer_text(turn))
        )
        self.attention = _button("crosshair", f"Where each word attends to: {NOTE}")
        self.attention.setCheckable(True)
        self.attention.clicked.connect(lambda: word_maps.toggle(turn))
        self.again = _button("reset", "Ask this again")
        self.edit = _button("measure_note", "Change this question")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 8, 8, 6)
        layout.setSpacing(4)
        head = QHBoxLayout()
        head.setSpacing(0)
        head.addWidget(self.question, 1)
        for button in (self.attention, self.edit, self.again, self.copy):
            head.addWidget(button, 0, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(head)
        for widget in (self.answer, self.words, self.outside, self.bars, self.status):
            layout.addWidget(widget)
        self.refresh()

    def refresh(self) -> None:
        """Take over what has arrived of the answer."""
        turn = self.turn
        self.show_text()
        self.bars.show_strip(strip_of(turn) if turn.scores is not None else None)
        outside = "\n".join(filter(None, (*turn.cautions, outside_words(turn.certainty))))
        self.outside.setText(outside)
        self.outside.setVisible(bool(outside))
        failed = turn.state is TurnState.FAILED
        mark(self.status, "error", failed)
        mark(self.status, "dim", not failed)
        words = status_of(turn)
        self.status.setText(words if failed else numbers.unbroken(words))
        self.copy.setVisible(bool(turn.text) and not turn.running)
        self.show_chosen()

    def show_attention(self) -> None:
        """Take over whose attention is shown: the words of that answer can be clicked."""
        chosen = self._word_maps.turn is self.turn
        shown = self.turn is self._assistant.shown
        self.attention.setVisible(shown and self._word_maps.offered(self.turn))
        self.attention.setChecked(chosen)
        self.words.refresh()
        self.answer.setVisible(bool(self.turn.text) and not self.words.has_words)

    def show_chosen(self) -> None:
        """Stand out while this answer's scores are the ones shown."""
        mark(self, "chosen", self.turn is self._assistant.shown)
        self.show_attention()

    def show_text(self) -> None:
        """Take over the text alone, as it streams."""
        caret = " ▍" if self.turn.state is TurnState.STREAMING else ""
        self.answer.setText(breakable(self.turn.text) + caret)
        self.answer.setVisible(bool(self.turn.text) and not self.words.has_words)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Show this answer's scores."""
        self.choose()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """What can be done with the question and its answer."""
        menu = self.menu()
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(event.globalPos())

    def menu(self) -> QMenu:
        """The entries: words to copy, the question again or changed, and where its weight lies."""
        turn, clipboard = self.turn, QGuiApplication.clipboard()
        menu = QMenu(self)
        if marked := self.question.selectedText() or self.answer.selectedText():
            menu.addAction("Copy what is marked", lambda: clipboard.setText(marked))
        menu.addAction("Copy the question", lambda: clipboard.setText(turn.question))
        if turn.text and not turn.running:
            menu.addAction("Copy the answer", self.copy.click)
        menu.addSeparator()
        menu.addAction("Ask this again", self.again.click)
        menu.addAction("Change this question", self.edit.click)
        menu.addSeparator()
        menu.addAction("Show its scores", self.choose)
        strip = strip_of(turn) if turn.scores is not None else None
        if strip is not None and strip.ranked:
            best = strip.ranked[0]
            menu.addAction("Go to the slice of highest weight", lambda: self._jump(turn, best))
        return menu

    def choose(self) -> None:
        """Make this the answer whose scores are shown."""
        self._assistant.choose(self.turn)


def breakable(text: str) -> str:
    """The text with invisible places to break in runs too long for the panel."""
    return LONG_RUN.sub("\\1\u200b", text)


def status_of(turn: Turn) -> str:
    """What is going on, or how the answer came about and where its weight lies."""
    if turn.state is TurnState.WAITING:
        return f"{turn.doing} …"
    if turn.state is TurnState.FAILED:
        return turn.message.sentence if turn.message is not None else "failed"
    lines = [" · ".join(filter(None, (_given(turn), _before(turn), _end(turn))))]
    if turn.scores is not None:
        best = turn.scores.top(1)[0]
        axis = numbers.axis_of(turn.plane) + " " if turn.plane is not None else ""
        place = numbers.mm_range(best.band.from_mm, best.band.to_mm, digits=0)
        slices = " ".join(filter(None, (turn.plane, numbers.slice_range(*best.band.view_slices))))
        lines.append(f"top {numbers.times(best.times_uniform)} · {axis}{place} · {slices}")
    lines += [short_line(turn.certainty), turn.said]
    return "\n".join(filter(None, lines))


def _given(turn: Turn) -> str:
    if turn.seen is None:
        return f"about {turn.volume_name}" if turn.volume is None else ""
    return f"{turn.seen.plane} · {turn.seen.describe_window()} · {turn.model}"


def _before(turn: Turn) -> str:
    """Whether the model read what came before; nothing where nothing did."""
    if turn.read_after is None:
        return ""
    if not turn.read_after:
        return "without what came before"
    return f"after {counted(turn.read_after, 'turn')}"


def _end(turn: Turn) -> str:
    if turn.state is TurnState.STREAMING:
        return ""
    words = "stopped" if turn.state is TurnState.STOPPED else REASONS.get(turn.reason, "")
    took = f"{turn.seconds:.1f} s" if turn.seconds >= SHORTEST else f"under {SHORTEST} s"
    return " · ".join(filter(None, (took if turn.seconds else "", words)))


class _Text(QLabel):
    """Text to select; pressing it, which starts a selection, also counts as a click on the card."""

    def __init__(self, card: TurnCard, text: str = "") -> None:
        super().__init__(breakable(text))
        self._card = card
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.NoContextMenu)  # the card has one

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Show this answer's scores, then select."""
        self._card.choose()
        super().mousePressEvent(event)


def _button(name: str, tip: str, parent: QWidget | None = None) -> QToolButton:
    button = QToolButton(parent)
    dress(button, name, "dim")
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    button.setAutoRaise(True)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button
