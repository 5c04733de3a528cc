"""The conversation: cards of turns, the latest at the bottom."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import groupby

from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtWidgets import (
    QLabel,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.viewmodels.assistant.answers import Turn
from app.viewmodels.assistant.assistant import Assistant
from app.viewmodels.assistant.attention import WordMaps
from app.viewmodels.assistant.strip import BandCell
from app.viewmodels.images.viewer import Viewer
from app.views.assistant.turn_card import TurnCard
from med2e3.words import counted

EMPTY = (
    "Ask about the open series, or use one of the ready questions below. "
    "The answer is a draft by a research model; check it against the images."
)

#: Milliseconds between two looks of a streaming answer: each lays out the conversation anew.
TEXT_EVERY_MS = 50


class _Body(QWidget):
    """The column of cards: as high as its text needs at the width that it gets, not higher."""

    def minimumSizeHint(self) -> QSize:
        """None: the one of the layout is for its least width, at which every word has a line."""
        return QSize(0, 0)


def _other(turn: Turn) -> str | None:
    """The series that an answer is about, where it is not the open one."""
    return turn.volume_name if turn.volume is None and not turn.running else None


class Fold(QToolButton):
    """Shows or hides the answers about a series that is not open."""

    def __init__(self, cards: list[TurnCard], toggled: Callable[[Turn], object]) -> None:
        super().__init__()
        self.cards = cards
        name = cards[0].turn.volume_name or "another series"
        self._words = f"{counted(len(cards), 'answer')} about {name}"
        self.setToolTip(f"Show or hide the {self._words}, which is not open")
        self.setAccessibleName(self._words)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setText(self._words)
        self.clicked.connect(lambda _=False: toggled(cards[0].turn))

    def show_open(self, *, is_open: bool) -> None:
        """Point down over what is shown, else to the right."""
        self.setArrowType(Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow)


class Chat(QScrollArea):
    """All turns; it keeps to the end while the reader has not scrolled up."""

    def __init__(self, assistant: Assistant, viewer: Viewer, word_maps: WordMaps) -> None:
        super().__init__()
        self._word_maps = word_maps
        self._assistant = assistant
        self._viewer = viewer
        self.cards: list[TurnCard] = []
        #: One above the answers about each series that is not open, in their order.
        self.folds: list[Fold] = []
        self._unfolded: set[Turn] = set()
        self._follow = True
        #: Takes a question that the reader wants to change.
        self.edit: Callable[[str], object] = lambda question: None
        self._hint = QLabel(EMPTY)
        self._hint.setWordWrap(True)
        self._hint.setProperty("dim", True)
        self._hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._body = _Body()
        self._layout = QVBoxLayout(self._body)
        self._layout.setContentsMargins(10, 10, 10, 10)
        self._layout.setSpacing(8)
        self._layout.addWidget(self._hint, 1)
        self._layout.addStretch(0)
        self.setWidget(self._body)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumHeight(90)
        self.verticalScrollBar().rangeChanged.connect(self._to_end)
        self.verticalScrollBar().valueChanged.connect(self._scrolled)
        assistant.turns_changed.connect(self._turns_changed)
        self._text_timer = QTimer(self)
        self._text_timer.setSingleShot(True)
        self._text_timer.setInterval(TEXT_EVERY_MS)
        self._text_timer.timeout.connect(self._show_text)
        assistant.turn_changed.connect(self._turn_changed)
        assistant.text_changed.connect(self._text_changed)
        assistant.chosen_changed.connect(self._chosen_changed)
        word_maps.changed.connect(self._attention_changed)
        assistant.volume_entered.connect(lambda _: self._entered())

    def _turns_changed(self) -> None:
        for turn in self._assistant.turns[len(self.cards) :]:
            card = TurnCard(turn, self._assistant, self._word_maps, self._jump)
            card.again.clicked.connect(partial(self._ask_again, turn))
            card.edit.clicked.connect(partial(self._edit, turn))
            self.cards.append(card)
            self._layout.insertWidget(self._layout.count() - 1, card)
            self._follow = True
        self._fold()
        self._hint.setVisible(not self.cards)
        self._layout.setStretch(self._layout.count() - 1, 1 if self.cards else 0)

    def _entered(self) -> None:
        """Another series is open, or the same one again."""
        self._unfolded.clear()
        self._fold()
        self._refresh()

    def _fold(self) -> None:
        """Fold away what is about other series than the open one; nothing is forgotten."""
        runs = [
            list(run)
            for other, run in groupby(self.cards, lambda card: _other(card.turn))
            if other is not None
        ]
        if [fold.cards for fold in self.folds] != runs:
            for fold in self.folds:
                self._layout.removeWidget(fold)
                fold.deleteLater()
            self.folds = [Fold(run, self._toggled) for run in runs]
            for fold in self.folds:
                self._layout.insertWidget(self._layout.indexOf(fold.cards[0]), fold)
        folded: set[TurnCard] = set()
        for fold in self.folds:
            is_open = fold.cards[0].turn in self._unfolded
            fold.show_open(is_open=is_open)
            if not is_open:
                folded.update(fold.cards)
        for card in self.cards:
            card.setVisible(card not in folded)

    def _toggled(self, turn: Turn) -> None:
        self._follow = False
        self._unfolded ^= {turn}
        self._fold()

    def _ask_again(self, turn: Turn, _checked: bool = False) -> None:
        self._assistant.ask_next(turn.question)

    def _edit(self, turn: Turn, _checked: bool = False) -> None:
        self.edit(turn.question)

    def _chosen_changed(self) -> None:
        for card in self.cards:
            card.show_chosen()

    def _attention_changed(self) -> None:
        for card in self.cards:
            card.show_attention()

    def _turn_changed(self, turn: Turn) -> None:
        for card in self.cards:
            if card.turn is turn:
                card.refresh()

    def _text_changed(self, turn: Turn) -> None:
        if not self._text_timer.isActive():
            self._text_timer.start()

    def _show_text(self) -> None:
        for card in self.cards:
            if card.turn is self._assistant.running:
                card.show_text()

    def _refresh(self) -> None:
        for card in self.cards:
            card.refresh()

    def _jump(self, turn: Turn, cell: BandCell) -> None:
        self._assistant.choose(turn)
        if turn.seen is not None and turn is self._assistant.shown:
            self._viewer.go_to_slice(turn.seen.plane, turn.seen.centre_slice(cell.model_slice))

    def _scrolled(self, value: int) -> None:
        self._follow = value >= self.verticalScrollBar().maximum() - 4

    def _to_end(self, low: int, high: int) -> None:
        if self._follow:
            self.verticalScrollBar().setValue(high)
