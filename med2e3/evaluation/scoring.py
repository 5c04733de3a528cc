"""Figures of answers about phantoms: accuracies, reports, paraphrases, calibration.

Every figure names what chance, or the question's text alone, would give. Chance of an open answer
is the commonest right answer, given always; that of a report is the report of another phantom.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from med2e3.evaluation.calibration import Bin, Said, calibration_error, reliability
from med2e3.evaluation.intervals import (
    Estimate,
    balanced_accuracy,
    estimate,
    estimate_by_topic,
    estimate_sums,
    mean,
    ratio_of,
)
from med2e3.evaluation.judge import JUDGE
from med2e3.evaluation.metrics import CLOSED_RULES, says_yes
from med2e3.evaluation.predictions import verdict
from med2e3.evaluation.records import ANSWER, BLANK, REWORDED, Examined, Prediction
from med2e3.evaluation.texts import TEXT_METRICS, TextMetrics
from med2e3.phantoms.facts import findings_in
from med2e3.phantoms.questions import TOPICS

Figures = dict[str, Estimate | None]

#: By topic: the answers about every phantom, or of every case.
Groups = Mapping[str, Sequence[Sequence[Prediction]]]


#: Columns of a table of calibration: heading, figure of a row.
CALIBRATION_COLUMNS = (
    ("expected calibration error", "calibration error, {row}"),
    ("mean probability", "mean probability, {row}"),
)


def closed_columns() -> tuple[tuple[str, str], ...]:
    """Columns of a table of closed answers: heading, figure of a row."""
    return tuple((name, f"closed {{row}}{rule.suffix}") for name, rule in CLOSED_RULES.items())


def text_columns() -> tuple[tuple[str, str], ...]:
    """Columns of a table of open answers: heading, figure of a row."""
    return tuple((name, f"open {{row}}, {name}") for name in (*TEXT_METRICS, JUDGE))


def count_closed(examined: Sequence[Examined]) -> Figures:
    """By topic, by every rule, and of the empty volume by the strict one."""
    figures = estimate_closed(_by_topic(examined, ANSWER, True))
    blank = _by_topic(examined, BLANK, True)
    for topic, figure in estimate_by_topic(_scored(blank, verdict), _chances(blank)).items():
        figures[f"closed {topic}, blank volume"] = figure
    return figures


def estimate_closed(groups: Groups) -> Figures:
    """The share of right closed answers, by every rule and topic."""
    figures: Figures = {}
    for rule in CLOSED_RULES.values():
        scored = {
            topic: [
                [float(rule.right(a.answer, a.letter, a.truth)) for a in group] for group in rows
            ]
            for topic, rows in groups.items()
        }
        for topic, figure in estimate_by_topic(scored, _chances(groups)).items():
            figures[f"closed {topic}{rule.suffix}"] = figure
    return figures


def _chances(groups: Groups) -> dict[str, list[float]]:
    """By topic: how often a guess among its choices is right, of every closed answer."""
    return {t: [a.chance or 0.0 for group in rows for a in group] for t, rows in groups.items()}


def estimate_texts(groups: Groups, metrics: TextMetrics) -> Figures:
    """How near open answers are to the wanted texts, by every metric and topic."""
    return {
        f"open {topic}, {name}": figure
        for name, scores in _score_texts(groups, metrics).items()
        for topic, figure in estimate_by_topic(scores).items()
    }


def count_open(examined: Sequence[Examined], metrics: TextMetrics) -> Figures:
    """By topic: the right words, and nearness to them."""
    figures: Figures = {}
    groups = _by_topic(examined, ANSWER, False)
    chances = {}
    for topic, rows in groups.items():
        truths = Counter(a.truth for g in rows for a in g)
        total = sum(truths.values())
        chances[topic] = [max(truths.values()) / total] * total if total else []
    for topic, figure in estimate_by_topic(_scored(groups, verdict), chances).items():
        figures[f"open {topic}, exact"] = figure
    return figures | estimate_texts(groups, metrics)


def _score_texts(groups: Groups, metrics: TextMetrics) -> dict[str, dict[str, list[list[float]]]]:
    """By metric, by topic: the score of every answer, in the same groups; NaN is left out."""
    flat = [a for rows in groups.values() for group in rows for a in group]
    found = metrics.score([a.answer for a in flat], [a.truth for a in flat])
    scores: dict[str, dict[str, list[list[float]]]] = {}
    for name, values in found.items():
        rest = iter(values)
        scores[name] = {
            topic: [[score for _ in group if not math.isnan(score := next(rest))] for group in rows]
            for topic, rows in groups.items()
        }
    return scores


def count_presence(examined: Sequence[Examined]) -> Figures:
    """Balanced accuracy of yes and no; what is neither counts as wrong."""
    figures: Figures = {}
    for suffix, use in (("", ANSWER), (", blank volume", BLANK)):
        rows = [e.of_use(use, "presence") for e in examined]
        truth = [[a.is_present for a in row] for row in rows]
        right = [[bool(verdict(a)) for a in row] for row in rows]
        figures[f"presence{suffix}, balanced accuracy"] = balanced_accuracy(truth, right)
    asked = [e.of_use(ANSWER, "presence") for e in examined]
    for name, side in (("sensitivity", True), ("specificity", False)):
        rows = [[a for a in row if a.is_present is side] for row in asked]
        figures[f"presence, {name}"] = estimate(
            [[float(bool(verdict(a))) for a in row] for row in rows], chance=0.5
        )
    return figures


def count_reports(examined: Sequence[Examined], metrics: TextMetrics) -> Figures:
    """Findings claimed against findings there, and words; chance is another phantom's report."""
    pairs = [(e, a) for e in examined for a in e.of_use(ANSWER, "report")]
    figures: Figures = {}
    if not pairs:
        return figures
    others = [*pairs[1:], pairs[0]]
    claims = [findings_in(a.answer) for _, a in pairs]
    truths = [frozenset(e.findings) for e, _ in pairs]
    swapped = [frozenset(e.findings) for e, _ in others]
    sums, mixed = _claimed(claims, truths), _claimed(claims, swapped)
    for name, statistic, counted in (
        ("precision", ratio_of(0, 1), 1),
        ("recall", ratio_of(0, 2), 2),
        ("F1", lambda s: 2 * s[:, 0] / (s[:, 1] + s[:, 2]), 2),
    ):
        with np.errstate(invalid="ignore", divide="ignore"):
            chance = float(statistic(mixed.sum(0, keepdims=True))[0])
        count = int(sums[:, counted].sum())
        known = chance if np.isfinite(chance) else None
        figures[f"report finding {name}"] = estimate_sums(sums, statistic, count, known, share=True)
    said = [a.answer for _, a in pairs]
    right = metrics.score(said, [a.truth for _, a in pairs])
    wrong = metrics.score(said, [a.truth for _, a in others])
    for name, values in right.items():
        figures[f"report {name}"] = estimate([[v] for v in values], mean(wrong[name]))
    return figures


