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
#: Looks are frequent, so that each finds little: after a second of scanning a folder, a look alone
#: took thirty milliseconds.
EVERY_SECONDS = 0.2
WORTH_IT = 700

#: Young collections between two of the middle generation, and until a full one is due. It looks at
#: everything but what the imports left, which is frozen; with ten thousand headers that is long.
MIDDLE_EVERY, FULL_EVERY = 4, 300

#: A full one that is due waits for so many looks in a row at which little had gathered, for then
#: nobody scrolls or waits; but not for more than so many young collections.
QUIET_LOOKS, FULL_AT_LAST = 10, 3000


class Garbage:
    """Collects from the event loop while it is not closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._since_full = self._quiet = 0
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
        if not self._paused:
            self._collect()
        self._next = self._loop.call_later(EVERY_SECONDS, self._look)

    def _collect(self) -> None:
        busy = gc.get_count()[0] >= WORTH_IT
        self._quiet = 0 if busy else self._quiet + 1
        rested = self._since_full >= FULL_EVERY and self._quiet >= QUIET_LOOKS
        if rested or self._since_full >= FULL_AT_LAST:
            gc.collect(2)
            self._since_full = self._quiet = 0
        elif busy:
            self._since_full += 1
            gc.collect(1 if self._since_full % MIDDLE_EVERY == 0 else 0)
