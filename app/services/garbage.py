"""Python's cyclic garbage is collected on the thread of the window only.

A collection runs on whichever thread happens to allocate. On a worker it would destroy widgets and
pixmaps that had become unreachable, which Qt does not survive; and a full one, with torch in
memory, holds every thread for a tenth of a second. So the automatic one is off while the window
lives, and small ones run here between events.
"""

from __future__ import annotations

import asyncio
import gc

#: Seconds between two looks, and objects that must have gathered for a collection to be worth it.
EVERY_SECONDS = 1.0
WORTH_IT = 700

#: Young collections between two of the middle generation, and of those between two full ones.
#: Full ones are rare: what the imports left is frozen, but volumes and answers are not.
MIDDLE_EVERY, FULL_EVERY = 10, 60


class Garbage:
    """Collects from the event loop while it is not closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._rounds = 0
        self._paused = False
        self._was_enabled = gc.isenabled()
        gc.disable()
        self._next = loop.call_later(EVERY_SECONDS, self._look)

    def pause(self, *, paused: bool) -> None:
        """While hundreds of modules are imported, everything is young and nothing is garbage."""
        self._paused = paused

    def freeze(self) -> None:
        """What exists now, such as imported modules, is not looked at again."""
        gc.freeze()

    def close(self) -> None:
        """Give collecting back to Python."""
        self._next.cancel()
        if self._was_enabled:
            gc.enable()

    def _look(self) -> None:
        if gc.get_count()[0] >= WORTH_IT and not self._paused:
            self._rounds += 1
            full, middle = self._rounds % FULL_EVERY == 0, self._rounds % MIDDLE_EVERY == 0
            gc.collect(2 if full else 1 if middle else 0)
        self._next = self._loop.call_later(EVERY_SECONDS, self._look)
