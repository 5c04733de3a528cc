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


class PassWatch:
    """Hooks before the blocks of a network that are set once and stay.

    Between passes that nobody watches, a hook costs one comparison. Hold the model's lock while a
    pass is watched: a second pass over the same blocks would be counted too.
    """

    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        self._callback: BlockCallback | None = None
        self._count = max(1, len(blocks))
        self._begun = 0
        self._handles = [block.register_forward_pre_hook(self._before) for block in blocks]

    @contextmanager
    def during(self, callback: BlockCallback) -> Iterator[None]:
        """Call `callback` before each block of one pass; it may raise to stop the pass."""
        before, self._callback, self._begun = self._callback, callback, 0
        try:
            yield
        finally:
            self._callback = before

    def remove(self) -> None:
        """Take the hooks away, where the network outlives the watch."""
        for handle in self._handles:
            handle.remove()

    def _before(self, _module: nn.Module, _arguments: Any) -> None:
        if self._callback is not None:
            self._callback(min(1.0, self._begun / self._count))
            self._begun += 1


@contextmanager
def interruptible(blocks: Sequence[nn.Module], callback: BlockCallback) -> Iterator[None]:
    """Watch one long pass over blocks that are seldom passed: hooks are removed at its end."""
    watch = PassWatch(blocks)
    try:
        with watch.during(callback):
            yield
    finally:
        watch.remove()


def stop_if(cancelled: StopCheck | None) -> None:
    """Raises `Cancelled` when the caller has stopped the work."""
    if cancelled is not None and cancelled():
        raise Cancelled("The work was stopped.")
