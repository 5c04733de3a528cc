"""The header of the file behind the slice shown, searched; follows the slice. Knows no widgets.

While nobody looks (`watch(False)`) no file is read.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from app.viewmodels.core.latest import LatestJob
from app.viewmodels.core.signal import Signal
from app.viewmodels.core.tasks import Tasks
from app.viewmodels.core.work import Done, Failed, Job, Message
from app.viewmodels.images.viewer import Viewer
from app.viewmodels.study.study import Study

if TYPE_CHECKING:
    from med2e3.io.series import SliceSource
    from med2e3.io.tags import Tag


class Tags:
    """The rows of one header."""

    def __init__(
        self,
        study: Study,
        viewer: Viewer,
        tasks: Tasks,
        explain: Callable[[BaseException], Message],
    ) -> None:
        self._study = study
        self._viewer = viewer
        self._tasks = tasks
        self._explain = explain
        self._watching = False
        self._reading: LatestJob[tuple[Tag, ...]] = LatestJob()
        self._all: tuple[Tag, ...] = ()
        self.path: Path | None = None
        self.words = ""
        self.note = ""
        self.changed: Signal[[]] = Signal()
        for signal in (viewer.slices_changed, viewer.volume_changed, study.changed):
            signal.connect(self._follow)

    @property
    def rows(self) -> tuple[Tag, ...]:
        """The rows that hold the searched words, with what they stand in."""
        from med2e3.io.tags import matching

        return matching(self._all, self.words)

    def watch(self, watching: bool) -> None:
        """Somebody looks, or no longer does."""
        self._watching = watching
        self._follow()

    def search(self, words: str) -> None:
        """Show only what holds `words`: in number, keyword or value."""
        self.words = words
        self.changed.emit()

    def slice_source(self) -> SliceSource | None:
        """The file of the slice that the crosshair is in; None where no file is known."""
        volume, sources = self._viewer.volume, self._study.slice_sources()
        if volume is None or not sources:
            return None
        if len(sources) == 1 or not all(len(s.position_mm) == 3 for s in sources):
            return sources[0]
        # By place, not by number: a resampled volume has other slices than files.
        normal = volume.geometry.directions[:, 0]
        along = np.array([s.position_mm for s in sources]) @ normal
        index = volume.geometry.to_index(self._viewer.crosshair_mm)
        corner = volume.geometry.to_patient_mm(np.array([round(float(index[0])), 0.0, 0.0]))
        return sources[int(np.abs(along - float(corner @ normal)).argmin())]

    def _follow(self) -> None:
        source = self.slice_source() if self._watching and not self._viewer.previewing else None
        if source is None or source.path == self.path:
            return
        self.path = source.path
        job = self._reading.start(self._study.library.tags, source)
        self._tasks.start(self._take(job, source.path.name))

    async def _take(self, job: Job[tuple[Tag, ...]], name: str) -> None:
        outcome = await self._reading.result(job)
        if outcome is None:  # another slice is shown by now
            return
        if isinstance(outcome, Done):
            self._all, self.note = outcome.value, name
        elif isinstance(outcome, Failed):
            self._all, self.note = (), self._explain(outcome.error).sentence
        self.changed.emit()
