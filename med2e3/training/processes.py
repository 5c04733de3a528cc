"""`--processes N`: the same function in N processes of this machine, which end together.

torch's elastic launcher starts them and stops them all when one fails. Knows nothing of training.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from med2e3 import errors
from med2e3.errors import Med2E3Error
from med2e3.spawning import isolated

#: How often the launcher looks after its processes, in seconds: a failure is seen at once.
WATCH_SECONDS = 0.2

#: Where the processes meet. They are all on this machine, and nothing outside can join.
LOOPBACK = "127.0.0.1"


def in_processes(count: int, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Calls `function` in `count` new processes; returns what the first one returned.

    `function` and `arguments` must be picklable. An error of this project comes back as itself.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint=f"{LOOPBACK}:0",  # a free port
        local_addr=LOOPBACK,
        max_restarts=0,
        monitor_interval=WATCH_SECONDS,
        start_method="spawn",
    )
    try:
        with _environment(count), isolated():
            results = elastic_launch(config, _run_in_process)(count, function, arguments)
    except ChildFailedError as failure:
        # A process that fails breaks the connections of the others: an error of ours comes first.
        messages = [_message(each) for each in failure.failures.values()]
        own = next((error for error in map(_own_error, messages) if error), None)
        rank, first = failure.get_first_failure()
        raise own or RuntimeError(f"Process {rank} of {count}: {_message(first)}") from None
    except SignalException:
        raise KeyboardInterrupt from None
    return results[0]


@contextmanager
def _environment(count: int) -> Iterator[None]:
    """Sets environment variables for the new processes, unless the user has set them.

    Without a number of threads accelerate would choose one and warn. Without the log level torch
    would warn at each start that a stage whose parameters may sit out a step had none that did.
    What torch's launcher sets and leaves is taken back too.
    """
    before = dict(os.environ)
    own = {
        "OMP_NUM_THREADS": str(_threads(count)),
        "TORCH_CPP_LOG_LEVEL": "ERROR",
    }
    os.environ.update({name: value for name, value in own.items() if name not in before})
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def _threads(count: int) -> int:
    """A process's share of the cores."""
    return max(1, (os.cpu_count() or 1) // count)


def _run_in_process(count: int, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Calls the function in a new process: its share of the cores, connections on loopback."""
    torch.set_num_threads(_threads(count))
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    result = function(*arguments)
    # Not after a failure: the others would fail of it, and be heard before the failure itself.
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    return result


def _message(failure: Any) -> str:
    """The kind and the message of the error that ended a process."""
    said = failure.message
    return str(said.get("message", said) if isinstance(said, dict) else said)


def _own_error(message: str) -> Med2E3Error | None:
    """The error that a failed process names, if it is one of `med2e3.errors`."""
    name, _, sentence = message.partition(": ")
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, Med2E3Error):
        return kind(sentence)
    return None
