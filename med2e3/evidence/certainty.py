"""How sure a model is of an answer: of the whole, of each word, of each choice, of the opposite.

A probability says how sure the model is, and not how often it is right; what is known of that is
its reliability, measured on data of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from med2e3.engine import Answer, Session
from med2e3.engine.forcing import force_tokens
from med2e3.errors import DataError
from med2e3.evidence.answer_words import Word, confidence, joint, sentences_of, words_of
from med2e3.evidence.familiarity import Familiarity, familiarity
from med2e3.evidence.probing import Probe, keep_mask
from med2e3.evidence.reliability import Level, Reliability, read_reliability
from med2e3.evidence.rewording import CHOICES
from med2e3.evidence.values import from_json, to_json
from med2e3.phantoms.language.refusals import is_refusal
from med2e3.words import percent_text

#: Forms of answers whose reliability is measured apart, as the evaluation names them.
CLOSED, PRESENCE, OPEN = "closed", "presence", "open"

#: Open answers of more words than this are reports, whose reliability was not measured.
SHORT_ANSWER = 16

#: The other word of an answer that says whether something is there.
OPPOSITES = {"yes": "No", "no": "Yes", "none": "Seen", "seen": "None"}

UNSURE = "The model is not sure of this answer."


@dataclass(frozen=True)
class Option:
    """What the model could have said, and the probability that its answer begins so.

    `text` is a choice with its letter, or "Yes" or "No".
    """

    text: str
    probability: float


@dataclass(frozen=True)
class Certainty:
    """How sure a model is of an answer.

    `probability` is that of all tokens together, `words` those of the words. `deciding` is what its
    reliability is told by: of a closed answer and one of presence the probability of the first
    word, else of the whole. `options` are the choices of a closed question in their order, or the
    answer's first word and the opposite for one of presence. `level` is what was measured at that
    probability, on `measured_on`; where there is nothing, `note` says why. `unsure` says that
    `deciding` lies below what was measured as enough.
    """

    question: str
    answer: str
    form: str
    probability: float
    deciding: float
    words: tuple[Word, ...]
    options: tuple[Option, ...] = ()
    level: Level | None = None
    measured_on: str = ""
    note: str = ""
    familiarity: Familiarity | None = None
    unsure: bool = False

    @property
    def is_report(self) -> bool:
        """Whether the answer is so long that its joint probability says little."""
        return len(self.words) > SHORT_ANSWER

    @property
    def known(self) -> str:
        """How often the model was right when it was so sure, or why that is not known."""
        level = self.level
        if level is None:
            return self.note
        return (
            f"At {level.low:.1f}–{level.high:.1f} this model was right in "
            f"{percent_text(level.right)} of {level.count} {self.form} answers "
            f"({self.measured_on})."
        )

    @property
    def sentence(self) -> str:
        """How sure, how reliable, and a word where the question is outside the training."""
        parts = [UNSURE] if self.unsure else []
        parts += [f"Probability of this answer: {self.probability:.3f}."]
        if self.known:
            parts.append(self.known)
        if self.familiarity is not None and self.familiarity.sentence:
            parts.append(self.familiarity.sentence)
        return " ".join(parts)

    def to_json(self) -> str:
        """As one JSON object."""
        return to_json(self)

    @property
    def sentences(self) -> tuple[Word, ...]:
        """The sentences of the answer, each with the probability of its words together."""
        return sentences_of(self.words)

    @classmethod
    def from_json(cls, text: str) -> Certainty:
        """Back from JSON. Raises `InputError`."""
        return from_json(cls, text)


def how_sure(session: Session, answer: Answer, reliability: Reliability | None = None) -> Certainty:
    """How sure the model is of a complete answer.

    Without `reliability` the file beside the model is read. One that is damaged, or was measured of
    other weights, is not used, and `note` says so. Raises `QuestionError` for an answer that is not
    complete.
    """
    probe = Probe(session, answer)
    info, question = session.model.info, answer.prompt.question
    decode = session.model.backend.processor.decode
    form = form_of(question, answer.text)
    found = Certainty(
        question=question,
        answer=answer.text,
        form=form,
        probability=joint(answer.token_probabilities),
        deciding=confidence(probe.tokens, answer.token_probabilities, decode, whole=form == OPEN),
        words=words_of(probe.tokens, answer.token_probabilities, decode),
        options=_options(probe, form),
        familiarity=None if is_refusal(answer.text) else familiarity(question, info),
    )
    note = ""
    if reliability is None:
        try:
            reliability = read_reliability(info)
        except DataError as error:
            note = str(error)
    return _with_level(found, reliability, note)


def form_of(question: str, answer: str) -> str:
    """CLOSED for a question with choices, PRESENCE for an answer of yes or no, else OPEN.

    Whether something is absent is answered by "seen" or "none", which count as yes and no.
    """
    if choices_of(question):
        return CLOSED
    first = re.match(r"\W*(\w+)", answer)
    return PRESENCE if first and first.group(1).lower() in OPPOSITES else OPEN


def choices_of(question: str) -> list[tuple[str, str]]:
    """The choices (letter, text) of a question "… Choices: A. axial B. coronal"; [] for others."""
    _, mark, listed = question.partition(CHOICES)
    if not mark:
        return []
    parts = re.split(r"(?:^|\s)([A-Z])\.\s", listed)
    return [(a, text.strip()) for a, text in zip(parts[1::2], parts[2::2], strict=True)]


def _with_level(found: Certainty, known: Reliability | None, note: str) -> Certainty:
    """The certainty with what was measured at its probability, or with why there is nothing."""
    if known is None:
        return replace(found, note=note or "How often it is right when so sure was not measured.")
    if found.form == OPEN and found.is_report:
        return replace(found, note="Reliability was measured of short answers, not of reports.")
    found = replace(found, unsure=found.deciding < known.enough.get(found.form, 0.0))
    level = known.level(found.form, found.deciding)
    if level is None:
        return replace(
            found,
            note=f"No {found.form} answer of such a probability was met when reliability was "
            f"measured ({known.what}).",
        )
    return replace(found, level=level, measured_on=known.what)


def _options(probe: Probe, form: str) -> tuple[Option, ...]:
    """The probability that the answer begins with each choice, or with the opposite word."""
    if form == CLOSED:
        texts = [f"{a}. {text}" for a, text in choices_of(probe.answer.prompt.question)]
        starts = [f"{a}." for a, _ in choices_of(probe.answer.prompt.question)]
    elif form == PRESENCE:
        said = re.match(r"\W*(\w+)", probe.answer.text)
        first = said.group(1) if said else ""
        texts = starts = [first, OPPOSITES[first.lower()]]
    else:
        return ()
    values = probabilities_of_starts(probe, starts)
    return tuple(Option(text, value) for text, value in zip(texts, values, strict=True))


@torch.inference_mode()
def probabilities_of_starts(probe: Probe, starts: Sequence[str]) -> list[float]:
    """The probability that the answer begins with each of these texts, in the model's own tokens.

    A text is cut into tokens as in the answers that the model learned from.
    """
    session, prompt = probe.session, probe.answer.prompt
    model, cache = session.model, session.computed()
    found = []
    with model.lock:
        keep = keep_mask(session, probe.left_out) if probe.left_out else None
        seed = probe.answer.sampling.seed or 0
        rows = model.backend.suffix(cache.features, prompt, keep, seed).rows
        for start in starts:
            tokens = model.backend.processor.answer_ids(prompt.question, start)
            forced = force_tokens(model, cache, rows, tokens)
            found.append(float(forced.log_probabilities.double().sum().exp()))
    return found
