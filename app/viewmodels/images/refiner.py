"""Replaces coarse pictures by exact ones once nothing moves, without blocking the window.

One picture is computed at a time, that of the active plane first. Its job is cancelled as soon as
the plane shows something else, so that a drag never waits for a picture it has passed. Knows no
threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from app.imaging.patch import Work
from app.imaging.plane import PlaneState
from app.imaging.slice_reader import Image
from app.viewmodels.core.latest import LatestJob
from app.viewmodels.core.notices import Notices
from app.viewmodels.core.tasks import Tasks
from app.viewmodels.core.work import Done, Failed, Job, Message
from app.viewmodels.images.viewer import Viewer


class PictureWorker(Protocol):
    """Computes pictures off the thread of the window."""

    def compute(self, work: Work) -> Job[Image]:
        """Start the work; the job's outcome is the picture."""
        ...


class Refiner:
    """Computes the exact pictures of one viewer."""

    def __init__(
        self,
        viewer: Viewer,
        worker: PictureWorker,
        tasks: Tasks,
        notices: Notices,
        explain: Callable[[BaseException], Message],
    ) -> None:
        self.viewer = viewer
        self._worker = worker
        self._tasks = tasks
        self._notices = notices
        self._explain = explain
        self._computing: LatestJob[Image] = LatestJob()
        self._wanted: tuple[PlaneState, tuple[object, ...]] | None = None
        viewer.slices_changed.connect(self._changed)
        viewer.volume_changed.connect(self._changed)
        viewer.voxels_filled.connect(self._stop)

    @property
    def busy(self) -> bool:
        """Whether a picture is being computed."""
        return self._computing.busy

    def start(self) -> None:
        """Compute the next coarse picture exactly; called once nothing has moved for a moment."""
        state = self.viewer.next_coarse()
        if state is None or self._computing.busy:
            return
        self._wanted = (state, state.pixels_key)
        job = self._computing.start(self._worker.compute, state.work())
        self._tasks.start(self._follow(job))

    def _changed(self) -> None:
        if self._wanted is None:
            return
        state, wanted = self._wanted
        shown = any(state is each for each in self.viewer.shown.values())
        if not (shown and state.pixels_key == wanted):
            self._stop()

    def _stop(self) -> None:
        self._computing.cancel()
        self._wanted = None

    async def _follow(self, job: Job[Image]) -> None:
        outcome = await self._computing.result(job)
        if outcome is None or self._wanted is None:
            return
        (state, wanted), self._wanted = self._wanted, None
        if isinstance(outcome, Done):
            state.keep_pixels(wanted, outcome.value)
            self.viewer.slices_changed.emit()
            self.start()
        elif isinstance(outcome, Failed):
            self._notices.show(self._explain(outcome.error))
