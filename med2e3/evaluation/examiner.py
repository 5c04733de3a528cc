"""Shows phantoms to a model and writes down what it says: no figure is computed here.

Phantoms go through the engine as a study does in the app: `read` once, then every question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from med2e3.engine import Model, Reply, Session
from med2e3.errors import InputError
from med2e3.evaluation.free_asking import ask_free, in_window, other_window
from med2e3.evaluation.records import ANSWER, BLANK, REWORDED, Examined, Pointed, Prediction
from med2e3.evaluation.reference import finding_grid
from med2e3.evidence.answer_words import confidence
from med2e3.evidence.rewording import rewordings
from med2e3.phantoms import Phantom, Wish, make_phantom
from med2e3.phantoms.phantom import DEFAULT_BODY
from med2e3.phantoms.questions import ALL_TOPICS, Question, location

Progress = Callable[[float, str], None]

#: Evaluation seeds begin here; training seeds lie below ten million.
FIRST_SEED = 20_000_000
#: Seeds of one evaluation lie this far from those of the next.
SEED_STEP = 100_000

#: Longest answer to a question, and longest report, in tokens.
ANSWER_TOKENS, REPORT_TOKENS = 24, 180

#: Topics whose questions are asked again in all their wordings; a phantom gets `REWORDED_EACH` of
#: them in turn: enough for an interval of a few hundredths, and a third of the work.
REWORDED_TOPICS = tuple(topic for topic in ALL_TOPICS if topic != "report")
REWORDED_EACH = 2

#: Keep these draws apart from the phantom's own and from one another, at the phantom's seed.
_REWORDING_STREAM, _POINTING_STREAM = 2, 3


def phantom_seeds(count: int, seed: int) -> list[int]:
    """The phantoms of an evaluation; never seen in training, another set for each seed.

    Raises `InputError` for a seed below 0: training's phantoms lie there.
    """
    if seed < 0:
        raise InputError(f"The seed {seed} is below 0, where phantoms of training lie.")
    return [FIRST_SEED + seed * SEED_STEP + k for k in range(count)]


class Examiner:
    """Asks one model about phantoms with this kind of body; the empty volume is read once."""

    def __init__(self, model: Model, body: str = DEFAULT_BODY) -> None:
        self.model, self.body = model, body
        self._blank = model.read(np.zeros(model.info.grid_shape, np.float32), crop=False)

    def examine(self, seeds: Sequence[int]) -> Iterator[Examined]:
        """Everything about the phantoms of these seeds, one after the other."""
        for seed in seeds:
            wish = Wish(shape=self.model.info.grid_shape)
            yield self.examine_phantom(make_phantom(seed, wish, body=self.body))

    def examine_phantom(self, phantom: Phantom) -> Examined:
        """Every question of the phantom, some in other words, and most of an empty volume."""
        session = self.model.read(phantom.volume, plane=phantom.plane)
        held = {
            f.name: np.flatnonzero(finding_grid(f.mask, session.input).any(axis=(1, 2)))
            for f in phantom.findings
        }
        questions = phantom.questions()
        short = [q for q in questions if q.topic != "report"]
        # What no choice is offered for cannot be guessed from its words: asked only of the phantom.
        blind = [q for q in short if q.is_closed or q.topic == "presence"]
        again = [
            (q, prompt) for q in _to_reword(short, phantom.seed) for prompt in rewordings(q)
        ]  # fmt: skip
        replies = session.ask_many(
            [*(q.prompt for q in short), *(prompt for _, prompt in again)],
            max_new_tokens=ANSWER_TOKENS,
        )
        reports = [q for q in questions if q.topic == "report"]
        replies += session.ask_many([q.prompt for q in reports], max_new_tokens=REPORT_TOKENS)
        unseen = self._blank.ask_many([q.prompt for q in blind], max_new_tokens=ANSWER_TOKENS)
        uses = [
            *((q, ANSWER) for q in short), *((q, REWORDED) for q, _ in again),
            *((q, ANSWER) for q in reports), *((q, BLANK) for q in blind),
        ]  # fmt: skip
        asked = [
            self._asked(question, use, reply, held)
            for (question, use), reply in zip(uses, [*replies, *unseen], strict=True)
        ]
        asked += ask_free(session, phantom)
        asked += self._in_other_window(phantom, blind)
        return Examined(
            phantom.seed, phantom.plane.value, phantom.phase.value, phantom.region.value,
            tuple(f.name for f in phantom.findings), tuple(asked),
            tuple(_point(session, phantom, held)),
        )  # fmt: skip

    def _in_other_window(self, phantom: Phantom, questions: list[Question]) -> list[Prediction]:
        """The same questions of the phantom in a window that the model was not trained in."""
        name = other_window(phantom.seed)
        if not name:
            return []
        session = self.model.read(phantom.volume, plane=phantom.plane, window=name)
        replies = session.ask_many([q.prompt for q in questions], max_new_tokens=ANSWER_TOKENS)
        return in_window(name, questions, replies)

    def _asked(
        self, question: Question, use: str, reply: Reply, held: dict[str, np.ndarray]
    ) -> Prediction:  # fmt: skip
        slices = {int(k) for name in question.about if name in held for k in held[name]}
        whole = not question.is_closed and question.topic != "presence"
        return Prediction(
            topic=question.topic,
            prompt=reply.question,
            truth=question.answer,
            letter=question.letter,
            answer=reply.text,
            use=use,
            choices=len(question.choices),
            repeats=question.prompt if use == REWORDED else "",
            confidence=confidence(
                reply.token_ids,
                reply.token_probabilities,
                self.model.backend.processor.decode,
                whole=whole,
            ),
            probabilities=tuple(round(p, 6) for p in reply.token_probabilities),
            scores=tuple(round(s, 7) for s in reply.scores),
            held=tuple(sorted(slices)),
        )


def _to_reword(questions: Sequence[Question], seed: int) -> list[Question]:
    """Which questions of this phantom are asked again: topics and forms in turn."""
    rng = np.random.default_rng([seed, _REWORDING_STREAM])
    topics = rng.permutation(len(REWORDED_TOPICS))[:REWORDED_EACH]
    chosen = []
    for topic in topics:
        fitting = [q for q in questions if q.topic == REWORDED_TOPICS[topic]]
        if fitting:
            chosen.append(fitting[int(rng.integers(len(fitting)))])
    return chosen


def _point(
    session: Session, phantom: Phantom, held: dict[str, np.ndarray]
) -> Iterator[Pointed]:  # fmt: skip
    """Where the scores lie for "Where is the …?", for every finding; nothing is answered."""
    rng = np.random.default_rng([phantom.seed, _POINTING_STREAM])
    for finding in phantom.findings:
        prompt = location(phantom.facts, finding.name, False, rng).prompt
        scores = session.ask(prompt).scores
        if scores is not None:
            row = tuple(round(float(s), 7) for s in scores.values)
            yield Pointed(finding.name, prompt, row, tuple(int(k) for k in held[finding.name]))
