"""Scan a path for series, choose one and load its volume."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from med2e3.errors import InputError, SeriesChoiceError
from med2e3.io.finding import find, find_several
from med2e3.io.series import (
    Grouping,
    Groupings,
    IndexedSeries,
    ScanResult,
    SeriesSummary,
    SkippedFile,
    also_named,
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

    def grouped(self, grouping: Grouping | str, series: SeriesSummary | None = None) -> Source:
        """The same source with the images of one series, or of all, stacked as `grouping` says.

        Raises `SeriesChoiceError` for a word that is no grouping.
        """
        way = _grouping(grouping)
        if way is Grouping.APART:
            return self
        chosen = self.series if series is None else (series,)
        return self.regrouped({one.key: way for one in chosen})


def _grouping(word: Grouping | str) -> Grouping:
    try:
        return Grouping(word)
    except ValueError as error:
        words = ", ".join(Grouping)
        raise SeriesChoiceError(
            f"{word!r} is no way to group images. Choose one of: {words}."
        ) from error


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
    grouping: Grouping | str = Grouping.APART,
    resample_gaps: bool = False,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Volume:
    """The volume at `path`: a DICOM folder or file, DICOMDIR, ZIP, NIfTI, NRRD, MetaImage, .npy.

    Of several series the largest CT volume opens and a warning names the others; `series` picks by
    SeriesInstanceUID, series number, what splits stacks of one series ("kernel B70f"), 1-based
    place in `list_series` ("#2" is always a place), or a summary. `grouping` "joined" puts images
    of the series together that differ in kernel, thickness or type; "acquisitions" splits those
    that lie end to end. `resample_gaps` opens a series with missing slices by interpolating.
    Raises `ImageReadError`, `GeometryError`, `SeriesChoiceError`, `Cancelled`, or `ResourceError`
    where a ZIP needs more disk than is free.
    """
    watch = Watch(progress, cancelled)
    source = Source(Path(path), find(Path(path), watch.stage(0.0, SCAN_SHARE)))
    source, chosen = _chosen(source, series, _grouping(grouping))
    volume = source.load(chosen, watch.stage(SCAN_SHARE, 1.0), resample_gaps=resample_gaps)
    if isinstance(series, SeriesSummary) or len(source.series) == 1:
        return volume
    if series is not None:
        also = also_named(source.scan.series, series, chosen)
        if not also:
            return volume
        names = ", ".join(f"#{source.series.index(one) + 1} {one.label}" for one in also)
        return volume.with_warnings(f"{chosen.label} is open. The same name have: {names}.")
    others = listing(source.series, leave_out=chosen)
    return volume.with_warnings(f"{chosen.label} is open. Also here: {others}.")


def _chosen(
    source: Source, wanted: str | SeriesSummary | None, way: Grouping
) -> tuple[Source, SeriesSummary]:
    """The series that `wanted` names, with its source, where images are grouped as `way` says.

    Of a series grouped another way it is the stack with most of the files. Raises what `choose`
    does, and `SeriesChoiceError` where the stack is no volume.
    """
    try:
        chosen = source.choose(wanted)
    except InputError:
        if way is Grouping.APART:
            raise
        again = source.grouped(way)  # what is no volume may become one
        return again, again.choose(wanted)
    if way is Grouping.APART:
        return source, chosen
    again = source.grouped(way, chosen)
    files = set(chosen.files)
    own = [one for one in again.series if one.key == chosen.key]
    best = max(own, key=lambda one: (len(files & set(one.files)), one.is_volume))
    if not best.is_volume:
        raise SeriesChoiceError(
            f"{best.label} cannot be grouped as {way}: {best.reason}. Open it as it was found."
        )
    return again, best


def list_series(
    path: str | Path,
    *,
    grouping: Grouping | str = Grouping.APART,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> tuple[SeriesSummary, ...]:
    """All series at `path`, also those that are no volume, in the order that `series=` counts.

    `grouping` is as in `load_volume`, for all series. Raises what `open_source` does, and
    `SeriesChoiceError` for a word that is no grouping.
    """
    source = open_source(path, progress=progress, cancelled=cancelled)
    return source.grouped(grouping).series
