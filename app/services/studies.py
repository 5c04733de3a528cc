"""Scans paths, loads series, makes thumbnails and reads headers on workers. No widgets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.services.jobs import Context, Jobs, Lane
from app.services.thumbnails import thumbnail, thumbnail_of_single
from app.viewmodels.core.work import Job, Listener
from app.viewmodels.study.study import Preview, SoFar, Thumbnail

if TYPE_CHECKING:
    from med2e3.io import SeriesSummary, Source
    from med2e3.io.series import Groupings, IndexedSeries, SliceSource
    from med2e3.io.single import Single
    from med2e3.io.tags import Tag
    from med2e3.volume import Volume

#: How the bundled application, which has no `python -m`, is called to decode (`app.__main__`).
DECODE_FRAMES = ("--decode-frames",)

# The readers are imported where they are used: they take a third of a second, and the window is on
# the screen by then.


class Studies:
    """Reads DICOM, NIfTI and the other formats of `med2e3.io`."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def scan(self, paths: Sequence[Path], listener: Listener) -> Job[Source]:
        """What is at `paths`, from headers alone; events: `Progress`, `SoFar`."""
        return self._jobs.start(Lane.SCAN, lambda context: _scan(paths, context), listener)

    def load(
        self, source: Source, series: SeriesSummary, listener: Listener, *, resample: bool = False
    ) -> Job[Volume]:
        """The volume of a series of `source`; events: `Progress`, `Preview`."""
        return self._jobs.start(
            Lane.FILES, lambda context: _load(source, series, context, resample), listener
        )

    def regroup(self, source: Source, groupings: Groupings) -> Job[Source]:
        """The series of `source` put together in another way."""
        return self._jobs.start(Lane.SCAN, lambda _: source.regrouped(groupings))

    def thumbnails(self, source: Source, known: set[Path], listener: Listener) -> Job[None]:
        """One picture of each series; events: `Thumbnail`. Those in `known` are not made again."""
        return self._jobs.start(
            Lane.SCAN, lambda context: _thumbnails(source, known, context), listener
        )

    def tags(self, source: SliceSource) -> Job[tuple[Tag, ...]]:
        """The header of the file that a slice is from."""
        return self._jobs.start(Lane.FILES, lambda _: _tags(source))

    def single(self, source: Source, series: SeriesSummary, number: int) -> Job[Single]:
        """An image or report of a series that is no volume."""
        return self._jobs.start(Lane.FILES, lambda _: _single(source, series, number))


def start_decoding() -> None:
    """Start the process that decodes compressed images: the first one need not wait for it."""
    _decode_pool().warm()


def _decode_pool() -> ModuleType:
    """The module, which knows now how the bundle is called to decode."""
    from med2e3.io.dicom import decode_pool

    decode_pool.frozen_arguments = DECODE_FRAMES
    return decode_pool


def _scan(paths: Sequence[Path], context: Context) -> Source:
    from med2e3.io import open_source

    _decode_pool()
    return open_source(
        *paths,
        progress=context.progress,
        cancelled=context.cancelled,
        so_far=lambda source: context.emit(SoFar(source)),
    )


def _load(source: Source, series: SeriesSummary, context: Context, resample: bool) -> Volume:
    from med2e3.io import Watch
    from med2e3.io.budget import check_room

    check_room(source, series)
    watch = Watch(
        context.progress,
        context.cancelled,
        first_look=lambda volume: context.emit(Preview(volume)),
    )
    volume = source.load(series, watch, resample_gaps=resample)
    _ = volume.value_range  # reads every voxel once, here and not on the thread of the window
    return volume


def _thumbnails(source: Source, known: set[Path], context: Context) -> None:
    for indexed in source.scan.series:
        if context.cancelled():
            return
        if not indexed.slices or (indexed.middle is None and indexed.singles is None):
            continue
        key = indexed.slices[len(indexed.slices) // 2].path
        if key in known:
            continue
        try:
            context.emit(Thumbnail(key, _thumbnail(indexed)))
        except Exception:  # a damaged image has no thumbnail; opening it will say why
            context.emit(Thumbnail(key, None))


def _thumbnail(indexed: IndexedSeries) -> NDArray[np.uint8]:
    if indexed.singles is not None:
        return thumbnail_of_single(indexed.singles.read((indexed.singles.count - 1) // 2))
    assert indexed.middle is not None
    return thumbnail(indexed.middle(), indexed.summary.info)


def _single(source: Source, series: SeriesSummary, number: int) -> Single:
    singles = source.indexed(series).singles
    assert singles is not None
    return singles.read(number)


def _tags(source: SliceSource) -> tuple[Tag, ...]:
    from med2e3.io.tags import read_tags

    return read_tags(source.path)
