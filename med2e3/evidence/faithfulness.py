"""Whether slice scores say what an answer depends on, for one question, by the field's measures.

What is measured is the weight of the slices' 2D features. The 3D features bypass it, so an answer
may rest on them alone: then no slice matters, and these measures say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from med2e3.engine import Answer, Session
from med2e3.engine.info import Progress
from med2e3.engine.interruption import StopCheck, stop_if
from med2e3.errors import InputError, QuestionError
from med2e3.evidence import attribution as measure
from med2e3.evidence.conditions import BLANK, SHIFT, SHUFFLED, STABILITY, Conditions
from med2e3.evidence.probing import Float, Probe
from med2e3.evidence.randomising import randomised_scores
from med2e3.evidence.values import from_json, to_json


@dataclass(frozen=True)
class Settings:
    """How much is drawn: `orders` random orders of slices, `subsets` of each of `sizes`.

    The largest size is that of faithfulness correlation too. `seed` makes all draws repeatable.
    """

    orders: int = 20
    subsets: int = 50
    sizes: tuple[int, ...] = (1, 2, 4, 8, 16)
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("orders", "subsets"):
            if getattr(self, name) < 2:
                raise InputError(f"{name} is {getattr(self, name)}; give a number of at least 2.")
        if not self.sizes or min(self.sizes) < 1:
            raise InputError(f"Sizes of subsets are {self.sizes}; give numbers of at least 1.")


@dataclass(frozen=True)
class AgainstRandom:
    """A value by the scores, and what random orders give: each draw, mean and 95 % of them."""

    value: float
    draws: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Of the draws."""
        return float(np.mean(self.draws))

    @property
    def interval(self) -> tuple[float, float]:
        """The middle 95 % of the draws."""
        low, high = np.percentile(self.draws, [2.5, 97.5])
        return float(low), float(high)


@dataclass(frozen=True)
class Stability:
    """After a small change: how far the scores moved (total variation), and the same answer?"""

    moved: float
    same_answer: bool
    probability: float


@dataclass(frozen=True)
class Faithfulness:
    """The measures of one answer; names as in `med2e3.evidence.attribution`.

    `deletion` and `insertion` are the answer's probabilities (S,) along the curves by the scores.
    `deletion_aopc` and `insertion_area` stand against random orders. `randomised` has Spearman's ρ
    of the scores with those of a model whose part was drawn anew, `contrast` that with the scores
    of other questions (mean). `localisation` needs marked slices. `blank` and `shuffled` are the
    answer's probabilities there. What cannot be told, as a correlation of what does not vary, is
    NaN.
    """

    question: str
    answer: str
    probability: float
    scores: tuple[float, ...]
    deletion: tuple[float, ...]
    insertion: tuple[float, ...]
    deletion_aopc: AgainstRandom
    insertion_area: AgainstRandom
    faithfulness_correlation: float
    sensitivity_n: dict[str, float]
    randomised: dict[str, float]
    contrast: float
    stability: dict[str, Stability]
    blank: float
    shuffled: float
    blank_same: bool
    shuffled_same: bool
    localisation: dict[str, float] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """Whether taking the top slices first matters more than taking any, in plain words."""
        low, high = self.deletion_aopc.interval
        value = self.deletion_aopc.value
        where = "above" if value > high else "below" if value < low else "within"
        return (
            f"Without the slices of highest weight the probability of “{self.answer}” falls by "
            f"{value:.3f} on average, {where} what random orders give ({low:.3f} to {high:.3f}); "
            f"on an empty volume it is {self.blank:.3f} in place of {self.probability:.3f}."
        )

    def as_rows(self) -> list[tuple[str, float]]:
        """Each measure with its name, for a table; NaN where it cannot be told."""
        return [
            ("AOPC of deletion", self.deletion_aopc.value),
            ("AOPC of deletion, random orders (mean)", self.deletion_aopc.mean),
            ("area of insertion", self.insertion_area.value),
            ("area of insertion, random orders (mean)", self.insertion_area.mean),
            ("faithfulness correlation", self.faithfulness_correlation),
            *((f"sensitivity-{size}", value) for size, value in self.sensitivity_n.items()),
            *((f"ρ without {part}", value) for part, value in self.randomised.items()),
            ("ρ with other questions", self.contrast),
            *((f"scores moved, {name}", one.moved) for name, one in self.stability.items()),
            ("probability, blank volume", self.blank),
            ("probability, shuffled slices", self.shuffled),
            *self.localisation.items(),
        ]

    def to_json(self) -> str:
        """As one JSON object."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str) -> Faithfulness:
        """Back from JSON. Raises `InputError`."""
        return from_json(cls, text)


def faithfulness(
    session: Session,
    answer: Answer,
    *,
    settings: Settings | None = None,
    held: Sequence[int] = (),
    conditions: Conditions | None = None,
    progress: Progress | None = None,
    cancelled: StopCheck | None = None,
) -> Faithfulness:
    """All measures of a complete answer.

    `held` are the model slices that matter, by marks or a mask; without them there is no
    localisation. `conditions` keep the volume under each condition for several questions. Raises
    `QuestionError` for a model without slice scores or of one slice, and `Cancelled`.
    """
    chosen = settings or Settings()
    probe = Probe(session, answer)
    weights = probe.weights
    count = len(weights)
    if count < 2:
        raise QuestionError(
            "The model sees one slice, so there is no order of slices to test. "
            "Choose a model that sees several."
        )
    if probe.left_out:
        raise QuestionError(
            f"“{answer.prompt.question}” was asked without {len(probe.left_out)} slices, and their "
            "weights cannot be measured. Ask it again with all slices."
        )
    wrong = [k for k in held if not 0 <= k < count]
    if wrong:
        raise QuestionError(f"Slices {wrong} cannot be marked: they are 0 to {count - 1}.")
    steps = _Steps(progress, cancelled)
    steps(0.0, "Deletion and insertion curves")
    curves = _curves(probe, chosen, cancelled)
    steps(0.4, "Random subsets")
    by_size = _sensitivity(probe, chosen, cancelled)
    steps(0.6, "Parameters drawn anew")
    randomised = {
        name: measure.rank_correlation(weights, rows[0])
        for name, rows in randomised_scores(session, [answer.prompt], chosen.seed).items()
    }
    steps(0.7, "Other questions")
    contrast = _contrast(session, answer, weights)
    steps(0.75, "Small changes")
    cases = conditions or Conditions(session, chosen.seed)
    stability = {name: _stability(probe, cases, name, cancelled) for name in STABILITY}
    steps(0.9, "Blank and shuffled volumes")
    blank, shuffled = (probe.elsewhere(cases(name, cancelled)) for name in (BLANK, SHUFFLED))
    steps(1.0, "Measured")
    return Faithfulness(
        question=answer.prompt.question,
        answer=answer.text,
        probability=probe.first.probability,
        scores=tuple(float(w) for w in weights),
        deletion=tuple(curves[0].tolist()),
        insertion=tuple(curves[1].tolist()),
        deletion_aopc=curves[2],
        insertion_area=curves[3],
        faithfulness_correlation=list(by_size.values())[-1],
        sensitivity_n=by_size,
        randomised=randomised,
        contrast=contrast,
        stability=stability,
        blank=blank.probability,
        shuffled=shuffled.probability,
        blank_same=blank.same,
        shuffled_same=shuffled.same,
        localisation=localisation(weights, held),
    )


def localisation(weights: Float, held: Sequence[int]) -> dict[str, float]:
    """How well the weights (S,) point at the slices that matter; {} where none was marked."""
    if not len(held):
        return {}
    mask = np.zeros(len(weights), dtype=bool)
    mask[list(held)] = True
    return {
        "pointing game": measure.pointing_game(weights, mask),
        "relevance mass accuracy": measure.mass_accuracy(weights, mask),
        "relevance rank accuracy": measure.rank_accuracy(weights, mask),
        "top 3": measure.top_k_hits(weights, mask, 3),
    }


class _Steps:
    """Tells progress, and stops between the measures."""

    def __init__(self, progress: Progress | None, cancelled: StopCheck | None) -> None:
        self._progress, self._cancelled = progress, cancelled

    def __call__(self, fraction: float, what: str) -> None:
        stop_if(self._cancelled)
        if self._progress is not None:
            self._progress(fraction, what)


def predictor(probe: Probe, cancelled: StopCheck | None = None) -> measure.Predict:
    """The answer's probability (B,) where only some slices (B, S) keep their weight."""

    def predict(kept: measure.Kept) -> Float:
        rows = np.stack([probe.without(np.flatnonzero(~row).tolist()) for row in kept])
        found = probe.under_weights(rows, cancelled)
        return np.array([one.probability for one in found])

    return predict


