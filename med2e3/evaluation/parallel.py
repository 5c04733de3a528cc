"""Phantoms shared among processes: each has one thread and its own model, and takes the next few.

On two cores two processes of one thread are nearly twice as fast as one of two threads, which meet
at a barrier after every little matrix. Results come back in the order of the seeds.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from med2e3.evaluation.records import Examined

if TYPE_CHECKING:
    from med2e3.engine import Model
    from med2e3.evaluation.examiner import Examiner

#: Phantoms handed to a worker at once: seconds of work, so that predictions come out steadily.
PORTION = 4

_examiner: Examiner | None = None


@dataclass(frozen=True)
class ModelChoice:
    """A model by name, with what `load` is told: every worker loads its own."""

    name: str = "demo"
    options: dict[str, Any] = field(default_factory=dict)

    def load(self) -> Model:
        """Raises what `med2e3.load` raises."""
        from med2e3.engine import load

        return load(self.name, **self.options)


def examine_in_processes(
    model: ModelChoice, seeds: Sequence[int], workers: int
) -> Iterator[Examined]:
    """As `Examiner.examine`; leaving the loop ends the workers."""
    portions = [seeds[k : k + PORTION] for k in range(0, len(seeds), PORTION)]
    pool = ProcessPoolExecutor(
        min(workers, len(portions)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(model,),
    )
    try:
        for examined in pool.map(_examine, portions):
            yield from examined
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(model: ModelChoice) -> None:
    """In a worker: one thread, and the model."""
    import torch

    from med2e3.evaluation.examiner import Examiner

    torch.set_num_threads(1)
    global _examiner
    _examiner = Examiner(model.load())


def _examine(seeds: Sequence[int]) -> list[Examined]:
    """In a worker: one portion."""
    if _examiner is None:
        raise RuntimeError("this worker was not begun")
    return list(_examiner.examine(seeds))
