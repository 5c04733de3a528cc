"""A worker of a study: takes units until all have a result. Started as a process of its own.

`python -P -m med2e3.study.worker FOLDER NUMBER PARENT LEASE` works at the study in FOLDER as worker
NUMBER of the process PARENT, and ends with it. On stdout is one line of JSON, where it fails.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from med2e3.errors import Cancelled, Med2E3Error
from med2e3.study.answering import LoadedModel, open_unit, rows_of
from med2e3.study.columns import write_rows, writing
from med2e3.study.folder import StudyFolder
from med2e3.study.leases import Leases, Result
from med2e3.study.plan import PlannedModel, PlannedVolume

#: Seconds between two signs of life at most, while there is something to show.
BEAT_SECONDS = 1.0

#: Seconds between two looks for a unit, while others hold all that are open.
WAIT_SECONDS = 0.5

#: What a worker's process ends with: done, failed with a sentence, stopped.
DONE, FAILED, STOPPED = 0, 3, 4


class Heart:
    """Shows that a unit is worked at, and stops the work when it is no longer ours.

    `is_wanted` says whether anybody still waits for the work.
    """

    def __init__(self, leases: Leases, unit: str, is_wanted: Callable[[], bool]) -> None:
        self._leases, self._unit, self._is_wanted = leases, unit, is_wanted
        self._last = time.monotonic()

    def beat(self) -> None:
        """Raises `Cancelled` where the unit was taken over, or nobody waits any more."""
        if time.monotonic() - self._last < BEAT_SECONDS:
            return
        self._last = time.monotonic()
        if not self._is_wanted():
            raise Cancelled("The study was stopped.")
        if not self._leases.beat(self._unit):
            raise Cancelled(f"Another worker has taken {self._unit} over.")


class Worker:
    """Works at a study with one model in memory at a time."""

    def __init__(
        self, folder: StudyFolder, *, number: int = 0, is_wanted: Callable[[], bool] = lambda: True
    ) -> None:
        self.folder, self.number, self.is_wanted = folder, number, is_wanted
        self.name = f"{platform.node()}-{os.getpid()}"
        self._loaded: LoadedModel | None = None

    def work(self, leases: Leases) -> None:
        """Take open units until every one has a result. Raises what loading a model raises."""
        units = {unit: (model, volume) for unit, model, volume in self.folder.all_units()}
        while leases.open and self.is_wanted():
            unit = leases.claim()
            if unit is None:
                time.sleep(WAIT_SECONDS)
                continue
            try:
                result = self.answer(*units[unit], Heart(leases, unit, self.is_wanted).beat)
                leases.finish(unit, result)
            except Cancelled:
                pass  # taken over by another worker, or the study was stopped
            finally:
                leases.release(unit)

    def answer(
        self, model: PlannedModel, volume: PlannedVolume, beat: Callable[[], None]
    ) -> Result:
        """Write the part of one unit, unless it is there. Raises `Cancelled`."""
        loaded = self.load(model)
        unit = open_unit(loaded, volume, self.folder.plan, beat)
        part = self.folder.part(unit.part)
        if not part.is_file():
            rows = rows_of(loaded, unit, self.folder.plan, self.name, beat)
            write_rows(rows, part)
        return Result(unit.part, unit.signature, _has_failed(part))

    def load(self, planned: PlannedModel) -> LoadedModel:
        """The model, loaded unless it is the one in memory. Raises what `med2e3.load` raises."""
        import torch

        from med2e3.engine import load

        torch.set_num_threads(self.folder.plan.threads)
        if self._loaded is None or self._loaded.name != planned.name:
            self._loaded = None  # its memory is needed for the next one
            model = load(
                planned.model, device=self._device(planned), dtype=planned.dtype,
                quantize=planned.quantize, device_map=planned.device_map, hub=planned.hub,
            )  # fmt: skip
            identity = self.folder.identities[planned.name]
            self._loaded = LoadedModel(planned.name, model, identity)
        return self._loaded

    def _device(self, planned: PlannedModel) -> str | None:
        """The planned device; where none is named, one GPU after the other by the number."""
        import torch

        if planned.device or planned.device_map or not torch.cuda.is_available():
            return planned.device
        return f"cuda:{self.number % torch.cuda.device_count()}"


def _has_failed(part: Path) -> bool:
    """Whether a part has a row with an error."""
    from pyarrow import parquet

    errors = parquet.read_table(part, columns=["error"])["error"].to_pylist()
    return any(errors)


def parent_lives(pid: int) -> Callable[[], bool]:
    """Whether the process that started this one still runs."""
    try:
        parent = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return lambda: False
    return parent.is_running


def main(arguments: list[str]) -> int:
    """Work at a study; returns the exit code."""
    path, number, parent, seconds = arguments
    try:
        folder = StudyFolder.open(Path(path))
        worker = Worker(folder, number=int(number), is_wanted=parent_lives(int(parent)))
        with writing(folder.path):
            worker.work(folder.leases(float(seconds)))
    except Med2E3Error as error:
        print(json.dumps({"error": type(error).__name__, "sentence": str(error)}), flush=True)
        return FAILED
    except KeyboardInterrupt:
        return STOPPED
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
