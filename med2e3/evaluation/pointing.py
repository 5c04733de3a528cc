"""Figures of slice scores: do they point at what is asked, and do they follow the question?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, permutations

from med2e3.evaluation.intervals import Estimate, estimate, estimate_ratio, mean
from med2e3.evaluation.metrics import jensen_shannon_bits
from med2e3.evaluation.records import ANSWER, Examined, Pointed

Figures = dict[str, Estimate | None]

#: A finding on so few model slices cannot be hit by looking at the middle of the scan.
FEW_SLICES = 6


def count_pointing(examined: Sequence[Examined]) -> Figures:
    """Peak and mass on the slices that hold the asked finding, beside those of uniform scores."""
    figures: Figures = {}
    for suffix, most in (("", None), (f", findings of at most {FEW_SLICES} slices", FEW_SLICES)):
        rows = [[p for p in e.pointed if most is None or len(p.held) <= most] for e in examined]
        hits = [[float(p.hit) for p in row] for row in rows]
        masses = [[p.mass for p in row] for row in rows]
        chances = [[p.chance for p in row] for row in rows]
        chance = mean([c for row in chances for c in row])
        figures[f"pointing{suffix}"] = estimate(hits, chance)
        figures[f"pointing, times chance{suffix}"] = estimate_ratio(hits, chances, 1.0)
        figures[f"pointing, times chance by row{suffix}"] = estimate(
            [[float(p.hit) / p.chance for p in row] for row in rows], 1.0
        )
        figures[f"score mass on the asked finding{suffix}"] = estimate(masses, chance)
        figures[f"score mass, times uniform{suffix}"] = estimate_ratio(masses, chances, 1.0)
    return figures


def count_text_dependence(examined: Sequence[Examined]) -> Figures:
    """Pairs of findings in one volume that share no slice: asked of one, looked at the other?"""
    own, other, apart = [], [], []
    for e in examined:
        pairs = [(a, b) for a, b in permutations(e.pointed, 2) if not set(a.held) & set(b.held)]
        own.append([a.mass for a, _ in pairs])
        other.append([a.mass_on(b.held) for a, b in pairs])
        apart.append([_apart(a, b) for a, b in pairs])
    chance = mean([p.chance for e in examined for p in _paired(e)])
    return {
        "pairs: mass on the asked finding": estimate(own, chance),
        "pairs: mass on the other finding": estimate(other, chance),
        "pairs: mass ratio asked to other": estimate_ratio(own, other, 1.0),
        "pairs: Jensen–Shannon divergence, bits": estimate(apart, 0.0),
        "any two questions of a volume: Jensen–Shannon divergence, bits": estimate(
            [_all_apart(e) for e in examined], 0.0
        ),
    }


def _paired(e: Examined) -> list[Pointed]:
    return [a for a, b in permutations(e.pointed, 2) if not set(a.held) & set(b.held)]


def _apart(a: Pointed, b: Pointed) -> float:
    return jensen_shannon_bits(a.scores, b.scores)


def _all_apart(e: Examined) -> list[float]:
    rows = [a.scores for a in e.of_use(ANSWER) if a.scores]
    return [jensen_shannon_bits(a, b) for a, b in combinations(rows, 2)]
