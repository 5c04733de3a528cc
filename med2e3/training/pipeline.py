"""One training run from nothing to a model folder: which step needs what, and who takes it.

    phantoms → stages on phantoms and on texts → features → stages on features → model

Everything is under one folder, so that a run resumes where it stopped. Knows nothing of the losses.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from med2e3.errors import InputError
from med2e3.training.distributed import Compute, Distributed
from med2e3.training.inputs import (
    ENCODERS,
    StageInputs,
    before,
    encoder_stages,
    make_features,
    make_pool,
)
from med2e3.training.parallel import Task, cores, in_parallel
from med2e3.training.precision import keep_memory
from med2e3.training.processes import in_processes
from med2e3.training.progress import StageReports, stage_reports
from med2e3.training.run_folder import RunFolder
from med2e3.training.stages import STAGES
from med2e3.training.stages.base import PhantomStage, Reads
from med2e3.training.trainer import Report, Run, run_stage

#: Processes that draw phantoms for a GPU, at most.
MOST_WORKERS = 16


@dataclass(frozen=True)
class Conditions:
    """What a run computes with, and what it logs."""

    compute: Compute = field(default_factory=Compute)
    tensorboard: bool = False

    @property
    def device(self) -> torch.device:
        """Where features are made: where training computes."""
        return torch.device("cpu" if self.compute.cpu else "cuda")


def build_stage(run_folder: RunFolder, name: str) -> PhantomStage[Any]:
    """A stage with its data and the parts of the model that it trains."""
    stage, inputs = STAGES[name], StageInputs(run_folder, name)
    return stage.build(run_folder.recipe.stages[name], inputs)


def train_stage(
    run_folder: RunFolder,
    name: str,
    resume: bool = True,
    report: Report | None = None,
    conditions: Conditions | None = None,
) -> list[float]:
    """Runs one stage to its end; returns the losses of the steps taken now."""
    given, recipe = conditions or Conditions(), run_folder.recipe
    stage = build_stage(run_folder, name)
    distributed = Distributed(given.compute)
    run = Run(run_folder.folder, recipe.seed, resume, report, distributed, given.tensorboard)
    losses = run_stage(stage, recipe.stages[name], run)
    if distributed.is_main_process and not distributed.sharded:
        stage.finish(run_folder.folder)
    return losses


def export(run_folder: RunFolder, folder: Path | None = None) -> Path:
    """Writes the finished model (16-bit safetensors), its config, tokenizer and settings."""
    folder = folder or run_folder.model_folder
    model = run_folder.model(*run_folder.stages())
    model.generation_config.eos_token_id = model.config.text_config.eos_token_id
    model.generation_config.pad_token_id = model.config.text_config.pad_token_id
    model.to(torch.float16).save_pretrained(folder)
    run_folder.processor().save_pretrained(folder)
    return folder


def worker_count(compute: Compute) -> int:
    """Number of phantom-drawing processes: all cores (up to 16) for a GPU, two on a CPU."""
    return min(2, cores()) if compute.cpu else min(MOST_WORKERS, cores())


def run_all(
    run_folder: RunFolder,
    report: Report | None = None,
    workers: int | None = None,
    conditions: Conditions | None = None,
) -> Path:
    """Every step of the run that is not done yet; returns the model's folder.

    With two workers or more, independent work runs side by side, each process with one thread. On a
    CPU the workers also share the steps of tuning, where a step has micro-batches for all and no
    `report` listens here; bars show the steps then. Of several processes that train together, the
    main one does alone what is not training.
    """
    given = conditions or Conditions()
    distributed, count = Distributed(given.compute), workers or worker_count(given.compute)
    if distributed.is_main_process:
        run_folder.processor()
    with stage_reports(report) as report_of:
        if distributed.processes > 1:
            _encode_together(run_folder, report_of, count, given)
        else:
            _encode(run_folder, report_of, count, given)
    parts = [run_folder.recipe.stages[name].parts for name in run_folder.stages(Reads.FEATURES)]
    shared = given.compute.cpu and bool(parts) and all(part % count == 0 for part in parts)
    if distributed.processes == 1 and count > 1 and shared and report is None:
        in_processes(count, _tune, (run_folder, None, given))
    else:
        _tune(run_folder, report, given)
    if distributed.is_main_process:
        export(run_folder)
    distributed.accelerator.wait_for_everyone()
    return run_folder.model_folder


def run_stages(
    run_folder: RunFolder, names: Collection[str], report: Report | None, given: Conditions
) -> Path:
    """These stages alone, in the recipe's order, each with what it reads; returns the run's folder.

    What is done already is kept. A stage on features goes on from all stages before it. Raises
    `InputError` where one of these has not been run.
    """
    keep_memory()
    run_folder.processor()
    with stage_reports(report) as report_of:
        for name in run_folder.stages():
            if name not in names:
                continue
            _check_before(run_folder, name)
            reads = STAGES[name].reads
            if reads is not Reads.TEXTS:
                make_pool(run_folder, run_folder.starts())
            if reads is Reads.FEATURES:
                for encoder in ENCODERS:
                    make_features(run_folder, encoder, run_folder.tuning_starts(), given.device)
            train_stage(run_folder, name, True, report_of(name), given)
    return run_folder.folder


def _check_before(run_folder: RunFolder, name: str) -> None:
    """Raises `InputError` where a stage that this one goes on from has not been run."""
    for earlier in before(run_folder, name):
        if not (run_folder.folder / f"{earlier}.pt").is_file():
            raise InputError(
                f"The stage “{name}” goes on from “{earlier}”, which {run_folder.folder} does not "
                "have. Run that one first."
            )


def _tune(run_folder: RunFolder, report: Report | None, given: Conditions) -> None:
    """The stages on the frozen encoders' features, or this process's share of them."""
    keep_memory()
    with stage_reports(report) as report_of:
        for name in run_folder.stages(Reads.FEATURES):
            train_stage(run_folder, name, True, report_of(name), given)


def _encode(run_folder: RunFolder, report_of: StageReports, count: int, given: Conditions) -> None:
    """All that comes before tuning, side by side where `count` is more than one."""
    pools = _pool_tasks(run_folder, count)
    drawn = tuple(task.name for task in pools)

    def stages(reads: Reads, needs: tuple[str, ...]) -> Iterator[Task]:
        for name in run_folder.stages(reads):
            report = report_of(name) if count == 1 else None  # several bars would be unreadable
            yield Task(name, train_stage, (run_folder, name, True, report, given), needs)

    tasks = list(pools)  # and then what takes longest
    tasks += stages(Reads.TEXTS, ())
    tasks += stages(Reads.PHANTOMS, drawn)
    tasks += _feature_tasks(run_folder, count, given.device, drawn)
    in_parallel(tasks, count)


def _encode_together(
    run_folder: RunFolder, report_of: StageReports, count: int, given: Conditions
) -> None:
    """The same where every process trains every stage."""
    distributed = Distributed(given.compute)
    if distributed.is_main_process:
        in_parallel(_pool_tasks(run_folder, count), count)
    distributed.accelerator.wait_for_everyone()
    for name in run_folder.stages(Reads.PHANTOMS, Reads.TEXTS):
        train_stage(run_folder, name, True, report_of(name), given)
    if distributed.is_main_process:
        in_parallel(_feature_tasks(run_folder, count, given.device), count)
    distributed.accelerator.wait_for_everyone()


def _pool_tasks(run_folder: RunFolder, count: int) -> list[Task]:
    """Tasks that share the pool's shards."""
    shares = _shared(run_folder.starts(), count)
    return [Task(f"pool {k}", make_pool, (run_folder, share)) for k, share in enumerate(shares)]


def _feature_tasks(
    run_folder: RunFolder, count: int, device: torch.device, needs: tuple[str, ...] = ()
) -> list[Task]:
    """For each encoder, tasks that share the shards which tuning sees; one task on a GPU."""
    count = count if device.type == "cpu" else 1
    return [
        Task(
            f"features {encoder} {k}",
            make_features,
            (run_folder, encoder, share, device),
            (*needs, *encoder_stages(run_folder, encoder)) if needs else (),
        )
        for encoder in reversed(ENCODERS)
        for k, share in enumerate(_shared(run_folder.tuning_starts(), count))
    ]


def _shared(starts: list[int], count: int) -> list[list[int]]:
    return [share for share in (starts[k::count] for k in range(count)) if share]
