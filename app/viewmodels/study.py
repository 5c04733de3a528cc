"""What was opened: the place, the series found there, and the one on the screen.

A place that fails to open changes nothing of what was open. Knows no widgets, threads or formats.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from app.settings import Settings
from app.viewmodels.assistant import Assistant
from app.viewmodels.notices import Notices, Remedy
from app.viewmodels.signal import Signal
from app.viewmodels.tasks import Tasks
from app.viewmodels.viewer import Viewer
from app.viewmodels.work import Done, Failed, Job, Listener, Message, Outcome, Progress
from med2e3.errors import GapError
from med2e3.volume import Volume

if TYPE_CHECKING:
    from med2e3.io import SeriesSummary

#: Seconds between two repaints while the voxels of a preview fill.
REPAINT_EVERY = 0.15


@dataclass(frozen=True, eq=False)
class Opened:
    """A volume, and the series found in the same place."""

    volume: Volume
    series: tuple[SeriesSummary, ...]
    chosen: SeriesSummary | None


@dataclass(frozen=True, eq=False)
class Preview:
    """Event: the volume on its way, its voxels still filling; the middle slice is there."""

    volume: Volume


@dataclass(frozen=True)
class Target:
    """What to open: a place, and which series of it (None: the largest CT series)."""

    path: Path
    series: SeriesSummary | str | None = None
    resample: bool = False


class Library(Protocol):
    """Where studies come from."""

    def open(self, target: Target, listener: Listener) -> Job[Opened]:
        """Read a volume; events: `Progress`, `Preview`."""
        ...


class Study:
    """The opened place."""

    def __init__(
        self,
        library: Library,
        screen: tuple[Viewer, Assistant],
        notices: Notices,
        settings: Settings,
        tasks: Tasks,
        explain: Callable[[BaseException], Message],
    ) -> None:
        self._library = library
        self._viewer, self._assistant = screen
        self._tasks = tasks
        self._repainted = 0.0
        self._notices = notices
        self._settings = settings
        self._explain = explain
        self._job: Job[Opened] | None = None
        self.place: Path | None = None
        self.series: tuple[SeriesSummary, ...] = ()
        self.chosen: SeriesSummary | None = None
        self.loading: Target | None = None
        self.progress = Progress(-1, "")
        self.changed: Signal[[]] = Signal()
        self.progressed: Signal[[]] = Signal()

    def start(self, target: Target) -> None:
        """Open a place without waiting for it."""
        self._tasks.start(self._reopen(target))

    async def open(self, target: Target) -> bool:
        """Open a place, or another series of it; whether it is open now."""
        self._abandon()
        self.loading, self.progress = target, Progress(-1, f"Opening {target.path.name}")
        job = self._job = self._library.open(target, self._event)
        self.changed.emit()
        outcome = await job
        if job is not self._job:  # another place was opened meanwhile
            return False
        self.loading = self._job = None
        return self._opened(target, outcome)

    def cancel(self) -> None:
        """Stop opening; what was open stays."""
        if self.loading is not None:
            self._abandon()
            self.changed.emit()

    def _abandon(self) -> None:
        if self._job is not None:
            self._job.cancel()
            self._job = self.loading = None
        self._viewer.drop_preview()

    def _event(self, event: object) -> None:
        if isinstance(event, Progress):
            self.progress = event
            self.progressed.emit()
            now = time.monotonic()
            if self._viewer.previewing and now - self._repainted > REPAINT_EVERY:
                self._repainted = now
                self._viewer.take_filled()
        elif isinstance(event, Preview):
            self._viewer.preview(event.volume)

    def _opened(self, target: Target, outcome: Outcome[Opened]) -> bool:
        if not isinstance(outcome, Done):
            self._viewer.drop_preview()
            if isinstance(outcome, Failed):
                self._notices.show(self._explain(outcome.error), self._remedy(target, outcome))
            self.changed.emit()
            return False
        opened = outcome.value
        self.place, self.series, self.chosen = target.path, opened.series, opened.chosen
        self._notices.dismiss()
        self._viewer.show(opened.volume)
        self._assistant.enter(opened.volume)
        self._settings.remember_place(target.path)
        self.changed.emit()
        return True

    def _remedy(self, target: Target, outcome: Failed) -> Remedy | None:
        if not isinstance(outcome.error, GapError):
            return None
        again = replace(target, resample=True)
        return Remedy("Open with resampling", lambda: self.start(again))

    async def _reopen(self, target: Target) -> None:
        await self.open(target)
