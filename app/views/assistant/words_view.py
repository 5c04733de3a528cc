"""The words of an answer to click on: the map of the one that is chosen lies over the images."""

from __future__ import annotations

import html

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QLabel, QSizePolicy, QVBoxLayout

from app.viewmodels.assistant.answers import Turn
from app.viewmodels.assistant.attention import NOTE, Part, WordMaps
from app.views.parts import theme
from app.views.parts.theme import mark

#: What each kind of map is called.
TITLES = {Part.SLICES: "slices (2D × scores)", Part.VOLUME: "volume (3D)"}


class WordsView(QFrame):
    """Words as links, how much of the chosen one's attention goes where, and which map is shown."""

    def __init__(self, turn: Turn, word_maps: WordMaps) -> None:
        super().__init__()
        self._turn = turn
        self._word_maps = word_maps
        self.words = _links("Words of the answer")
        self.words.linkActivated.connect(lambda link: word_maps.choose_word(int(link)))
        self.line = _links("Which attention is shown")
        self.line.linkActivated.connect(lambda link: word_maps.choose_part(Part(link)))
        mark(self.line, "dim", value=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.words)
        layout.addWidget(self.line)
        self.refresh()

    @property
    def has_words(self) -> bool:
        """Whether the answer stands here, as words to click on."""
        return self._word_maps.turn is self._turn and self._turn.attention is not None

    def refresh(self) -> None:
        """Take over which word and map are chosen, or why there is none."""
        message = self._turn.attention_message
        shown = self._word_maps.turn is self._turn
        self.setVisible(shown or message is not None)
        self.words.setVisible(self.has_words)
        if self.has_words:
            self.words.setText(self._words())
        if shown:
            self.line.setText(html.escape(self._word_maps.line) + self._parts())
        elif message is not None:
            self.line.setText(html.escape(f"No attention is shown. {message.sentence}"))

    def _words(self) -> str:
        colours, found = theme.current(), self._turn.attention
        parts = []
        for number, word in enumerate(() if found is None else found.words):
            chosen = number == self._word_maps.word
            style = (
                f"color:{colours.accent}; font-weight:600"
                if chosen
                else f"color:{colours.text}; text-decoration:none"
            )
            parts.append(f'<a href="{number}" style="{style}">{html.escape(word)}</a>')
        return " ".join(parts)

    def _parts(self) -> str:
        """The note, and the maps that there are: the chosen one in bold, the other one a link."""
        colours, told = theme.current(), []
        for part in self._word_maps.parts:
            title = html.escape(TITLES[part])
            if part is self._word_maps.part:
                told.append(f"<b>{title}</b>")
            else:
                told.append(f'<a href="{part}" style="color:{colours.accent}">{title}</a>')
        return f"<b>{NOTE}</b> · {' · '.join(told)}" if told else ""


def _links(name: str) -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.RichText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    label.setAccessibleName(name)
    return label