def _curves(
    probe: Probe, chosen: Settings, cancelled: StopCheck | None
) -> tuple[Float, Float, AgainstRandom, AgainstRandom]:
    """Both curves by the scores, and their summaries beside those of random orders."""
    predict = predictor(probe, cancelled)
    rng = np.random.default_rng(chosen.seed)
    by_weight = measure.descending(probe.weights)
    orders = [by_weight, *(rng.permutation(len(by_weight)) for _ in range(chosen.orders))]
    deletion = [measure.deletion_curve(predict, order) for order in orders]
    insertion = [measure.insertion_curve(predict, order) for order in orders]
    falls = [measure.aopc(curve) for curve in deletion]
    areas = [measure.area(curve) for curve in insertion]
    return (
        deletion[0], insertion[0],
        AgainstRandom(falls[0], tuple(falls[1:])), AgainstRandom(areas[0], tuple(areas[1:])),
    )  # fmt: skip


def _sensitivity(
    probe: Probe, chosen: Settings, cancelled: StopCheck | None
) -> dict[str, float]:  # fmt: skip
    count = len(probe.weights)
    sizes = sorted({min(size, count - 1) for size in chosen.sizes})
    rng = np.random.default_rng([chosen.seed, 1])
    draws = [measure.random_subsets(count, size, chosen.subsets, rng) for size in sizes]
    values = measure.sensitivity_n(probe.weights, predictor(probe, cancelled), draws)
    return {str(size): value for size, value in zip(sizes, values, strict=True)}


def _contrast(session: Session, answer: Answer, weights: Float) -> float:
    """Mean rank correlation with the scores of the model's other ready questions."""
    asked = answer.prompt.question
    texts = [q.text for q in session.model.info.questions if q.text != asked]
    rows = [session.ask(text).scores for text in texts]
    found = [
        measure.rank_correlation(weights, scores.values.astype(np.float64))
        for scores in rows
        if scores is not None
    ]
    known = [value for value in found if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def _stability(
    probe: Probe, cases: Conditions, name: str, cancelled: StopCheck | None
) -> Stability:
    """Scores of a shifted volume are compared where its slices lie now."""
    repeated = probe.elsewhere(cases(name, cancelled))
    before = probe.weights
    if name == SHIFT:
        before = np.concatenate([before[:1], before[:-1]])
        before = before / before.sum()
    after = before if repeated.scores is None else repeated.scores
    return Stability(measure.total_variation(before, after), repeated.same, repeated.probability)
