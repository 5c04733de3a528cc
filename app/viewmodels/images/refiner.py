"""Makes coarse pictures exact once nothing moves, without holding up the window.

One picture is on its way at a time, the active plane's first. It is stopped as soon as its plane
shows something else: a drag never waits for what it has left behind. Knows no threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from app.imaging.patch import Image, Work
from app.imaging.plane import PlaneState
from app.viewmodels.core.latest import LatestJob
from app.viewmodels.core.notices import Notices
from app.viewmodels.core.tasks import Tasks
from app.viewmodels.core.work import Done, Failed, Job, Message
from app.viewmodels.images.viewer import Viewer


class PictureWorker(Protocol):
    """Where pictures are computed."""

    def compute(self, work: Work) -> Job[Image]:
        """Do this work elsewhere."""
        ...


class Refiner:
    """The exact pictures of one viewer."""

    def __init__(
        self,
        viewer: Viewer,
        source: PictureWorker,
        tasks: Tasks,
        notices: Notices,
        explain: Callable[[BaseException], Message],
    ) -> None:
        self.viewer = viewer
        self._source = source
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
        """Whether a picture is on its way."""
        return self._computing.busy

    def start(self) -> None:
        """Nothing has moved for a moment: compute the next picture that is coarse."""
        state = self.viewer.next_coarse()
        if state is None or self._computing.busy:
            return
        self._wanted = (state, state.wanted)
        job = self._computing.start(self._source.compute, state.work())
        self._tasks.start(self._follow(job))

    def _changed(self) -> None:
        if self._wanted is None:
            return
        state, wanted = self._wanted
        shown = any(state is each for each in self.viewer.shown.values())
        if not (shown and state.wanted == wanted):
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
            state.take(wanted, outcome.value)
            self.viewer.slices_changed.emit()
            self.start()
        elif isinstance(outcome, Failed):
            self._notices.show(self._explain(outcome.error))
