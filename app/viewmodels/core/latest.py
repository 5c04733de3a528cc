"""The latest of jobs that replace each other: its result counts, that of any before it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

from app.viewmodels.core.work import Job, Outcome

P = ParamSpec("P")
T = TypeVar("T")


class LatestJob(Generic[T]):
    """At most one job on its way; starting another one cancels it."""

    def __init__(self) -> None:
        self._job: Job[T] | None = None

    @property
    def busy(self) -> bool:
        """Whether a job is on its way."""
        return self._job is not None

    def start(self, begin: Callable[P, Job[T]], /, *args: P.args, **kwargs: P.kwargs) -> Job[T]:
        """Cancel the job on its way, then begin another one; hand it to `result`."""
        self.cancel()
        self._job = job = begin(*args, **kwargs)
        return job

    def cancel(self) -> None:
        """Cancel the job on its way, and forget it."""
        job, self._job = self._job, None
        if job is not None:
            job.cancel()

    async def result(self, job: Job[T]) -> Outcome[T] | None:
        """The outcome of a job; None where it was cancelled or replaced here before its end."""
        outcome = await job
        if job is not self._job:
            return None
        self._job = None
        return outcome
