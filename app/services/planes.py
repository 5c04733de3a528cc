"""Computes exact pictures of planes and slabs on the worker `Lane.PLANES`. Knows no volumes."""

from __future__ import annotations

from app.imaging.patch import Work
from app.imaging.slice_reader import Image
from app.services.jobs import Jobs, Lane
from app.viewmodels.core.work import Job


class Planes:
    """Computes one picture after the other, off the window's thread."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def compute(self, work: Work) -> Job[Image]:
        """Compute a picture; a cancelled job stops before the next strip of it."""
        return self._jobs.start(Lane.PLANES, lambda context: work(context.cancelled))
