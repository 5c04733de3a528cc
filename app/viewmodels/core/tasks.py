"""Coroutines that view-models start: kept alive, never lost with an error, ended at the close."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Tasks:
    """The running coroutines of the window."""

    def __init__(self, on_error: Callable[[BaseException], None]) -> None:
        self._on_error = on_error
        self._running: set[asyncio.Task[object]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.closed = False

    def start(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        """Run a coroutine; an error that it does not handle goes to `on_error`."""
        # The loop that ran first: Qt may also deliver events while it pauses between two runs.
        self._loop = self._loop or asyncio.get_running_loop()
        task = self._loop.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def close(self) -> None:
        """Cancel what runs and wait for it to end; nothing may be started any more."""
        self.closed = True
        running = tuple(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_error(error)
