"""Progress and stopping inside a forward pass: a callback before each block of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from med2e3.errors import Cancelled

#: Tells whether the caller has stopped the work.
StopCheck = Callable[[], bool]
#: Takes the fraction of blocks begun, 0 to 1; raises to end the pass.
BlockCallback = Callable[[float], None]


@contextmanager
def interruptible(blocks: Sequence[nn.Module], callback: BlockCallback) -> Iterator[None]:
    """Calls `callback` before each block of one long pass; it may raise to stop the pass.

    Hooks are set here and removed at the end, so that short passes, one for each token, run
    without any. Hold the model's lock: a second pass over the same blocks would be counted too.
    """
    begun = 0

    def before(_module: nn.Module, _arguments: Any) -> None:
        nonlocal begun
        callback(min(1.0, begun / max(1, len(blocks))))
        begun += 1

    handles = [block.register_forward_pre_hook(before) for block in blocks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def stop_if(cancelled: StopCheck | None) -> None:
    """Raises `Cancelled` when the caller has stopped the work."""
    if cancelled is not None and cancelled():
        raise Cancelled("The work was stopped.")
