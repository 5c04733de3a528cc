"""Figures of answers to free words: right, refused, asserted; how right when how sure; windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from med2e3.evaluation.figures import Section
from med2e3.evaluation.free_asking import (
    FOLLOWUP,
    HELD_SYNONYM,
    OTHER_WINDOWS,
    SYNONYM,
    WORDED,
)
from med2e3.evaluation.free_judge import (
    OFFTOPIC,
    UNKNOWN,
    claims,
    is_right_freely,
    polarity,
)
from med2e3.evaluation.intervals import Estimate, balanced_accuracy, estimate
from med2e3.evaluation.metrics import closed_right_strict
from med2e3.evaluation.records import ANSWER, FREE, WINDOW, Examined, Prediction
from med2e3.phantoms.language.refusals import is_refusal

Figures = dict[str, Estimate | None]

#: Shares of the answers, the surest ones, whose accuracy is told.
COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.6)


def free_right(asked: Prediction) -> bool:
    """Whether a free answer is right."""
    return is_right_freely(asked.topic, asked.truth, asked.answer)


def count_free(examined: Sequence[Examined]) -> Figures:
    """By row: right answers; of what is not known, refused and asserted ones."""
    figures: Figures = {}
    for row in (*WORDED, SYNONYM, HELD_SYNONYM, FOLLOWUP):
        asked = [e.of_use(FREE, row) for e in examined]
        figures[f"free {row}, right"] = _share(asked, free_right)
        figures[f"free {row}, refused"] = _share(asked, lambda a: is_refusal(a.answer))
    for row in (SYNONYM, HELD_SYNONYM):
        asked = [e.of_use(FREE, row) for e in examined]
        figures[f"free {row}, balanced accuracy"] = balanced_accuracy(
            [[bool(polarity(a.truth)) for a in group] for group in asked],
            [[free_right(a) for a in group] for group in asked],
        )
    for row in (UNKNOWN, OFFTOPIC):
        asked = [e.of_use(FREE, row) for e in examined]
        figures[f"free {row}, refused"] = _share(asked, lambda a: is_refusal(a.answer))
        figures[f"free {row}, asserted"] = _share(asked, lambda a: claims(a.answer))
    return figures


def count_selective(examined: Sequence[Examined]) -> Figures:
    """Accuracy of the surest answers, at every coverage."""
    figures: Figures = {}
    for form, chosen in SELECTED.items():
        rows = [[a for a in e.asked if chosen(a)] for e in examined]
        sure = np.sort([a.confidence for row in rows for a in row])[::-1]
        for coverage in COVERAGES if len(sure) else ():
            least = sure[max(0, round(coverage * len(sure)) - 1)]
            kept = [[a for a in row if a.confidence >= least] for row in rows]
            figures[f"selective {form}, {coverage:.2f}"] = _share(kept, _right)
    return figures


def count_windows(examined: Sequence[Examined]) -> Figures:
    """Closed questions and presence, asked of phantoms that were read in other windows."""
    figures: Figures = {}
    for name in OTHER_WINDOWS:
        rows = [e.of_use(WINDOW, name) for e in examined]
        for form, closed in (("closed", True), ("presence", False)):
            mine = [[a for a in row if a.is_closed is closed] for row in rows]
            figures[f"window {name}, {form}"] = _share(mine, _right)
    return figures


def _right(asked: Prediction) -> bool:
    if asked.use == FREE:
        return free_right(asked)
    if asked.is_closed:
        return closed_right_strict(asked.answer, asked.letter, asked.truth)
    return polarity(asked.answer) is polarity(asked.truth)


def _share(rows: Sequence[Sequence[Prediction]], right: Callable[[Prediction], bool]) -> (
    Estimate | None
):  # fmt: skip
    return estimate([[float(right(a)) for a in row] for row in rows])


#: Forms of answers whose accuracy by coverage is told, and which answers are of each.
SELECTED: dict[str, Callable[[Prediction], bool]] = {
    "closed": lambda a: a.use == ANSWER and a.is_closed,
    "presence": lambda a: a.use == ANSWER and a.topic == "presence",
    "free words": lambda a: a.use == FREE and a.topic not in (UNKNOWN, OFFTOPIC),
}


def wording_section() -> Section:
    """People's own words."""
    return Section(
        "People's own words, in wordings held out of training",
        (*WORDED, FOLLOWUP),
        (("right", "free {row}, right"), ("refused", "free {row}, refused")),
        "Right: the yes or no that is wanted; else the wanted words, and sizes within 20 %.",
    )


def synonym_section() -> Section:
    """Findings by other names."""
    return Section(
        "Presence of a finding by another name, in wordings held out of training",
        (SYNONYM, HELD_SYNONYM),
        (("balanced accuracy", "free {row}, balanced accuracy"), ("right", "free {row}, right"),
         ("refused", "free {row}, refused")),
        "Synonyms were trained; those held out were not.",
    )  # fmt: skip


def unknown_section() -> Section:
    """What is not known."""
    return Section(
        "Findings that it does not know, and what is not about the scan",
        (UNKNOWN, OFFTOPIC),
        (("refused", "free {row}, refused"), ("asserted", "free {row}, asserted")),
        "Asserted: the answer says yes, or names a finding or a place. None of the names was ever "
        "trained.",
    )


def selective_section() -> Section:
    """How right when how sure."""
    return Section(
        "Accuracy of the surest answers, by how many of them are kept",
        tuple(f"{coverage:.2f}" for coverage in COVERAGES),
        tuple((form, f"selective {form}, {{row}}") for form in SELECTED),
        "Coverage 0.90: the tenth that the model was least sure of is left out.",
    )


def window_section() -> Section:
    """Other windows."""
    return Section(
        "Windows that the model was not trained in",
        OTHER_WINDOWS,
        (("closed", "window {row}, closed"), ("presence", "window {row}, presence")),
    )
