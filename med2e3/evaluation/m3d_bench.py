"""M3D-Bench on files: figures of answers about volumes on disk, judged as published.

Knows nothing of file layouts, nor of how a model is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from med2e3.engine import Model
from med2e3.errors import InputError
from med2e3.evaluation.calibration import calibration_error, reliability
from med2e3.evaluation.clinical import (
    LABELS,
    RARE_SHARE,
    collapse_figures,
    label_figures,
    label_table,
)
from med2e3.evaluation.ct_rate_files import choice_right
from med2e3.evaluation.examiner import Progress
from med2e3.evaluation.figures import Results, Section
from med2e3.evaluation.file_asking import FileTask, Line, ask_all
from med2e3.evaluation.intervals import Estimate, estimate, mean
from med2e3.evaluation.judge import JUDGE
from med2e3.evaluation.m3d_files import TYPES
from med2e3.evaluation.m3d_region_files import REFERRING
from med2e3.evaluation.m3d_region_files import TOPICS as REGION_TOPICS
from med2e3.evaluation.parallel import ModelChoice
from med2e3.evaluation.predictions import verdict, whole_lines
from med2e3.evaluation.rad3d_files import TASKS
from med2e3.evaluation.records import Prediction
from med2e3.evaluation.region_scoring import SECTIONS as REGION_SECTIONS
from med2e3.evaluation.region_scoring import count_regions
from med2e3.evaluation.report_labels import RADBERT, RADEVAL, ClinicalMetrics
from med2e3.evaluation.scoring import (
    CALIBRATION_COLUMNS,
    closed_columns,
    estimate_closed,
    estimate_texts,
    text_columns,
)
from med2e3.evaluation.texts import TextMetrics

#: Topics of other lists that are asked in the same way.
OTHER_TOPICS = ("long answer", "short answer", "choice", *TASKS.values())

#: Topics of boxes and masks, whose answers are judged as texts too.
REGIONS = (*REGION_TOPICS.values(), REFERRING)

ROWS = (*TYPES.values(), "all", *OTHER_TOPICS, *REGIONS, "report", "macro", "micro")

#: Figures of reports' labels, in the order of their table.
CLINICAL_ROWS = (
    "CRG", "labels, macro F1", "labels, micro F1", "labels, weighted F1", "rare labels, recall",
)  # fmt: skip

#: How intervals were made; also of retrieval.
NOTE = (
    "Intervals: 95 %, bootstrap over cases (2,000 resamplings). The series of a case have one text "
    "and are drawn together; a volume whose case is not known counts as one."
)

#: Skipped rows that the notes name; all of them stand in the JSON.
NAMED_ROWS = 5


def run(
    model: Model | ModelChoice,
    task: FileTask,
    metrics: TextMetrics,
    progress: Progress | None = None,
    clinical: ClinicalMetrics | None = None,
) -> Results:
    """Asks and counts; raises as `ask_all`."""
    info, lines = ask_all(model, task, progress)
    settings = {
        "seed": task.seed, "weights_sha256": info.weights_sha256, "dtype": info.dtype,
        "device": info.device, "skipped": list(task.skipped), **task.settings,
    }  # fmt: skip
    notes = (*task.notes, *skipped_note(task.skipped))
    return count(info.name, lines, settings, metrics, notes, clinical)


def recount(
    predictions: Path, metrics: TextMetrics, clinical: ClinicalMetrics | None = None
) -> Results:
    """Figures of answers about files that were saved. Raises `InputError`."""
    lines = whole_lines(predictions)
    if not lines:
        raise InputError(f"{predictions} holds no predictions.")
    of = {key: lines[0].get(key) for key in ("model", "seed", "weights_sha256", "task")}
    for number, line in enumerate(lines, start=1):
        found = {key: line.get(key) for key in of}
        if line.get("record") != "file" or found != of:
            raise InputError(
                f"{predictions}, line {number}, is of {found}, the lines before of {of}."
            )
    ordered = sorted(lines, key=lambda line: int(line["number"]))
    settings = {"seed": of["seed"], "weights_sha256": of["weights_sha256"]}
    return count(str(of["model"]), ordered, settings, metrics, (), clinical)


def skipped_note(skipped: Sequence[str]) -> tuple[str, ...]:
    """One sentence about rows that were skipped; none where none was."""
    if not skipped:
        return ()
    rest = len(skipped) - NAMED_ROWS
    more = f" And {rest} more." if rest > 0 else ""
    said = " ".join(skipped[:NAMED_ROWS])
    rows = "1 row was" if len(skipped) == 1 else f"{len(skipped)} rows were"
    return (f"{rows} skipped: {said}{more}",)


def prediction_of(line: Line) -> Prediction:
    """The answer in a line. Raises `InputError` for a line that is none of ours."""
    try:
        rest = {"use": "answer", "repeats": "", "held": []}
        return Prediction.from_dict({**rest, **line})
    except (KeyError, TypeError) as error:
        raise InputError(f"A line of the predictions is none about a file: {error!r}.") from error


def by_case(lines: Sequence[Line]) -> list[list[Prediction]]:
    """The answers of every case; a volume whose case is not known is one."""
    cases: dict[str, list[Prediction]] = {}
    for line in lines:
        cases.setdefault(line["case"] or line["image"], []).append(prediction_of(line))
    return list(cases.values())


def count(
    model: str,
    lines: Sequence[Line],
    settings: dict[str, Any],
    metrics: TextMetrics,
    notes: tuple[str, ...] = (),
    clinical: ClinicalMetrics | None = None,
) -> Results:
    """Every figure that these answers allow."""
    asked = by_case(lines)
    missing = dict(metrics.missing)
    found: dict[str, Estimate | None] = {
        **estimate_closed(_by_topic(asked, True)),
        **estimate_texts(_by_topic(asked, False), metrics),
        **count_choices(lines),
        **count_regions(lines),
    }
    reports = [line for line in lines if line["topic"] == "report"]
    if reports:
        found |= count_reports(reports, clinical, missing)
        found |= _with_chance(found, reports, metrics)
    said = [[(a.confidence, bool(verdict(a))) for a in g if a.is_closed] for g in asked]
    found["calibration error, closed"] = calibration_error(said)
    found["mean probability, closed"] = estimate([[p for p, _ in g] for g in said])
    unread = getattr(metrics.scorers.get(JUDGE), "unread", 0)
    if unread:
        notes = (*notes, f"{unread} of the judge's answers had no score, and are left out.")
    volumes = len({line["image"] for line in lines})
    what = lines[0]["task"]
    about = f"{len(lines)} questions about {volumes} volumes of {len(asked)} cases"
    return Results(
        model,
        f"{what}: {about}, model {model}",
        {"questions": len(lines), "volumes": volumes, "cases": len(asked), **settings},
        {name: figure for name, figure in found.items() if figure is not None},
        _sections(),
        missing,
        (NOTE, *notes),
        {"closed": reliability(said)} if any(said) else {},
    )


def count_reports(
    reports: Sequence[Line], clinical: ClinicalMetrics | None, missing: dict[str, str]
) -> dict[str, Estimate | None]:
    """How alike reports are, and with `clinical` what they claim.

    What cannot be computed is added to `missing`.
    """
    figures: dict[str, Estimate | None] = dict(collapse_figures([k["answer"] for k in reports]))
    if clinical is not None:
        figures |= _clinical_figures(reports, clinical, missing)
    return figures


def _with_chance(
    found: dict[str, Estimate | None], reports: Sequence[Line], metrics: TextMetrics
) -> dict[str, Estimate | None]:
    """The text figures of reports; their chance is the same reports about shuffled volumes."""
    if len(reports) < 2:
        return {}
    others = [line["truth"] for line in (*reports[1:], reports[0])]
    plain = replace(metrics, scorers={k: s for k, s in metrics.scorers.items() if k != JUDGE})
    shuffled = plain.score([line["answer"] for line in reports], others)
    names = {f"open report, {name}": mean(values) for name, values in shuffled.items()}
    return {
        name: replace(figure, chance=chance)
        for name, chance in names.items()
        if (figure := found.get(name)) is not None
    }


def _clinical_figures(
    reports: Sequence[Line], clinical: ClinicalMetrics, missing: dict[str, str]
) -> dict[str, Estimate | None]:
    missing |= clinical.missing
    said, truth = ([line[key] for line in reports] for key in ("answer", "truth"))
    figures: dict[str, Estimate | None] = {
        f"report {name}": estimate([[v] for v in scorer(said, truth)])
        for name, scorer in clinical.scorers.items()
    }
    known = [line for line in reports if len(line.get("labels") or ()) == len(LABELS)]
    if not known:
        missing["Labels of reports (F1, CRG)"] = "The list states no labels of its reports."
    elif clinical.labeller is not None:
        marks = clinical.labeller([line["answer"] for line in known])
        wanted = np.array([line["labels"] for line in known], bool)
        clusters = [line["case"] or line["image"] for line in known]
        figures |= label_figures(wanted, marks, clusters)
        figures |= label_table(wanted, marks, clusters)
    return figures


def count_choices(lines: Sequence[Line]) -> dict[str, Estimate | None]:
    """CT-RATE's multiple choice by its own rule; questions whose answer has no "(a)" are left out.

    The rule is published for one question in a row; what has no bracket in its answer is skipped
    there too.
    """
    cases: dict[str, list[float]] = {}
    for line in lines:
        right = choice_right(line["answer"], line["truth"]) if line["topic"] == "choice" else None
        if right is not None:
            cases.setdefault(line["case"] or line["image"], []).append(float(right))
    return {"choice (published rule)": estimate(list(cases.values()))}


def _sections() -> tuple[Section, ...]:
    """The tables of the figures, with a column for every rule and metric."""
    note = "Macro is the mean of the types, micro of the questions."
    labels = tuple((name, f"label {{row}}, {name}") for name in ("F1", "recall"))
    return (
        Section("Closed questions, accuracy", ROWS, closed_columns(), note),
        Section(
            "Open questions",
            ROWS,
            text_columns(),
            "Chance of reports: the same ones, each held against the text of the next volume.",
        ),
        Section(
            "Multiple choice", ("choice (published rule)",), (("accuracy", "{row}"),),
            "The first “(a)” of the right answer stands anywhere in what was said.",
        ),
        Section(
            "Reports: all alike?", ("reports, distinct", "reports, commonest one"),
            note="Spaces and case aside.",
        ),
        Section(
            "Reports: what they claim", (*CLINICAL_ROWS, *(f"report {n}" for n in RADEVAL)),
            note=f"Labels of the reports by {RADBERT[0]}. Chance: each report held against the "
            f"labels of the next. Rare: fewer than {RARE_SHARE:.0%} of the reports have it.",
        ),
        Section("Reports: labels", LABELS, labels),
        *REGION_SECTIONS,
        Section("Calibration", ("closed",), CALIBRATION_COLUMNS),
    )  # fmt: skip


def _by_topic(
    asked: Sequence[Sequence[Prediction]], closed: bool
) -> dict[str, list[list[Prediction]]]:  # fmt: skip
    topics = dict.fromkeys(a.topic for g in asked for a in g if a.is_closed is closed)
    return {
        t: [[a for a in g if a.topic == t and a.is_closed is closed] for g in asked] for t in topics
    }