def _claimed(claims: Sequence[frozenset[str]], truths: Sequence[frozenset[str]]) -> np.ndarray:
    """(N, 3): claimed rightly, claimed, there."""
    rows = [[len(c & t), len(c), len(t)] for c, t in zip(claims, truths, strict=True)]
    return np.array(rows, np.float64)


def count_paraphrases(examined: Sequence[Examined]) -> Figures:
    """Whether one question in other words gets the same answer, right or wrong.

    Chance is how often two answers to questions of this topic and form, about any two phantoms,
    agree. Free text is the same when its words are; of a closed question the letter decides.
    """
    agree: dict[str, list[list[float]]] = {}
    right: list[list[float]] = []
    chances: dict[str, list[float]] = {}
    commonness = _commonness(examined)
    for e in examined:
        first = {a.prompt: a for a in e.of_use(ANSWER)}
        row: dict[str, list[float]] = {}
        for a in e.of_use(REWORDED):
            same = float(_gist(a) == _gist(first[a.repeats]))
            row.setdefault(a.topic, []).append(same)
            chances.setdefault(a.topic, []).append(commonness[a.topic, a.is_closed])
        for topic in (*TOPICS, "presence"):
            agree.setdefault(topic, []).append(row.get(topic, []))
        right.append([float(bool(verdict(a))) for a in e.of_use(REWORDED)])
    figures: Figures = {}
    for topic, figure in estimate_by_topic(agree, chances).items():
        figures[f"paraphrases {topic}, same answer"] = figure
    figures["paraphrases, right answers"] = estimate(right)
    return figures


def _gist(a: Prediction) -> str:
    """What makes two answers the same one."""
    if a.is_closed:
        return a.answer.strip()[:2]
    if a.topic == "presence":
        return str(says_yes(a.answer))
    return " ".join(a.answer.lower().strip(" .").split())


def _commonness(examined: Sequence[Examined]) -> dict[tuple[str, bool], float]:
    """How often two answers drawn from all of one topic and form are the same."""
    answers: dict[tuple[str, bool], Counter[str]] = {}
    for e in examined:
        for a in e.of_use(ANSWER):
            answers.setdefault((a.topic, a.is_closed), Counter())[_gist(a)] += 1
    return {
        key: sum((n / counter.total()) ** 2 for n in counter.values())
        for key, counter in answers.items()
    }


def count_calibration(examined: Sequence[Examined]) -> Figures:
    """Calibration error and mean probability of closed, presence and open answers."""
    figures: Figures = {}
    for form in FORMS:
        groups = confidences(examined, form)
        figures[f"calibration error, {form}"] = calibration_error(groups)
        figures[f"mean probability, {form}"] = estimate([[p for p, _ in g] for g in groups])
    return figures


def reliability_bins(examined: Sequence[Examined]) -> dict[str, tuple[Bin, ...]]:
    """Reliability of closed, presence and open answers."""
    return {form: reliability(confidences(examined, form)) for form in FORMS}


#: Forms of answers whose calibration is told, and which answers are of each.
FORMS: dict[str, Callable[[Prediction], bool]] = {
    "closed": lambda a: a.is_closed,
    "presence": lambda a: a.topic == "presence",
    "open": lambda a: a.topic in TOPICS and not a.is_closed,
}


def confidences(examined: Sequence[Examined], form: str) -> list[list[Said]]:
    """Probability and verdict of every answer of a form, by phantom."""
    return [
        [(a.confidence, bool(verdict(a))) for a in e.of_use(ANSWER) if FORMS[form](a)]
        for e in examined
    ]


def _by_topic(
    examined: Sequence[Examined], use: str, closed: bool
) -> dict[str, list[list[Prediction]]]:  # fmt: skip
    """By topic: the answers of every phantom."""
    return {topic: [e.of_use(use, topic, closed) for e in examined] for topic in TOPICS}


def _scored(
    groups: Groups, right: Callable[[Prediction], bool | None]
) -> dict[str, list[list[float]]]:
    return {
        topic: [[float(bool(right(a))) for a in group] for group in rows]
        for topic, rows in groups.items()
    }
