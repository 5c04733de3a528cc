"""What was opened: the source, the series found there, and the one on the screen.

A folder or file is scanned first; its series can be chosen while the scan goes on. What fails to
open changes nothing of what was open. Knows no widgets, threads or formats.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app.viewmodels.assistant.assistant import Assistant
from app.viewmodels.core.notices import Notices, Remedy
from app.viewmodels.core.settings import Settings
from app.viewmodels.core.signal import Signal
from app.viewmodels.core.tasks import Tasks
from app.viewmodels.core.work import Done, Failed, Job, Message, Outcome, Progress
from app.viewmodels.images.viewer import Viewer
from app.viewmodels.study.library import Library
from app.viewmodels.study.recents import facts_of
from med2e3.errors import GapError, InputError
from med2e3.volume import Volume
from med2e3.words import counted

if TYPE_CHECKING:
    from med2e3.io import SeriesSummary, Source
    from med2e3.io.series import Grouping, SkippedFile, SliceSource

#: Seconds between two repaints while the voxels of a preview fill.
REPAINT_EVERY = 0.15


@dataclass(frozen=True, eq=False)
class Preview:
    """Event: the volume on its way, its voxels still filling; the middle slice is there."""

    volume: Volume


@dataclass(frozen=True, eq=False)
class SoFar:
    """Event: what a scan has found so far."""

    source: Source


@dataclass(frozen=True, eq=False)
class Thumbnail:
    """Event: the picture of the image at `path`, grey (row, column) or in colours (row, column, 3);
    None if it cannot be shown.
    """

    path: Path
    pixels: NDArray[np.uint8] | None


@dataclass(frozen=True)
class Target:
    """What to open: one path or several, and which series there (None: the largest CT series)."""

    path: Path
    series: SeriesSummary | str | None = None
    resample: bool = False
    others: tuple[Path, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """All paths."""
        return (self.path, *self.others)


class Study:
    """The opened source, what arrives to take its place, and the series on the screen."""

    def __init__(
        self,
        library: Library,
        *,
        viewer: Viewer,
        assistant: Assistant,
        notices: Notices,
        settings: Settings,
        tasks: Tasks,
        explain: Callable[[BaseException], Message],
    ) -> None:
        self.library = library
        self._viewer = viewer
        self._assistant = assistant
        self._tasks = tasks
        self._repainted = 0.0
        self._notices = notices
        self._settings = settings
        self._explain = explain
        self._scan_job: Job[Source] | None = None
        self._load_job: Job[Volume] | None = None
        self._thumbnail_job: Job[None] | None = None
        self._scanned: Target | None = None
        self._reading = ""
        self._picked: SeriesSummary | None = None
        self._wanted: Target | None = None
        self._groupings: dict[tuple[str, ...], Grouping] = {}
        self.source: Source | None = None
        self.arriving: Source | None = None
        self.path: Path | None = None
        self.chosen: SeriesSummary | None = None
        self.thumbnails: dict[Path, NDArray[np.uint8] | None] = {}
        self.progress = Progress(-1, "")
        self.changed: Signal[[]] = Signal()
        self.progressed: Signal[[]] = Signal()
        self.thumbnails_changed: Signal[[]] = Signal()
        #: A series was loaded to be seen beside the open one, in a cell by its number.
        self.loaded_beside: Signal[[Volume, int]] = Signal()
        #: What was opened has no volume, but images or reports that are seen one by one.
        self.only_pictures: Signal[[]] = Signal()

    # --- what is there ---------------------------------------------------------------------

    @property
    def loading(self) -> Target | None:
        """What is being looked through or read now."""
        if self._load_job is not None:
            return self._wanted
        return self._scanned if self._scan_job is not None else None

    @property
    def opening(self) -> str:
        """What is being read now, in words: the series, or the places that are looked through."""
        if self._load_job is not None:
            return self._reading
        target = self._scanned
        if target is None:
            return ""
        others = len(target.others)
        return target.path.name + (f" and {counted(others, 'other')}" if others else "")

    @property
    def scanning(self) -> bool:
        """Whether a scan goes on."""
        return self._scan_job is not None

    @property
    def listed(self) -> Source | None:
        """What the list shows: the source that arrives, else the open one."""
        return self.arriving or self.source

    @property
    def series(self) -> tuple[SeriesSummary, ...]:
        """The series in the list."""
        return self.listed.series if self.listed is not None else ()

    @property
    def skipped(self) -> tuple[SkippedFile, ...]:
        """The files of the list that are not seen: neither in a volume nor by themselves."""
        if self.listed is None:
            return ()
        seen = {path for one in self.series if one.seen for path in one.files}
        return tuple(file for file in self.listed.skipped if file.path not in seen)

    @property
    def skipped_sentence(self) -> str:
        """How many files are not seen, and of what kinds; empty if there are none."""
        from med2e3.io.series import skipped_sentence  # the readers are there with the first file

        return skipped_sentence(self.skipped) if self.skipped else ""

    @staticmethod
    def name_of(series: SeriesSummary) -> str:
        """What `named` finds a series of the list by, as long as it is there."""
        return str(id(series))

    def named(self, name: str) -> SeriesSummary | None:
        """The series of the list with a name that `name_of` gave it; None if it is gone."""
        return next((one for one in self.series if self.name_of(one) == name), None)

    def slice_sources(self) -> tuple[SliceSource, ...]:
        """The files of the open series, in the order of its slices."""
        if self.source is None or self.chosen is None:
            return ()
        return self.source.indexed(self.chosen).slices

    # --- opening ---------------------------------------------------------------------------

    def start(self, target: Target) -> None:
        """Open a target without waiting for it."""
        self._tasks.start(self._reopen(target))

    @property
    def places(self) -> tuple[Path, ...]:
        """The paths that are open, in the order of opening."""
        return () if self.source is None else (self.source.path, *self.source.others)

    def add(self, paths: Sequence[Path]) -> None:
        """Open paths beside what is open; the series on the screen is shown again."""
        new = [path for path in paths if path not in self.places]
        self._with_places((*self.places, *new))

    def close(self, paths: Sequence[Path] = ()) -> None:
        """Close some of the open paths; without any, all of them."""
        left = [path for path in self.places if paths and path not in paths]
        if left:
            self._with_places(left)
            return
        self._abandon()
        self.source = self.path = self.chosen = None
        self._groupings = {}
        self._notices.dismiss()
        self._viewer.show(None)
        self._assistant.enter(None)
        self.changed.emit()

    def _with_places(self, paths: Sequence[Path]) -> None:
        """Look through these paths, and show the series that was on the screen, if it is there."""
        if not paths:
            return
        shown = self.chosen.info.series_uid if self.chosen is not None else ""
        still = any(path in self.places for path in paths) and len(paths) >= len(self.places)
        first, *others = paths
        self.start(Target(first, shown if shown and still else None, others=tuple(others)))

    def pick(self, series: SeriesSummary) -> None:
        """Open a series of the list; a scan that goes on is not disturbed."""
        self._tasks.start(self._pick(series))

    async def open(self, target: Target) -> bool:
        """Open a target, or another series of the listed source; whether it is open now."""
        kept = self._kept(target)
        if kept is not None:
            return await self._load(kept[0], kept[1], target)
        source = await self._scan(target)
        if source is None:
            return False
        if self._picked is not None:
            return await self._settle(source, self._picked)
        try:
            chosen = source.choose(target.series)
        except InputError as error:
            if target.series is None and any(one.seen for one in source.series):
                return self._opened_without_volume(source, target)
            return self._failed(target, Failed(error))
        return await self._load(source, chosen, target)

    def cancel(self) -> None:
        """Stop opening; what was open stays."""
        if self.loading is not None:
            self._abandon()
            self.changed.emit()

    async def _reopen(self, target: Target) -> None:
        await self.open(target)

    async def _pick(self, series: SeriesSummary) -> None:
        source = self.listed
        if source is None or series is self.chosen:
            return
        paths = (source.path, *source.others)
        if self.scanning:
            self._picked = series
        await self._load(source, series, Target(paths[0], series, others=paths[1:]))

    def _kept(self, target: Target) -> tuple[Source, SeriesSummary] | None:
        """The listed source and its series, where the target names one by its summary."""
        source = self.listed
        if source is None or target.paths != (source.path, *source.others):
            return None
        summary = next((s for s in source.series if s is target.series), None)
        return None if summary is None else (source, summary)

    async def _scan(self, target: Target) -> Source | None:
        """What is at the target; None if it was abandoned or failed."""
        self._abandon()
        self._scanned, self._groupings = target, {}
        self.progress = Progress(-1, "looking through it")
        job = self._scan_job = self.library.scan(target.paths, self._scan_event)
        self.changed.emit()
        outcome = await job
        if job is not self._scan_job:  # another target was opened meanwhile
            return None
        self._scan_job = self.arriving = None
        if not isinstance(outcome, Done):
            self._picked = None
            self._failed(target, outcome)
            return None
        return outcome.value

    async def _settle(self, source: Source, picked: SeriesSummary) -> bool:
        """The scan is over: list all that was found, and wait for the series picked meanwhile."""
        self.arriving = source
        self.changed.emit()
        if self._load_job is not None:
            await self._load_job  # `_load` has waited longer: what it opens is open after this
        if self._picked is picked and self._load_job is None:
            self._grow(source, picked)
        return self.source is source

    async def _load(self, source: Source, series: SeriesSummary, target: Target) -> bool:
        self._stop_loading()
        self._wanted = target
        if not self.scanning:
            self.arriving = source if source is not self.source else None
            self._picked = None
        self._reading = series.label
        self.progress = Progress(-1, "opening")
        job = self._load_job = self.library.load(
            source, series, self._event, resample=target.resample
        )
        self.changed.emit()
        outcome = await job
        if job is not self._load_job:
            return False
        self._load_job = None
        if not isinstance(outcome, Done):
            return self._failed(target, outcome)
        self._opened(source, series, outcome.value, target)
        return True

    def _opened(
        self, source: Source, series: SeriesSummary, volume: Volume, target: Target
    ) -> None:
        self.source, self.path, self.chosen = source, target.path, series
        whole = not self.scanning and self._picked is None
        if whole:
            self.arriving = None
        self._notices.dismiss()
        self._viewer.show(volume)
        self._assistant.enter(volume)
        self._settings.remember_place(target.path, facts_of(volume))
        self.changed.emit()
        if whole:
            self._make_thumbnails(source)

    def _opened_without_volume(self, source: Source, target: Target) -> bool:
        """What is open has images or reports, and no volume: they are seen one by one."""
        self.source, self.path, self.chosen = source, target.path, None
        self.arriving = None
        self._notices.dismiss()
        self._viewer.show(None)
        self._assistant.enter(None)
        self._settings.remember_place(target.path)
        self.changed.emit()
        self.only_pictures.emit()
        self._make_thumbnails(source)
        return True

    def _failed(self, target: Target, outcome: Outcome[Any]) -> bool:
        self._viewer.drop_preview()
        if isinstance(outcome, Failed):
            self._notices.show(self._explain(outcome.error), self._remedy(target, outcome))
        self.changed.emit()
        return False

    def _grow(self, source: Source, before: SeriesSummary) -> None:
        """The scan is over: take over what the picked series has become, if it is open."""
        self._picked = None
        if self.chosen is not before:  # it could not be opened: what was open stays
            self.changed.emit()
            return
        self.arriving = None
        same = _counterpart(source, before)
        self.source = source
        if same is None or set(same.files) == set(before.files):
            self.chosen = same or self.chosen
            self.changed.emit()
            self._make_thumbnails(source)
            return
        self.chosen = None
        paths = (source.path, *source.others)
        self.start(Target(paths[0], same, others=paths[1:]))

    def _remedy(self, target: Target, outcome: Failed) -> Remedy | None:
        if not isinstance(outcome.error, GapError):
            return None
        again = replace(target, resample=True)
        return Remedy("Open with resampling", lambda: self.start(again))

    def _abandon(self) -> None:
        for job in (self._scan_job, self._thumbnail_job):
            if job is not None:
                job.cancel()
        self._scan_job = self._thumbnail_job = self.arriving = self._picked = None
        self._stop_loading()

    def _stop_loading(self) -> None:
        if self._load_job is not None:
            self._load_job.cancel()
            self._load_job = None
        self._viewer.drop_preview()

    def _scan_event(self, event: object) -> None:
        """An event of a scan; how far it is says nothing while a series is read meanwhile."""
        if self._load_job is None or not isinstance(event, Progress):
            self._event(event)

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
        elif isinstance(event, SoFar):
            self.arriving = event.source
            self.changed.emit()
        elif isinstance(event, Thumbnail):
            self.thumbnails[event.path] = event.pixels
            self.thumbnails_changed.emit()

    def _make_thumbnails(self, source: Source) -> None:
        """Make the thumbnails that are missing."""
        self._thumbnail_job = self.library.thumbnails(source, set(self.thumbnails), self._event)

    # --- other ways to put images together ---------------------------------------------------

    def regroup(self, series: SeriesSummary, grouping: Grouping) -> None:
        """Join what was split, or split it again; what cannot be is said and stays as it is."""
        self._tasks.start(self._regroup(series, grouping))

    async def _regroup(self, series: SeriesSummary, grouping: Grouping) -> None:
        if self._load_job is not None:
            await self._load_job  # what is being opened is of the list as it was
        if self.source is None or self.scanning or self._picked is not None:
            return
        groupings = {**self._groupings, series.key: grouping}
        outcome = await self.library.regroup(self.source, groupings)
        if not isinstance(outcome, Done):
            if isinstance(outcome, Failed):
                self._notices.show(self._explain(outcome.error))
            return
        source = outcome.value
        own = [s for s in source.series if s.key == series.key and not s.is_scout]
        if bad := next((s for s in own if not s.is_volume), None):
            words = f"{bad.label} cannot be put together: {bad.reason}."
            self._notices.show(Message(words))
            return
        self._groupings = groupings
        was = self.chosen
        self.source = source
        self.chosen = None if was is None else _counterpart(source, was, exact=True)
        self.changed.emit()
        if self.chosen is None and own:
            paths = (source.path, *source.others)
            await self.open(Target(paths[0], own[0], others=paths[1:]))

    # --- comparing ---------------------------------------------------------------------------

    def open_beside(self, series: SeriesSummary, cell: int = 1) -> None:
        """Load a series of the list for a cell; `loaded_beside` hands it on, what is open stays."""
        self._tasks.start(self._open_beside(series, cell))

    async def _open_beside(self, series: SeriesSummary, cell: int) -> None:
        source = self.listed
        if source is None:
            return
        outcome = await self.library.load(source, series, lambda _: None)
        if isinstance(outcome, Failed):
            self._notices.show(self._explain(outcome.error))
        elif isinstance(outcome, Done):
            self.loaded_beside.emit(outcome.value, cell)


def _counterpart(
    source: Source, series: SeriesSummary, *, exact: bool = False
) -> SeriesSummary | None:
    """What `series` of an earlier look has become: the stack with most of its files."""
    files = set(series.files)
    own = [s for s in source.series if s.key == series.key and s.is_volume]
    best = max(own, key=lambda s: len(files & set(s.files)), default=None)
    if best is None or (exact and set(best.files) != files):
        return None
    return best if files & set(best.files) else None
