"""Progress and stopping inside a forward pass: a look after every block of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from med2e3.errors import Cancelled

Tick = Callable[[float], None]


@contextmanager
def interruptible(blocks: Sequence[nn.Module], tick: Tick) -> Iterator[None]:
    """Calls `tick` with the fraction of blocks begun, before each; it may raise to stop the pass.

    For one pass at a time over the same blocks: hold the model's lock.
    """
    begun = 0

    def before(_module: nn.Module, _arguments: Any) -> None:
        nonlocal begun
        tick(min(1.0, begun / max(1, len(blocks))))
        begun += 1

    handles = [block.register_forward_pre_hook(before) for block in blocks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def stop_if(cancelled: Callable[[], bool] | None) -> None:
    """Raises `Cancelled` when the caller has stopped the work."""
    if cancelled is not None and cancelled():
        raise Cancelled("The work was stopped.")
