"""Figures from what phantoms were asked: accuracies, pointing, text dependence, with intervals.

Every figure names what chance, or the question's text alone, would give.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

from med2e3.evaluation.metrics import (
    Estimate,
    Float,
    balanced_accuracy,
    bleu1,
    closed_right_published,
    closed_right_strict,
    estimate,
    jensen_shannon_bits,
    same_words,
    says_yes,
)
from med2e3.evaluation.records import Asked, Examined
from med2e3.phantoms.facts import findings_in
from med2e3.phantoms.questions import TOPICS

#: A closed question offers four choices.
GUESS = 0.25


@dataclass(frozen=True)
class Results:
    """All figures of one evaluation, by name; `examined` is what they were counted from."""

    model: str
    seed: int
    examined: tuple[Examined, ...]
    figures: dict[str, Estimate]

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "model": self.model,
            "phantoms": len(self.examined),
            "seed": self.seed,
            "figures": {name: figure.as_dict() for name, figure in self.figures.items()},
        }

    def table(self) -> str:
        """A Markdown table."""
        lines = [
            f"{len(self.examined)} phantoms, seed {self.seed}, model {self.model}",
            "",
            "| | value | 95 % interval | chance | n |",
            "|---|---|---|---|---|",
        ]
        for name, f in self.figures.items():
            chance = "" if f.chance is None else f"{f.chance:.2f}"
            lines.append(
                f"| {name} | {f.value:.3f} | {f.low:.3f}–{f.high:.3f} | {chance} | {f.count} |"
            )
        return "\n".join(lines)


def count(model: str, seed: int, examined: Sequence[Examined]) -> Results:
    """Every figure that these records allow."""
    found: dict[str, Estimate | None] = {
        **_closed(examined),
        **_open(examined),
        **_presence(examined),
        **_reports(examined),
        **_pointing(examined),
        **_text_dependence(examined),
    }
    figures = {name: figure for name, figure in found.items() if figure is not None}
    return Results(model, seed, tuple(examined), figures)


def _answers(
    examined: Sequence[Examined], topic: str, closed: bool, blank: bool
) -> list[list[Asked]]:  # fmt: skip
    """The answers of one topic and form, by phantom."""
    return [
        [a for a in e.asked if a.topic == topic and bool(a.letter) is closed and a.blank is blank]
        for e in examined
    ]


def _share(groups: Sequence[Sequence[Asked]], right: Callable[[Asked], bool]) -> list[list[float]]:
    return [[float(right(a)) for a in group] for group in groups]


def _strict(a: Asked) -> bool:
    return closed_right_strict(a.answer, a.letter)


def _published(a: Asked) -> bool:
    return closed_right_published(a.answer, a.letter)


def _closed(examined: Sequence[Examined]) -> dict[str, Estimate | None]:
    figures: dict[str, Estimate | None] = {}
    for suffix, right, blank in (
        ("", _strict, False),
        (" (published rule)", _published, False),
        (", blank volume", _strict, True),
    ):
        for topic in TOPICS:
            groups = _share(_answers(examined, topic, True, blank), right)
            figures[f"closed {topic}{suffix}"] = estimate(groups, chance=GUESS)
    return figures


def _open(examined: Sequence[Examined]) -> dict[str, Estimate | None]:
    def right(a: Asked) -> bool:
        return same_words(a.answer, a.truth)

    return {
        f"open {topic}, exact": estimate(_share(_answers(examined, topic, False, False), right))
        for topic in TOPICS
    }


def _presence(examined: Sequence[Examined]) -> dict[str, Estimate | None]:
    def coded(a: Asked) -> float:
        truth = a.truth.startswith("Yes")
        return 2.0 * truth + float(says_yes(a.answer) is truth)

    figures: dict[str, Estimate | None] = {}
    for suffix, blank in (("", False), (", blank volume", True)):
        groups = [
            [coded(a) for a in group] for group in _answers(examined, "presence", False, blank)
        ]
        figures[f"presence{suffix}, balanced accuracy"] = estimate(groups, balanced_accuracy, 0.5)
    return figures


def _reports(examined: Sequence[Examined]) -> dict[str, Estimate | None]:
    pairs, words = [], []
    for e in examined:
        for a in e.asked:
            if a.topic == "report":
                pairs.append((findings_in(a.answer), frozenset(e.findings)))
                words.append([bleu1(a.answer, a.truth)])
    coded = [
        [len(c & t) * 1e4 + len(c) * 1e2 + len(t)] for c, t in pairs
    ]  # right, claimed and true in one number, for resampling

    def f1(values: Float) -> float:
        right, rest = values // 1e4, values % 1e4
        total = (rest // 100 + rest % 100).sum()
        return float(2 * right.sum() / total) if total else 1.0

    return {"report BLEU-1": estimate(words), "report finding F1": estimate(coded, f1)}


def _pointing(examined: Sequence[Examined]) -> dict[str, Estimate | None]:
    every = [[float(p.hit) for p in e.pointed] for e in examined]
    few = [[float(p.hit) for p in e.pointed if len(p.held) <= 6] for e in examined]
    chances = [p.chance for e in examined for p in e.pointed]
    chances_few = [p.chance for e in examined for p in e.pointed if len(p.held) <= 6]
    mass = [[p.mass for p in e.pointed] for e in examined]
    return {
        "pointing": estimate(every, chance=_mean(chances)),
        "pointing, findings of at most 6 slices": estimate(few, chance=_mean(chances_few)),
        "score mass on the asked finding": estimate(mass, chance=_mean(chances)),
    }


def _text_dependence(examined: Sequence[Examined]) -> dict[str, Estimate | None]:
    """Pairs of findings in one volume that share no slice: asked of one, looked at the other."""
    own, other, divergence = [], [], []
    for e in examined:
        pairs = [(a, b) for a, b in permutations(e.pointed, 2) if not set(a.held) & set(b.held)]
        own.append([a.mass for a, _ in pairs])
        other.append([a.mass_on(b.held) for a, b in pairs])
        divergence.append([jensen_shannon_bits(a.scores, b.scores) for a, b in pairs])
    figures = {
        "pairs: mass on the asked finding": estimate(own),
        "pairs: mass on the other finding": estimate(other),
        "pairs: Jensen–Shannon divergence, bits": estimate(divergence),
    }
    asked, apart = (figures[k] for k in list(figures)[:2])
    if asked and apart and apart.value > 0:
        figures["pairs: mass ratio asked to other"] = _ratio(own, other)
    return figures


def _ratio(own: list[list[float]], other: list[list[float]]) -> Estimate:
    """Ratio of two means, resampled by phantom."""
    kept = [(sum(a), sum(b), len(a)) for a, b in zip(own, other, strict=True) if a]
    sums = np.array(kept)
    rng = np.random.default_rng(0)
    draws = sums[rng.integers(0, len(sums), (1000, len(sums)))].sum(axis=1)
    low, high = np.percentile(draws[:, 0] / np.maximum(draws[:, 1], 1e-9), [2.5, 97.5])
    total = sums.sum(axis=0)
    return Estimate(float(total[0] / total[1]), float(low), float(high), int(total[2]), 1.0)


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
