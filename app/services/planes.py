"""Computes exact pictures of planes and slabs on a worker of their own. Knows no volumes."""

from __future__ import annotations

from app.imaging.patch import Work
from app.imaging.slice_reader import Image
from app.services.jobs import Jobs, Lane
from app.viewmodels.core.work import Job


class Planes:
    """One picture after the other, none of which the window waits for."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def compute(self, work: Work) -> Job[Image]:
        """Do this work; a job that is cancelled stops within a strip of its picture."""
        return self._jobs.start(Lane.PLANES, lambda context: work(context.cancelled))
