"""M3D-Bench on files: figures of answers about volumes on disk, judged as published.

Knows nothing of file layouts, nor of how a model is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from med2e3.engine import Model
from med2e3.errors import InputError
from med2e3.evaluation.calibration import calibration_error, reliability
from med2e3.evaluation.examiner import Progress
from med2e3.evaluation.figures import Results, Section
from med2e3.evaluation.file_asking import FileTask, Line, ask_all
from med2e3.evaluation.intervals import Estimate, estimate
from med2e3.evaluation.m3d_files import TYPES
from med2e3.evaluation.parallel import ModelChoice
from med2e3.evaluation.predictions import verdict, whole_lines
from med2e3.evaluation.records import Prediction
from med2e3.evaluation.scoring import (
    CALIBRATION_COLUMNS,
    closed_columns,
    estimate_closed,
    estimate_texts,
    text_columns,
)
from med2e3.evaluation.texts import TextMetrics

ROWS = (*TYPES.values(), "all", "report", "macro", "micro")

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
) -> Results:
    """Asks and counts; raises as `ask_all`."""
    info, lines = ask_all(model, task, progress)
    settings = {
        "seed": task.seed, "weights_sha256": info.weights_sha256, "dtype": info.dtype,
        "device": info.device, "skipped": list(task.skipped), **task.settings,
    }  # fmt: skip
    notes = (*task.notes, *skipped_note(task.skipped))
    return count(info.name, lines, settings, metrics, notes)


def recount(predictions: Path, metrics: TextMetrics) -> Results:
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
    return count(str(of["model"]), ordered, settings, metrics)


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
) -> Results:
    """Every figure that these answers allow."""
    asked = by_case(lines)
    found: dict[str, Estimate | None] = {
        **estimate_closed(_by_topic(asked, True)),
        **estimate_texts(_by_topic(asked, False), metrics),
    }
    said = [[(a.confidence, bool(verdict(a))) for a in g if a.is_closed] for g in asked]
    found["calibration error, closed"] = calibration_error(said)
    found["mean probability, closed"] = estimate([[p for p, _ in g] for g in said])
    volumes = len({line["image"] for line in lines})
    what = lines[0]["task"]
    about = f"{len(lines)} questions about {volumes} volumes of {len(asked)} cases"
    return Results(
        model,
        f"{what}: {about}, model {model}",
        {"questions": len(lines), "volumes": volumes, "cases": len(asked), **settings},
        {name: figure for name, figure in found.items() if figure is not None},
        _sections(),
        metrics.missing,
        (NOTE, *notes),
        {"closed": reliability(said)} if any(said) else {},
    )


def _sections() -> tuple[Section, ...]:
    """The tables of the figures, with a column for every rule and metric."""
    note = "Macro is the mean of the types, micro of the questions."
    return (
        Section("Closed questions, accuracy", ROWS, closed_columns(), note),
        Section("Open questions", ROWS, text_columns()),
        Section("Calibration", ("closed",), CALIBRATION_COLUMNS),
    )


def _by_topic(
    asked: Sequence[Sequence[Prediction]], closed: bool
) -> dict[str, list[list[Prediction]]]:  # fmt: skip
    topics = dict.fromkeys(a.topic for g in asked for a in g if a.is_closed is closed)
    return {
        t: [[a for a in g if a.topic == t and a.is_closed is closed] for g in asked] for t in topics
    }
