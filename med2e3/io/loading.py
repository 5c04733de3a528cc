"""Scan a path for series, choose one and load its volume."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from med2e3.io.finding import find, find_several
from med2e3.io.series import (
    Groupings,
    IndexedSeries,
    ScanResult,
    SeriesSummary,
    SkippedFile,
    choose,
    listing,
    skipped_sentence,
)
from med2e3.io.watch import IsCancelled, Progress, Watch
from med2e3.volume import Volume

#: Share of the progress of `load_volume` that reads headers.
SCAN_SHARE = 0.3


@dataclass(frozen=True)
class Source:
    """A scanned path; its series load without another scan.

    `others` are further paths that were scanned with it.
    """

    path: Path
    scan: ScanResult
    others: tuple[Path, ...] = ()

    @property
    def series(self) -> tuple[SeriesSummary, ...]:
        """All series, also those that are no volume, in the order of `choose`."""
        return tuple(one.summary for one in self.scan.series)

    @property
    def skipped(self) -> tuple[SkippedFile, ...]:
        """The files that no volume shows."""
        return self.scan.skipped

    @property
    def skipped_sentence(self) -> str:
        """The number of skipped files by their kinds; empty for none."""
        return skipped_sentence(self.skipped)

    def choose(self, wanted: str | SeriesSummary | None = None) -> SeriesSummary:
        """The series that `wanted` names, or the largest CT volume. Raises `SeriesChoiceError`."""
        return choose(self.scan.series, wanted, str(self.path)).summary

    def indexed(self, series: SeriesSummary) -> IndexedSeries:
        """The series with its loader and files; raises `KeyError` for one of another source."""
        for one in self.scan.series:
            if one.summary is series:
                return one
        raise KeyError(series.label)

    def load(self, series: SeriesSummary, watch: Watch, *, resample_gaps: bool = False) -> Volume:
        """The volume of one of `series`; its warnings include the notes of the scan."""
        volume = self.indexed(series).load(watch, resample_gaps)
        sentences = (*self.scan.notes, *volume.warnings)
        return volume.described(str(self.path), sentences)

    def regrouped(self, groupings: Groupings) -> Source:
        """The same source with its images stacked as `groupings` says, by `SeriesSummary.key`."""
        if self.scan.regroup is None:
            return self
        again = self.scan.regroup(groupings)
        keys = {summary.key for summary in self.series}
        series = tuple(one for one in again.series if one.summary.key in keys)
        skipped = again.skipped if self.scan.skipped else ()
        return replace(self, scan=replace(self.scan, series=series, skipped=skipped))


def open_source(
    path: str | Path,
    *others: str | Path,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
    so_far: Callable[[Source], None] | None = None,
) -> Source:
    """Scan the headers of all files at `path` and `others`, without pixels.

    During the scan `so_far` receives the source as far as it is known. Raises `ImageReadError`,
    `Cancelled`, or `ResourceError` where a ZIP needs more disk than is free.
    """
    paths = tuple(Path(p) for p in (path, *others))

    def source(scan: ScanResult) -> Source:
        return Source(paths[0], scan, paths[1:])

    tell = None if so_far is None else lambda scan: so_far(source(scan))
    return source(find_several(paths, Watch(progress, cancelled, so_far=tell)))


def load_volume(
    path: str | Path,
    *,
    series: str | SeriesSummary | None = None,
    resample_gaps: bool = False,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Volume:
    """The volume at `path`: a DICOM folder or file, DICOMDIR, ZIP, NIfTI, NRRD, MetaImage, .npy.

    Of several series the largest CT volume opens and a warning names the others; `series` picks by
    SeriesInstanceUID, series number, 1-based place in `list_series` ("#2" is always a place), or a
    summary. `resample_gaps` opens a series with missing slices by interpolating.
    Raises `ImageReadError`, `GeometryError`, `SeriesChoiceError`, `Cancelled`, or `ResourceError`
    where a ZIP needs more disk than is free.
    """
    watch = Watch(progress, cancelled)
    source = Source(Path(path), find(Path(path), watch.stage(0.0, SCAN_SHARE)))
    chosen = source.choose(series)
    volume = source.load(chosen, watch.stage(SCAN_SHARE, 1.0), resample_gaps=resample_gaps)
    if series is not None or len(source.series) == 1:
        return volume
    others = listing(source.series, leave_out=chosen)
    return volume.with_warnings(f"{chosen.label} is open. Also here: {others}.")


def list_series(
    path: str | Path,
    *,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> tuple[SeriesSummary, ...]:
    """All series at `path`, also those that are no volume, in the order that `series=` counts.

    Raises what `open_source` does.
    """
    return open_source(path, progress=progress, cancelled=cancelled).series
