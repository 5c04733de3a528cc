"""M3D-Bench in one run: every task that folder and models allow, with what was left out and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from med2e3.engine import Model
from med2e3.evaluation import m3d_bench, m3d_retrieval
from med2e3.evaluation.examiner import Progress
from med2e3.evaluation.figures import Results
from med2e3.evaluation.file_asking import FileTask
from med2e3.evaluation.m3d_bench_folder import Choices, open_bench
from med2e3.evaluation.parallel import ModelChoice
from med2e3.evaluation.texts import TextMetrics
from med2e3.retrieval.finder import load_retriever

#: Ends the name of the file that has the retrieval's predictions.
RETRIEVAL_FILE = ".retrieval.jsonl"


def run_bench(
    choice: ModelChoice,
    clip: ModelChoice | None,
    folder: Path,
    choices: Choices,
    task: FileTask,
    metrics: TextMetrics,
    progress: Progress | None = None,
) -> Results:
    """All tasks; the lists are read before a model is loaded. Raises as `m3d_bench.run`.

    `task` says how they are asked; its items come from the folder.
    """
    open_bench(folder, choices)  # its errors come before minutes of loading
    model = choice.load()
    found = open_bench(folder, replace(choices, draws=_draws(model)))
    missing = dict(found.missing)
    asked = replace(task, items=found.items, skipped=found.skipped)
    runner = choice if task.workers > 1 else model
    results = m3d_bench.run(runner, asked, metrics, progress)
    figures, sections = dict(results.figures), results.sections
    if clip is None and found.pairs:
        missing["retrieval"] = "It needs M3D-CLIP; name one with --clip."
    elif clip is not None and len(found.pairs) > 1:
        pairs = _retrieve(clip, found.pairs, task, progress)
        figures |= pairs.figures
        sections = (*pairs.sections, *sections)
    return replace(
        results, figures=figures, sections=sections, missing={**results.missing, **missing}
    )


def _draws(model: Model) -> bool:
    """Whether a model draws masks."""
    return getattr(model.backend.network, "segvol", None) is not None


def _retrieve(
    clip: ModelChoice, pairs: list[Any], task: FileTask, progress: Progress | None
) -> Results:
    retriever = load_retriever(clip.name, **clip.options)
    chosen = replace(task, items=pairs).chosen()
    path = task.predictions
    predictions = None if path is None else path.with_name(path.name + RETRIEVAL_FILE)
    return m3d_retrieval.run(
        retriever, chosen, f"{task.what}, retrieval", predictions=predictions, progress=progress
    )
