"""The one door off the thread of the window: work on named workers, delivered back in order.

Each worker is one thread that takes jobs one after another. Events and the end of a job arrive on
the thread of the event loop, with `call_soon_threadsafe`; failures arrive as values. Nothing else
in the viewer starts a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from enum import StrEnum
from queue import SimpleQueue
from typing import Any, Generic, TypeVar, cast

from app.viewmodels.core.work import Done, Failed, Listener, Outcome, Progress, Stopped
from med2e3.errors import Cancelled

T = TypeVar("T")

#: Progress reports closer together than this many seconds are left out: nobody sees them.
PROGRESS_EVERY = 0.03


class Lane(StrEnum):
    """The workers: opened files, exports that take work to make, scanned places, the model, small
    notes, frames of 3D, planes.
    """

    FILES = "files"
    EXPORTS = "exports"
    SCAN = "scan"
    MODEL = "model"
    NOTES = "notes"
    SCENE = "scene"
    PLANES = "planes"


class Context:
    """What a job's work is given: ways to report, and to learn that it was stopped.

    Used on the worker's thread.
    """

    def __init__(self, job: RunningJob[Any]) -> None:
        self._job = job
        self._last = -PROGRESS_EVERY

    def emit(self, event: object) -> None:
        """Hand an event to the listener of the job."""
        self._job.post(event)

    def progress(self, fraction: float, doing: str) -> None:
        """Report how far the work is; cheap to call often."""
        now = time.monotonic()
        if now - self._last >= PROGRESS_EVERY or fraction >= 1:
            self._last = now
            self.emit(Progress(fraction, doing))

    def cancelled(self) -> bool:
        """Whether somebody stopped the job."""
        return self._job.cancelled

    def on_cancel(self, stop: Callable[[], None]) -> None:
        """Call `stop`, on the canceller's thread, when the job is stopped; at once if it was."""
        self._job.on_cancel(stop)


class RunningJob(Generic[T]):
    """A job on its way: await its outcome, or cancel it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, work: Callable[[Context], T], listener: Listener
    ) -> None:
        self._loop = loop
        self._work = work
        self._listener = listener
        self._outcome: asyncio.Future[Outcome[T]] = loop.create_future()
        self._events: deque[object] = deque()
        self._cancelled = threading.Event()
        self._lock = threading.Lock()
        self._stop: Callable[[], None] | None = None

    def __await__(self) -> Generator[object, None, Outcome[T]]:
        """Wait for the outcome; a waiter that is itself cancelled leaves the job running."""
        return asyncio.shield(self._outcome).__await__()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Stop the work as soon as it looks; no event is delivered from now on."""
        with self._lock:
            self._cancelled.set()
            stop, self._stop = self._stop, None
        if stop is not None:
            stop()

    def on_cancel(self, stop: Callable[[], None]) -> None:
        """Register what stops the work from outside."""
        with self._lock:
            if not self.cancelled:
                self._stop = stop
                return
        stop()

    def post(self, event: object) -> None:
        """Queue an event; one wake-up of the loop delivers all that have gathered, in order."""
        self._events.append(event)
        if len(self._events) == 1:
            self._wake(self._deliver)

    def run(self) -> None:
        """Do the work on the calling thread and deliver its outcome."""
        outcome: Outcome[T]
        try:
            outcome = Stopped() if self.cancelled else Done(self._work(Context(self)))
        except Cancelled:
            outcome = Stopped()
        except Exception as error:
            outcome = Failed(error)
        with self._lock:
            self._stop = None
        self._wake(self._finish, Stopped() if self.cancelled else outcome)

    def _deliver(self) -> None:
        while self._events:
            event = self._events.popleft()
            if not self.cancelled:
                self._listener(event)

    def _finish(self, outcome: Outcome[T]) -> None:
        self._deliver()
        if not self._outcome.done():
            self._outcome.set_result(outcome)

    def _wake(self, callback: Callable[..., None], *args: object) -> None:
        # A loop that was closed meanwhile takes no more calls; then nobody waits for them either.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *args)


class Worker:
    """One thread that runs jobs one after another."""

    def __init__(self, name: str) -> None:
        self._queue: SimpleQueue[RunningJob[Any] | None] = SimpleQueue()
        self._jobs: set[RunningJob[Any]] = set()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: RunningJob[Any]) -> None:
        """Put a job at the end of the queue."""
        self._jobs.add(job)
        self._queue.put(job)

    def close(self) -> None:
        """Stop every job and let the thread end after the one that runs."""
        for job in tuple(self._jobs):
            job.cancel()
        self._queue.put(None)

    def join(self, seconds: float) -> bool:
        """Wait for the thread to end; whether it did."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            job.run()
            self._jobs.discard(job)
            del job


class Jobs:
    """All workers of the viewer."""

    #: Seconds that closing waits for running work; threads are daemons, none outlives the process.
    PATIENCE = 5.0

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._workers = {lane: Worker(f"viewer-{lane}") for lane in Lane}

    def start(
        self, lane: Lane, work: Callable[[Context], T], listener: Listener = lambda _: None
    ) -> RunningJob[T]:
        """Run `work` on a lane; its events go to `listener` on the thread of the window."""
        job = RunningJob(self._loop, work, listener)
        self._workers[lane].submit(cast("RunningJob[Any]", job))
        return job

    def close(self) -> bool:
        """Stop all work and wait for the threads to end; whether all of them did."""
        for worker in self._workers.values():
            worker.close()
        ended = [worker.join(self.PATIENCE) for worker in self._workers.values()]
        return all(ended)
