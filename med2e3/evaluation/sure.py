"""From which probability on an answer counts as sure: chosen on phantoms apart from those judged.

A threshold that was chosen on the phantoms that it is judged by flatters itself. Knows nothing of
models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from med2e3.errors import InputError
from med2e3.evaluation.figures import Results, Section
from med2e3.evaluation.intervals import estimate
from med2e3.evaluation.records import Examined
from med2e3.evaluation.scoring import FORMS, Figures, confidences
from med2e3.evidence.reliability import AIM, thresholds


def with_thresholds(judged: Results, apart: Results) -> Results:
    """What was judged, with thresholds chosen on phantoms apart, and how they do on those judged.

    Raises `InputError` where both are of the same seed, or of different weights.
    """
    for name, said in (("seed", "phantoms"), ("weights_sha256", "weights")):
        same = judged.settings[name] == apart.settings[name]
        if same != (name == "weights_sha256"):
            raise InputError(
                f"Thresholds are chosen on other phantoms and the same weights; these {said} are "
                f"{'the same' if same else 'others'} ({name} {apart.settings[name]})."
            )
    enough = thresholds(apart.bins)
    found = {n: f for n, f in count_sure(judged.examined, enough).items() if f is not None}
    where = f"{apart.settings['phantoms']} phantoms, seed {apart.settings['seed']}"
    settings = {**judged.settings, "enough": enough, "enough_on": where}
    return replace(
        judged,
        settings=settings,
        figures={**judged.figures, **found},
        sections=(*judged.sections, _section(enough, where)),
    )


def count_sure(examined: Sequence[Examined], enough: Mapping[str, float]) -> Figures:
    """Of each form: which share of answers counts as sure, and which share of these is right."""
    figures: Figures = {}
    for form, threshold in enough.items():
        groups = confidences(examined, form)
        sure = [[float(p >= threshold) for p, _ in group] for group in groups]
        right = [[float(ok) for p, ok in group if p >= threshold] for group in groups]
        figures[f"sure, {form}"] = estimate(sure)
        figures[f"right where sure, {form}"] = estimate(right)
    return figures


def _section(enough: Mapping[str, float], where: str) -> Section:
    listed = ", ".join(f"{form} {enough[form]:.1f}" for form in enough)
    return Section(
        "Answers that count as sure",
        tuple(form for form in FORMS if form in enough),
        (("share that is sure", "sure, {row}"), ("right where sure", "right where sure, {row}")),
        f"Sure: at least as probable as {listed}. From there on {AIM:g} were right on phantoms "
        f"apart ({where}), which are not among those counted here.",
    )
