"""Work shared among processes: each has one thread and its own model, and takes the next few.

On two cores two processes of one thread are nearly twice as fast as one of two threads, which meet
at a barrier after every little matrix. Results come back in the order of the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from med2e3.evaluation.records import Examined
from med2e3.phantoms.phantom import DEFAULT_BODY
from med2e3.spawning import isolated_context

if TYPE_CHECKING:
    from med2e3.engine import Model

#: Phantoms handed to a worker at once: seconds of work, so that predictions come out steadily.
PORTION = 4

#: Makes, in a worker, what does a portion of the work with a model: results in the same order.
Maker = Callable[["Model"], Callable[[Any], list[Any]]]

_work: Callable[[Any], list[Any]] | None = None


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
    model: ModelChoice, seeds: Sequence[int], workers: int, body: str = DEFAULT_BODY
) -> Iterator[Examined]:
    """As `Examiner.examine` with this kind of body; leaving the loop ends the workers."""
    portions = [seeds[k : k + PORTION] for k in range(0, len(seeds), PORTION)]
    for portion in in_processes(model, partial(_examining, body), portions, workers):
        yield from portion


def in_processes(
    model: ModelChoice, make: Maker, portions: Sequence[Any], workers: int
) -> Iterator[list[Any]]:
    """The results of every portion, in order; leaving the loop ends the workers.

    `make` and the portions must be picklable: `make` is a function of a module, or a partial.
    """
    pool = ProcessPoolExecutor(
        max(1, min(workers, len(portions))),
        mp_context=isolated_context(),
        initializer=_begin,
        initargs=(model, make),
    )
    try:
        yield from pool.map(_do, portions)
    finally:
        pool.shutdown(cancel_futures=True)


def _examining(body: str, model: Model) -> Callable[[Sequence[int]], list[Examined]]:
    """In a worker: shows phantoms to its model."""
    from med2e3.evaluation.examiner import Examiner

    examiner = Examiner(model, body)
    return lambda seeds: list(examiner.examine(seeds))


def _begin(model: ModelChoice, make: Maker) -> None:
    """In a worker: one thread, and the model."""
    import torch

    torch.set_num_threads(1)
    global _work
    _work = make(model.load())


def _do(portion: Any) -> list[Any]:
    """In a worker: one portion."""
    if _work is None:
        raise RuntimeError("this worker was not begun")
    return _work(portion)
