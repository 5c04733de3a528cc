"""The evaluation on phantoms from end to end: which are asked, by whom, and what is counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from med2e3.engine import Model
from med2e3.errors import InputError
from med2e3.evaluation.examiner import Examiner, Progress, phantom_seeds
from med2e3.evaluation.figures import Results, Section
from med2e3.evaluation.free_scoring import (
    count_free,
    count_selective,
    count_windows,
    selective_section,
    synonym_section,
    unknown_section,
    window_section,
    wording_section,
)
from med2e3.evaluation.parallel import ModelChoice, examine_in_processes
from med2e3.evaluation.pointing import FEW_SLICES, count_pointing, count_text_dependence
from med2e3.evaluation.predictions import read_predictions, writing
from med2e3.evaluation.records import Examined
from med2e3.evaluation.scoring import (
    CALIBRATION_COLUMNS,
    Figures,
    closed_columns,
    count_calibration,
    count_closed,
    count_open,
    count_paraphrases,
    count_presence,
    count_reports,
    reliability_bins,
    text_columns,
)
from med2e3.evaluation.texts import TEXT_METRICS, TextMetrics, open_metrics
from med2e3.phantoms.phantom import DEFAULT_BODY
from med2e3.phantoms.questions import TOPICS

_FEW = f", findings of at most {FEW_SLICES} slices"
_AVERAGES = ("macro", "micro")


@dataclass(frozen=True)
class Metric:
    """A table of figures: how they are counted, and how they are shown.

    `section` is called when the table is shown: its columns follow the rules and text metrics.
    """

    count: Callable[[Sequence[Examined], TextMetrics], Figures]
    section: Callable[[], Section]


def _closed_section() -> Section:
    return Section(
        "Closed questions, accuracy",
        (*TOPICS, *_AVERAGES),
        (*closed_columns(), ("blank volume", "closed {row}, blank volume")),
        "Strict: the answer opens with the right letter and names no other choice. Published: the "
        "letter and a full stop stand anywhere in it. Chance: a guess among the choices. Macro is "
        "the mean of the topics, micro of the questions.",
    )


def _open_section() -> Section:
    return Section(
        "Open questions",
        (*TOPICS, *_AVERAGES),
        (("exact", "open {row}, exact"), *text_columns()),
        "Exact: the wanted words, case and stops aside; its chance is the commonest right answer "
        "of the topic, given always.",
    )


def _presence_section() -> Section:
    return Section(
        "Presence of a finding",
        ("balanced accuracy", "sensitivity", "specificity"),
        (("phantoms", "presence, {row}"), ("blank volume", "presence, blank volume, {row}")),
    )


def _report_section() -> Section:
    return Section(
        "Reports",
        ("finding precision", "finding recall", "finding F1", *TEXT_METRICS),
        (("value", "report {row}"),),
        "Findings that a report claims, against those that are there. Chance: the same reports, "
        "each held against another phantom.",
    )


def _pointing_section() -> Section:
    return Section(
        "Slice scores: do they point at the asked finding?",
        ("pointing", "pointing, times chance", "pointing, times chance by row",
         "score mass on the asked finding", "score mass, times uniform"),
        (("all findings", "{row}"), (f"at most {FEW_SLICES} slices", f"{{row}}{_FEW}")),
        "Pointing: the highest score lies on a slice that holds the finding. Chance: its share of "
        "the slices.",
    )  # fmt: skip


def _dependence_section() -> Section:
    return Section(
        "Slice scores: do they follow the question?",
        ("pairs: mass on the asked finding", "pairs: mass on the other finding",
         "pairs: mass ratio asked to other", "pairs: Jensen–Shannon divergence, bits",
         "any two questions of a volume: Jensen–Shannon divergence, bits"),
        note="Pairs: two findings of one volume that share no slice. Chance: uniform scores, or "
        "scores that are deaf to the question.",
    )  # fmt: skip


def _paraphrase_section() -> Section:
    return Section(
        "The same question in other words",
        (*TOPICS, "presence", *_AVERAGES),
        (("same answer", "paraphrases {row}, same answer"),),
        "Chance: how often two answers about any two phantoms agree.",
    )


def _calibration_section() -> Section:
    return Section(
        "Calibration",
        ("closed", "presence", "open"),
        CALIBRATION_COLUMNS,
        "Probability that the model gave to the first word of its answer (open questions: to the "
        "whole of it).",
    )


#: Everything that is counted of phantoms, in the order of the tables. A new metric is a function
#: that counts its figures and a row here; one of texts is a row in `TEXT_METRICS`, a rule for
#: closed answers one in `CLOSED_RULES`.
METRICS: dict[str, Metric] = {
    "closed": Metric(lambda e, _: count_closed(e), _closed_section),
    "open": Metric(count_open, _open_section),
    "presence": Metric(lambda e, _: count_presence(e), _presence_section),
    "reports": Metric(count_reports, _report_section),
    "pointing": Metric(lambda e, _: count_pointing(e), _pointing_section),
    "text dependence": Metric(lambda e, _: count_text_dependence(e), _dependence_section),
    "paraphrases": Metric(lambda e, _: count_paraphrases(e), _paraphrase_section),
    "wordings": Metric(lambda e, _: count_free(e), wording_section),
    "synonyms": Metric(lambda e, _: {}, synonym_section),
    "unknown": Metric(lambda e, _: {}, unknown_section),
    "selective": Metric(lambda e, _: count_selective(e), selective_section),
    "windows": Metric(lambda e, _: count_windows(e), window_section),
    "calibration": Metric(lambda e, _: count_calibration(e), _calibration_section),
}

NOTE = (
    "Intervals: 95 %, bootstrap over phantoms (2,000 resamplings); where every answer is right, or "
    "every one wrong, the exact bound for as many phantoms."
)


@dataclass(frozen=True)
class PhantomTask:
    """How many phantoms of which seed and body; `workers` processes of one thread ask them."""

    phantoms: int
    seed: int
    workers: int = 1
    predictions: Path | None = None
    bertscore: Path | None = None
    body: str = DEFAULT_BODY


def run(model: Model | ModelChoice, task: PhantomTask, progress: Progress | None) -> Results:
    """Asks, writes predictions as they come, and counts.

    Raises `InputError` for workers with a model that is loaded already: they load their own.
    """
    choice = model if isinstance(model, ModelChoice) else None
    if task.workers > 1 and choice is None:
        raise InputError("Several workers load their own model: give its name, not a loaded one.")
    loaded = model if isinstance(model, Model) else model.load()
    seeds = phantom_seeds(task.phantoms, task.seed)
    examined: list[Examined] = []
    with writing(task.predictions, loaded.info, task.seed) as writer:
        source = (
            examine_in_processes(choice, seeds, task.workers, task.body)
            if task.workers > 1 and choice is not None
            else Examiner(loaded, task.body).examine(seeds)
        )
        for e in source:
            examined.append(e)
            if writer:
                writer.write_examined(e)
            if progress:
                progress(len(examined) / len(seeds), f"phantom {len(examined)} of {len(seeds)}")
    info = loaded.info
    settings = {
        "seed": task.seed, "weights_sha256": info.weights_sha256, "dtype": info.dtype,
        "device": info.device,
    }  # fmt: skip
    if task.body != DEFAULT_BODY:
        settings["bodies"] = task.body
    return count(info.name, examined, settings, open_metrics(task.bertscore))


def recount(predictions: Path, bertscore: Path | None = None) -> Results:
    """Figures of predictions that were saved. Raises `InputError`."""
    examined, about = read_predictions(predictions)
    settings = {"seed": about["seed"], "weights_sha256": about["weights_sha256"]}
    return count(about["model"], examined, settings, open_metrics(bertscore))


def count(
    model: str, examined: Sequence[Examined], settings: dict[str, Any], metrics: TextMetrics
) -> Results:
    """Every figure that these records allow."""
    found: Figures = {}
    bodies = f" with {settings['bodies']} bodies" if "bodies" in settings else ""
    for metric in METRICS.values():
        found |= metric.count(examined, metrics)
    return Results(
        model=model,
        what=f"{len(examined)} phantoms{bodies}, seed {settings['seed']}, model {model}",
        settings={"phantoms": len(examined), **settings},
        figures={name: figure for name, figure in found.items() if figure is not None},
        sections=tuple(metric.section() for metric in METRICS.values()),
        missing=metrics.missing,
        notes=(NOTE,),
        bins=reliability_bins(examined),
        examined=tuple(examined),
    )
