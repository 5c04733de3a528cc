"""The faithfulness of a model's slice scores over phantoms: figures with their intervals.

Each phantom with a finding is asked where its first finding is and whether it is there; every
measure of `med2e3.evidence.faithfulness` is taken of both answers, right or wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from med2e3.engine import Model
from med2e3.errors import InputError
from med2e3.evaluation.examiner import ANSWER_TOKENS, Progress, phantom_seeds
from med2e3.evaluation.figures import Results, Section
from med2e3.evaluation.intervals import Estimate, estimate
from med2e3.evaluation.reference import finding_grid
from med2e3.evidence.conditions import STABILITY, Conditions
from med2e3.evidence.faithfulness import Faithfulness, Settings, faithfulness
from med2e3.phantoms import Phantom, Wish, make_phantom
from med2e3.phantoms.questions import location, presence

#: Phantoms where none are named: minutes of work.
PHANTOMS = 20

#: Fewer draws than for one question: phantoms are what the intervals rest on.
SETTINGS = Settings(orders=5, subsets=24, sizes=(1, 4, 16))

#: Keeps the wording's draws apart from the phantom's own, at the phantom's seed.
_STREAM = 4

#: The measures of one phantom's answers.
Measured = Sequence[Faithfulness]


def run(
    model: Model, phantoms: int, seed: int, progress: Progress | None = None
) -> Results:  # fmt: skip
    """Measure a model. Raises `InputError` for one without slice scores."""
    if not model.info.has_scores:
        raise InputError(
            f"{model.info.name} has no slice scores, so there is no faithfulness to measure. "
            "Choose a model that has them (`med2e3 models` says which)."
        )
    rows: list[list[Faithfulness]] = []
    for number, one in enumerate(phantom_seeds(phantoms, seed)):
        if progress:
            progress(number / phantoms, f"phantom {number + 1} of {phantoms}")
        rows.append(measure_phantom(model, make_phantom(one, Wish(shape=model.info.grid_shape))))
    if progress:
        progress(1.0, "Measured")
    return count(model, rows, {"phantoms": phantoms, "seed": seed})


def measure_phantom(model: Model, phantom: Phantom) -> list[Faithfulness]:
    """Both answers about the first finding; [] for a phantom without any."""
    if not phantom.findings:
        return []
    session = model.read(phantom.volume, plane=phantom.plane)
    finding = phantom.findings[0]
    held = np.flatnonzero(finding_grid(finding.mask, session.input).any(axis=(1, 2))).tolist()
    rng = np.random.default_rng([phantom.seed, _STREAM])
    asked = (
        location(phantom.facts, finding.name, False, rng),
        presence(phantom.facts, finding.name, rng),
    )
    conditions = Conditions(session, SETTINGS.seed)
    found = []
    for question in asked:
        answer = session.ask(question.prompt, max_new_tokens=ANSWER_TOKENS)
        answer.complete()
        if answer.token_ids:
            found.append(
                faithfulness(session, answer, settings=SETTINGS, held=held, conditions=conditions)
            )
    return found


def count(model: Model, rows: Sequence[Measured], settings: dict[str, Any]) -> Results:
    """The mean of every measure, with the interval over phantoms."""
    figures: dict[str, Estimate | None] = {}
    for name, value, chance in _measures(rows):
        figures[name] = estimate(_values(rows, value), chance)
    asked = sum(len(row) for row in rows)
    return Results(
        model=model.info.name,
        what=f"Faithfulness of the slice scores: {asked} answers about {len(rows)} phantoms, "
        f"seed {settings['seed']}, model {model.info.name}",
        settings={**settings, "weights_sha256": model.info.weights_sha256},
        figures={name: figure for name, figure in figures.items() if figure is not None},
        sections=_sections(rows),
        notes=(
            "Intervals: 95 %, bootstrap over phantoms. A correlation with what does not vary is "
            "left out, so that n is smaller there. Slices are removed by weight zero and the rest "
            "made to sum to 1; the 3D features, which bypass the scores, stay in every run but "
            "those of blank, shuffled and changed volumes.",
        ),
    )


def _values(
    rows: Sequence[Measured], value: Callable[[Faithfulness], float]
) -> list[list[float]]:  # fmt: skip
    found = [[value(one) for one in row] for row in rows]
    return [[v for v in row if np.isfinite(v)] for row in found]


def _measures(
    rows: Sequence[Measured],
) -> list[tuple[str, Callable[[Faithfulness], float], float | None]]:
    """Every figure by name: how it is read of one answer, and what chance gives."""
    held = [f.localisation for row in rows for f in row]
    names: list[tuple[str, Callable[[Faithfulness], float], float | None]] = [
        ("AOPC of deletion", lambda f: f.deletion_aopc.value, None),
        ("AOPC of deletion, random orders", lambda f: f.deletion_aopc.mean, None),
        ("AOPC of deletion, scores − random",
         lambda f: f.deletion_aopc.value - f.deletion_aopc.mean, 0.0),
        ("area of insertion", lambda f: f.insertion_area.value, None),
        ("area of insertion, random orders", lambda f: f.insertion_area.mean, None),
        ("area of insertion, scores − random",
         lambda f: f.insertion_area.value - f.insertion_area.mean, 0.0),
        ("faithfulness correlation", lambda f: f.faithfulness_correlation, 0.0),
        ("other questions, ρ of scores", lambda f: f.contrast, None),
        ("probability, as asked", lambda f: f.probability, None),
        ("probability, blank volume", lambda f: f.blank, None),
        ("probability, shuffled slices", lambda f: f.shuffled, None),
        ("same answer, blank volume", lambda f: float(f.blank_same), None),
        ("same answer, shuffled slices", lambda f: float(f.shuffled_same), None),
    ]  # fmt: skip
    for size in _names(rows, lambda f: f.sensitivity_n):
        names.append((f"sensitivity-{size}", partial(_sensitivity, size), 0.0))
    for part in _names(rows, lambda f: f.randomised):
        names.append((f"ρ without {part}", partial(_randomised, part), None))
    for change in STABILITY:
        names.append((f"moved, {change}", partial(_moved, change), None))
        names.append((f"same answer, {change}", partial(_stays, change), None))
    for name in dict.fromkeys(key for one in held for key in one):
        names.append((name, partial(_located, name), None))
    return names


def _sensitivity(size: str, one: Faithfulness) -> float:
    return one.sensitivity_n[size]


def _randomised(part: str, one: Faithfulness) -> float:
    return one.randomised[part]


def _moved(change: str, one: Faithfulness) -> float:
    return one.stability[change].moved


def _stays(change: str, one: Faithfulness) -> float:
    return float(one.stability[change].same_answer)


def _located(name: str, one: Faithfulness) -> float:
    return one.localisation.get(name, float("nan"))


def _names(
    rows: Sequence[Measured], read: Callable[[Faithfulness], dict[str, float]]
) -> list[str]:  # fmt: skip
    return list(dict.fromkeys(key for row in rows for one in row for key in read(one)))


def _sections(rows: Sequence[Measured]) -> tuple[Section, ...]:
    sizes = _names(rows, lambda f: f.sensitivity_n)
    parts = _names(rows, lambda f: f.randomised)
    places = list(dict.fromkeys(k for row in rows for f in row for k in f.localisation))
    return (
        Section(
            "Faithfulness: do answers fall with the weighted slices?",
            ("AOPC of deletion", "area of insertion"),
            (("by the scores", "{row}"), ("random orders", "{row}, random orders"),
             ("difference", "{row}, scores − random")),
            "Probability of the answer while slices are removed, or put in, by weight. A larger "
            "AOPC (mean fall) and a larger area mean that the scores found what matters.",
        ),
        Section(
            "Faithfulness: correlation of weights with falls",
            ("faithfulness correlation", *(f"sensitivity-{size}" for size in sizes)),
            note="Pearson's r between the weight of random subsets and the fall without them; "
            "faithfulness correlation at the largest size.",
        ),
        Section(
            "Scores with a part of the model drawn anew, and for other questions",
            (*(f"ρ without {part}" for part in parts), "other questions, ρ of scores"),
            note="Spearman's ρ with the model's own scores for the question. Near 1: the scores "
            "do not depend on what this part has learned, or not on the question.",
        ),
        Section(
            "Stability",
            tuple(STABILITY),
            (("scores moved", "moved, {row}"), ("same answer", "same answer, {row}")),
            "Moved: total variation, 0 for equal and 1 for disjoint scores.",
        ),
        Section(
            "Localisation of the asked finding",
            tuple(places),
            note="Against the slices that hold it.",
        ),
        Section(
            "Visual reliance",
            ("as asked", "blank volume", "shuffled slices"),
            (("probability of the answer", "probability, {row}"),
             ("same answer", "same answer, {row}")),
        ),
    )  # fmt: skip
