"""Tasks side by side in worker processes, each after the tasks that it needs.

Knows nothing of what the tasks do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any

import torch

from med2e3.spawning import isolated_context
from med2e3.training.precision import keep_memory


def quiet_worker() -> None:
    """Prepares a worker process: one thread, freed memory kept, an end with its parent.

    Several threads would fight for the cores. Mapping every large tensor's pages anew took up to a
    sixth of a step. A parent that is killed cannot stop its workers, which would go on writing into
    the run's folder.
    """
    torch.set_num_threads(1)
    keep_memory()
    parent = parent_process()
    if parent is not None:
        Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


@dataclass(frozen=True)
class Task:
    """A call, and the names of the tasks that must have ended before it."""

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    needs: tuple[str, ...] = ()


def in_parallel(tasks: Sequence[Task], workers: int) -> None:
    """Runs all tasks, each as soon as what it needs is done; earlier ones of the list first.

    One worker is this process itself. A failed task stops the others with its error.
    """
    if workers < 2 or len(tasks) < 2:
        for task in tasks:  # they are listed in an order that works
            task.function(*task.arguments)
        return
    done: set[str] = set()
    waiting = list(tasks)
    running: dict[Future[Any], str] = {}
    with ProcessPoolExecutor(workers, isolated_context(), quiet_worker) as pool:
        while waiting or running:
            ready = [task for task in waiting if done.issuperset(task.needs)]
            for task in ready[: workers - len(running)]:
                waiting.remove(task)
                running[pool.submit(task.function, *task.arguments)] = task.name
            for ended in wait(running, return_when=FIRST_COMPLETED).done:
                ended.result()
                done.add(running.pop(ended))


def cores() -> int:
    """Number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
