"""What `med2e3 evaluate` measures of models made here: ablations, transfer, the demo model.

Each function takes the model's name, the command's options and a report of progress.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from med2e3.cli.console import Report

if TYPE_CHECKING:
    from med2e3.evaluation.figures import Results
    from med2e3.evaluation.free_benchmark import FreeResults
    from med2e3.evaluation.likeness import LikenessResults
    from med2e3.evaluation.parallel import ModelChoice
    from med2e3.evaluation.phantom_benchmark import PhantomTask


class Shown(Protocol):
    """What an evaluation found, as a table for people and an object for machines."""

    def table(self) -> str:
        """Markdown."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        ...


#: Phantoms where none are named: a minute or two of work, intervals of about ±0.08.
PHANTOMS = 100

#: Steps and seeds of each ablation where none are named.
ABLATION_STEPS, ABLATION_SEEDS = 300, 2


@dataclass(frozen=True)
class Tables:
    """What the ablations found, in the form of other results."""

    folder: Path

    def table(self) -> str:
        """Markdown, with what every variant got."""
        from med2e3.training.ablation_tables import ablation_tables, budget_line

        return f"{budget_line(self.folder)}\n\n{ablation_tables(self.folder)}"

    def as_dict(self) -> dict[str, Any]:
        """The numbers of each held-out phantom, by file."""
        from med2e3.io.texts import kept_json

        return {"runs": [kept_json(p) for p in sorted(self.folder.glob("*.json"))]}


def ablation(model: str, options: dict[str, Any], report: Report) -> Tables:
    """Tables 3 to 5 of the paper on small models."""
    from med2e3.training.ablation import Budget, run_ablation

    if model != "demo":
        raise click.UsageError("Ablations start from the demo model: its phantoms have the truth.")
    budget = Budget(
        steps=options["steps"] or ABLATION_STEPS,
        seeds=options["seeds"] or ABLATION_SEEDS,
        phantoms=options["phantoms"] or PHANTOMS,
    )
    return Tables(run_ablation(options["ablation"], budget, options["workers"]))


def transfer(model: str, options: dict[str, Any], report: Report) -> Results:
    """An encoder beside the same one with random weights."""
    from med2e3.training.insight.transfer import TASKS as TRANSFER_TASKS
    from med2e3.training.insight.transfer import TransferPlan, run_transfer

    chosen = options["transfer"]
    tasks = tuple(TRANSFER_TASKS) if chosen == "all" else (chosen,)
    named = {"labelled": "labelled", "test": "phantoms", "steps": "steps", "seeds": "seeds"}
    sizes = {name: options[option] for name, option in named.items() if options[option]}
    plan = TransferPlan(tasks=tasks, seed=options["seed"], **sizes)
    return run_transfer(Path(model), plan, options["predictions"], report)


def wrong_captions(model: str, options: dict[str, Any], report: Report) -> Results:
    """Every loss of Med3DInsight with wrong captions."""
    from med2e3.training.insight.caption_study import CaptionStudy, run_study

    named = {"test": "phantoms", "labelled": "labelled", "steps": "steps"}
    sizes = {name: options[option] for name, option in named.items() if options[option]}
    return run_study(options["wrong_captions"], CaptionStudy(**sizes), report)


def free_words(model: str, options: dict[str, Any], report: Report) -> FreeResults:
    """The questions written freely, asked about the demo study."""
    from med2e3.engine import load
    from med2e3.evaluation.free_benchmark import run
    from med2e3.training.demo_study import demo_phantom

    loaded = load(model, **{name: options[name] for name in ("hub", "device", "dtype")})
    return run(loaded, demo_phantom(), report)


def likeness(model: str, options: dict[str, Any], report: Report) -> LikenessResults:
    """What phantoms are like to the model, written to a file."""
    from med2e3.engine import load
    from med2e3.engine.likeness import write_likeness
    from med2e3.evaluation.likeness import measure

    loaded = load(model, **{name: options[name] for name in ("hub", "device", "dtype")})
    found = measure(loaded, options["phantoms"] or PHANTOMS, options["seed"], report)
    write_likeness(options["likeness"], found.likeness)
    return found


def real_ct(model: str, options: dict[str, Any], report: Report) -> Results:
    """Scans of people before a model of phantoms."""
    from med2e3.engine import load
    from med2e3.evaluation.real_scans import run

    loaded = load(model, **{name: options[name] for name in ("hub", "device", "dtype")})
    return run(loaded, options["real_ct"], report)


def run_apart(
    choice: ModelChoice, task: PhantomTask, options: dict[str, Any], report: Report
) -> Results:
    """Phantoms as the task says; before them, where `--sure-seed` names some, those apart."""
    from med2e3.evaluation.phantom_benchmark import run
    from med2e3.evaluation.sure import with_thresholds

    seed, count = options["sure_seed"], options["sure_phantoms"]
    if seed is None:
        if count is not None:
            raise click.UsageError("--sure-phantoms is read with --sure-seed; give both.")
        return run(choice, task, report)
    if seed == task.seed:
        raise click.UsageError(
            f"--sure-seed {seed} are the phantoms that are judged; name another seed."
        )
    others = replace(
        task, phantoms=count or PHANTOMS, seed=seed, predictions=None, bertscore=None
    )  # fmt: skip
    apart = run(choice, others, report)
    return with_thresholds(run(choice, task, report), apart)
