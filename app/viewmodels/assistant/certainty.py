"""How sure an answer is, in words for cards and tabs. Knows no widgets and no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from med2e3.words import percent_text

if TYPE_CHECKING:
    from med2e3.evidence.answer_words import Word
    from med2e3.evidence.certainty import Certainty

#: Words below this probability are marked: another word was about as likely.
DOUBT = 0.6


def doubtful(word: Word) -> bool:
    """Whether a word is to be marked as one the model was not sure of."""
    return word.probability < DOUBT


def sure_line(certainty: Certainty) -> str:
    """How probable the model finds its answer."""
    words = len(certainty.words)
    if certainty.is_report:
        least = min(certainty.words, key=lambda word: word.probability)
        doubts = sum(map(doubtful, certainty.words))
        return (
            f"{doubts} of {words} words unsure; the least, “{least.text}”, "
            f"{percent_text(least.probability)}"
        )
    unsure = "The model is not sure of this answer. " if certainty.unsure else ""
    return f"{unsure}Probability of this answer: {percent_text(certainty.probability)}"


def by_sentence(certainty: Certainty) -> tuple[Word, ...]:
    """The sentences with their probabilities; none of an answer that has only one."""
    sentences = certainty.sentences
    return sentences if len(sentences) > 1 else ()


def short_line(certainty: Certainty | None) -> str:
    """The same for the foot of a card; "" where nothing is known."""
    if certainty is None:
        return ""
    if certainty.is_report:
        unsure = sum(map(doubtful, certainty.words))
        return f"{unsure} of {len(certainty.words)} words unsure"
    line = "unsure · " if certainty.unsure else ""
    line += f"probability {percent_text(certainty.deciding)}"
    if certainty.level is not None:
        line += f" · right in {percent_text(certainty.level.right)} when so sure"
    return line


def options_line(certainty: Certainty) -> str:
    """What else the model could have said, the likeliest first."""
    ordered = sorted(certainty.options, key=lambda option: -option.probability)
    return " · ".join(f"{option.text} {percent_text(option.probability)}" for option in ordered)


def outside_line(certainty: Certainty) -> str:
    """A word where the question is outside what the model was trained on."""
    return "" if certainty.familiarity is None else certainty.familiarity.sentence


def outside_words(certainty: Certainty | None) -> str:
    """The same in as few words as a card has room for; "" for a question of the training."""
    known = None if certainty is None else certainty.familiarity
    if known is None or not known.is_outside:
        return ""
    words = ", ".join(f"“{word}”" for word in known.unknown_words)
    return f"Not trained on this question{f' ({words})' if words else ''}: a guess."
