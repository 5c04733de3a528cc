"""Runs a study on Ray: workers on many machines, which share the study's folder.

Each open unit is a row; Ray Data hands the rows to actors that keep a model in memory, and keeps in
a checkpoint which rows are done. An actor of a machine that is lost is started again elsewhere, and
its row with it. The parts are the same as those of processes, for the same code writes them.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from med2e3.errors import Med2E3Error, ResourceError
from med2e3.files import write_whole
from med2e3.study.extras import optional
from med2e3.study.folder import StudyFolder
from med2e3.study.leases import Leases
from med2e3.study.options import Options, Report
from med2e3.study.worker import Worker

#: Rows that were written and the checkpoint of those that are done, in the study's folder.
DONE, CHECKPOINT = "done", "checkpoint"

#: Set before Ray is imported or started: it counts nothing and tells nobody.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_worker_niceness": "0",  # as the workers of a study without Ray
}

#: Where Ray starts a cluster of this machine alone: without it, its servers would listen on every
#: network that the machine is in.
ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}

#: Cores for reading rows and for writing which are done. They are a few bytes each, and where all
#: cores are the workers' they would wait for ever.
NOTHING = 0

#: Cores beside the workers', for what Ray does by itself.
SPARE_CPUS = 1


def run_on_ray(folder: StudyFolder, leases: Leases, options: Options, report: Report) -> None:
    """Answer every open unit by actors of Ray, `options.processes` of them.

    Raises `ResourceError` where Ray cannot be had, started or reached, and the error of an actor
    that failed.
    """
    prepare(alone=options.address is None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Ray about its own settings
        ray = optional("ray")
        data = optional("ray.data")
        with _cluster(ray, options):
            report(0.0, "Ray has started")
            _answer(ray, data, folder, leases, options)


def prepare(*, alone: bool) -> None:
    """Set what Ray reads when it is imported; `alone` for a cluster of this machine."""
    for name, value in (ENVIRONMENT | (ALONE if alone else {})).items():
        os.environ.setdefault(name, value)


@contextmanager
def _cluster(ray: Any, options: Options) -> Iterator[None]:
    """A cluster that runs, or one of this machine alone, which ends with the body."""
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if options.address is None:
        quiet |= {"include_dashboard": False, "num_cpus": options.processes + SPARE_CPUS}
    try:
        ray.init(address=options.address or "local", **quiet)
    except Exception as error:  # Ray has no tree of errors for what can go wrong at its start
        where = f"at {options.address}" if options.address else "here"
        raise ResourceError(
            f"Ray cannot be used {where}: {error}. Check its address, or leave out --engine ray."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _answer(ray: Any, data: Any, folder: StudyFolder, leases: Leases, options: Options) -> None:
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    context.use_datasource_v2 = False  # the newer reader makes one block of all rows: one worker
    logging.getLogger("ray").setLevel(logging.ERROR)
    place = folder.ray.absolute()
    context.checkpoint_config = data.checkpoint.CheckpointConfig(
        id_column="unit", checkpoint_path=str(place / CHECKPOINT)
    )
    rows = data.read_parquet(
        _write_rows(folder, leases, place), num_cpus=NOTHING, override_num_blocks=len(leases.open)
    )
    answered = rows.map_batches(
        Actor,
        fn_constructor_args=(str(folder.path.absolute()),),
        batch_size=1,
        compute=data.ActorPoolStrategy(size=options.processes),
        num_cpus=1,
        num_gpus=_gpus(ray, options),
    )
    try:
        answered.write_parquet(str(place / DONE), ray_remote_args={"num_cpus": NOTHING})
    except Exception as error:
        raise _cause(error) from error
    finally:
        context.checkpoint_config = None


def _write_rows(folder: StudyFolder, leases: Leases, place: Path) -> str:
    """Write a row for each open unit, and return where."""
    pyarrow, parquet = optional("pyarrow"), optional("pyarrow.parquet")
    place.mkdir(exist_ok=True)
    path = place / "units.parquet"
    open_units = set(leases.open)
    units = [unit for unit, _, _ in folder.all_units() if unit in open_units]
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table({"unit": units}), sink)
    write_whole(path, sink.getvalue().to_pybytes())
    return str(path)


def _gpus(ray: Any, options: Options) -> float:
    """GPUs of each actor: an equal share of those that the cluster has."""
    count = ray.cluster_resources().get("GPU", 0)
    return min(1.0, count / options.processes) if count else 0


def _cause(error: Exception) -> Med2E3Error:
    """The project's own error in a chain of Ray's, or a sentence of the last one."""
    step: BaseException | None = error
    while step is not None:
        inner = getattr(step, "cause", None) or step.__cause__
        if isinstance(step, Med2E3Error):
            return step
        step = inner if isinstance(inner, BaseException) else None
    last = str(error).strip().splitlines()
    return ResourceError(
        f"Ray ended before the study was done: {last[-1] if last else type(error).__name__}. What "
        "was finished is kept: run the same command again."
    )


class Actor:
    """A worker on a machine of Ray's: one model in memory, one row after the other."""

    def __init__(self, path: str) -> None:
        self.folder = StudyFolder.open(Path(path))
        self.leases = self.folder.leases()
        self.worker = Worker(self.folder)
        self.units = {unit: (model, volume) for unit, model, volume in self.folder.all_units()}

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Answer the units of a batch (B,); the batch itself, so that its ids are kept."""
        open_units = [unit for unit in batch["unit"].tolist() if self.leases.result(unit) is None]
        for unit in open_units:
            result = self.worker.answer(*self.units[unit], lambda: None)
            self.leases.finish(unit, result)
        return batch
