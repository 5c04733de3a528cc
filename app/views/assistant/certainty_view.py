"""How sure the model is of an answer: its probability, the other options, words and sentences."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QLabel, QSizePolicy, QVBoxLayout

from app.viewmodels.assistant.certainty import (
    by_sentence,
    doubtful,
    options_line,
    outside_line,
    sure_line,
)
from app.views.parts import theme
from app.views.parts.theme import mark
from med2e3.words import percent_text

if TYPE_CHECKING:
    from med2e3.evidence.certainty import Certainty


class CertaintyView(QFrame):
    """One line of how sure, what is known of that, and the words that it is least sure of."""

    def __init__(self) -> None:
        super().__init__()
        self.sure = _label()
        mark(self.sure, "heading", value=True)
        self.options = _label()
        self.words = _label()
        self.words.setTextFormat(Qt.TextFormat.RichText)
        self.sentences = _label()
        self.sentences.setTextFormat(Qt.TextFormat.RichText)
        self.sentences.setAccessibleName("Probability of each sentence")
        self.known = _label()
        mark(self.known, "dim", value=True)
        self.outside = _label()
        mark(self.outside, "warning", value=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        for label in (
            self.sure,
            self.options,
            self.words,
            self.sentences,
            self.known,
            self.outside,
        ):
            layout.addWidget(label)
        self.show_certainty(None)

    def show_certainty(self, certainty: Certainty | None) -> None:
        """Show how sure an answer is; None hides all of it."""
        self.setVisible(certainty is not None)
        if certainty is None:
            return
        texts = (
            (self.sure, sure_line(certainty)),
            (self.options, options_line(certainty)),
            (self.words, words_html(certainty)),
            (self.sentences, sentences_html(certainty)),
            (self.known, certainty.known),
            (self.outside, outside_line(certainty)),
        )
        for label, text in texts:
            label.setText(text)
            label.setVisible(bool(text))


def words_html(certainty: Certainty) -> str:
    """The answer; words that the model was not sure of are underlined, with their probability."""
    colours = theme.current()
    if not any(doubtful(word) for word in certainty.words):
        return ""
    parts = []
    for word in certainty.words:
        text = html.escape(word.text)
        if doubtful(word):
            text = f'<u style="color:{colours.warning}">{text}</u> ({word.probability:.2f})'
        parts.append(text)
    return " ".join(parts)


def sentences_html(certainty: Certainty) -> str:
    """A line a sentence, with its probability before it; unsure ones in the colour of a warning."""
    colours = theme.current()
    rows = []
    for sentence in by_sentence(certainty):
        colour = colours.warning if doubtful(sentence) else colours.dim
        share = f'<span style="color:{colour}">{percent_text(sentence.probability)}</span>'
        cell = '<td style="padding-right:8px; white-space:nowrap" align="right">'
        rows.append(f"<tr>{cell}{share}</td><td>{html.escape(sentence.text)}</td></tr>")
    return f"<table>{''.join(rows)}</table>" if rows else ""


def _label() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
