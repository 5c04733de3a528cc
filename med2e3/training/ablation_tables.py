"""The ablations' numbers as tables: means over seeds, intervals over phantoms, difference to TG-IS.

Knows nothing of how the numbers were made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from med2e3.io.texts import kept_json
from med2e3.training.ablation import TABLES, file_name
from med2e3.words import counted

Phantoms = Sequence[dict[str, float]]
Float = NDArray[np.float64]

RESAMPLES = 1000


def _mean(name: str) -> Callable[[Phantoms], float]:
    def figure(rows: Phantoms) -> float:
        values = [row[name] for row in rows if name in row]
        return float(np.mean(values)) if values else float("nan")

    return figure


def _balanced(rows: Phantoms) -> float:
    return (_mean("yes")(rows) + _mean("no")(rows)) / 2


def _finding_f1(rows: Phantoms) -> float:
    claimed, true, hit = (sum(row.get(n, 0.0) for row in rows) for n in ("claimed", "true", "hit"))
    return 2 * hit / (claimed + true) if claimed + true else float("nan")


#: Column → figure of a list of phantoms.
FIGURES: dict[str, Callable[[Phantoms], float]] = {
    "closed": _mean("closed"),
    "open, exact": _mean("open"),
    "presence, balanced": _balanced,
    "report BLEU-1": _mean("BLEU-1"),
    "report finding F1": _finding_f1,
    "pointing": _mean("pointing"),
    "score mass": _mean("mass"),
}


def ablation_tables(results: Path) -> str:
    """Markdown of all tables from the JSON files in `results`; variants not measured say so.

    Every figure is the mean over seeds with a 95 % bootstrap interval over held-out phantoms; below
    it stands its difference to the full model on the same phantoms.
    """
    measured = _read(results)
    full = measured.get("full", [])
    parts = []
    for title, lines in TABLES.items():
        head = f"| Table {title} | " + " | ".join(FIGURES) + " |"
        rows = [head, "|---" * (len(FIGURES) + 1) + "|"]
        for line, variant in lines.items():
            runs = measured.get(file_name(variant), [])
            cells = [_cell(figure, runs, full) for figure in FIGURES.values()]
            rows.append(f"| {line} | " + " | ".join(cells) + " |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts) + "\n"


def budget_line(results: Path) -> str:
    """What every variant got, in words."""
    told = [kept_json(p) for p in sorted(results.glob("*.json"))]
    if not told:
        return "Nothing is measured yet."
    budget = told[0]["budget"]
    seeds = len({run["seed"] for run in told})
    return (
        f"{budget['steps']} steps of {budget['volumes']} volumes × {budget['questions']} questions "
        f"on {budget['train_phantoms']} phantoms, {counted(seeds, 'seed')}; "
        f"{len(told[0]['phantoms'])} held-out phantoms."
    )


def _read(results: Path) -> dict[str, list[Phantoms]]:
    runs: dict[str, list[Phantoms]] = {}
    for path in sorted(results.glob("*.json")):
        told: dict[str, Any] = kept_json(path)
        runs.setdefault(told["variant"], []).append(told["phantoms"])
    return runs


def _cell(
    figure: Callable[[Phantoms], float], runs: Sequence[Phantoms], full: Sequence[Phantoms]
) -> str:
    """Value (low to high); Δ to the full model (low to high)."""
    if not runs:
        return "not measured"
    draws = np.random.default_rng(0).integers(len(runs[0]), size=(RESAMPLES, len(runs[0])))
    value, spread = _over_seeds(figure, runs), _resampled(figure, runs, draws)
    if np.isnan(value):
        return "–"
    said = f"{value:.2f} ({_ends(spread)})"
    if runs == full or not full:
        return said
    apart = spread - _resampled(figure, full, draws)
    return f"{said} Δ {value - _over_seeds(figure, full):+.2f} ({_ends(apart)})"


def _over_seeds(figure: Callable[[Phantoms], float], runs: Sequence[Phantoms]) -> float:
    return float(np.mean([figure(rows) for rows in runs]))


def _resampled(
    figure: Callable[[Phantoms], float], runs: Sequence[Phantoms], draws: NDArray[np.int64]
) -> Float:
    return np.array(
        [_over_seeds(figure, [[rows[int(k)] for k in draw] for rows in runs]) for draw in draws]
    )


def _ends(values: Float) -> str:
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return f"{low:.2f} to {high:.2f}"
