"""The result of a scan: its series, the files it skipped, and the choice of one series.

Knows nothing of file formats.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from med2e3.errors import ImageReadError, SeriesChoiceError
from med2e3.io.single import Singles
from med2e3.io.watch import Watch
from med2e3.volume import SeriesInfo, Volume
from med2e3.words import counted


class Grouping(StrEnum):
    """How the images of one series are put into stacks; a value is its name in Python and CLI."""

    APART = "apart"  # split by all that a radiologist would not want mixed
    JOINED = "joined"  # not split where images fit one grid
    ACQUISITIONS = "acquisitions"  # split as apart, and by acquisitions that lie end to end


Groupings = Mapping[tuple[str, ...], Grouping]


@dataclass(frozen=True)
class SeriesFacts:
    """Facts of a series from its headers; empty or None where these state nothing.

    `step_mm` is the distance from slice to slice, `thickness_mm` the declared slice thickness.
    `phase` is the contrast phase, guessed from the words `phase_from`. `lossy` names the lossy
    compression. `trouble` says what is wrong with the positions.
    """

    plane: str = ""
    thickness_mm: float | None = None
    step_mm: float | None = None
    pixel_mm: float | None = None
    kernel: str = ""
    phase: str = ""
    phase_from: str = ""
    lossy: str = ""
    study_time: str = ""
    trouble: str = ""
    is_tilted: bool = False


@dataclass(frozen=True)
class SliceSource:
    """The origin of a slice: file, frame in it, SOP Instance UID, and position in LPS mm."""

    path: Path
    frame: int = 0
    uid: str = ""
    position_mm: tuple[float, ...] = ()


class Defect(Enum):
    """What is wrong with a file, whatever it may have been."""

    NONE = "none"
    EMPTY = "empty"
    DAMAGED = "damaged"


@dataclass(frozen=True)
class SkippedFile:
    """A file that no volume shows: what kind it is ("dose report (SR)"), and why.

    `kind` and `reason` are for people to read; `defect` is for decisions.
    """

    path: Path
    kind: str
    reason: str
    defect: Defect = Defect.NONE


@dataclass(frozen=True)
class SeriesSummary:
    """One series as its headers describe it, before any pixel is read.

    `count` is the number of images, `shape` is (slices, rows, columns). `reason` says why a series
    is no volume, in words that finish "not a volume: ...". `part` names one of several stacks that
    share a SeriesInstanceUID and a `key`; `split_by` says what splits them ("kernel: B30f / B70f").
    `ways` are the groupings that would change these stacks.
    `is_scout` says that the images are localizers, which are never a volume. `kind` says what a
    series is that is no volume ("dose page"), `seen` how many images or reports of it can be seen
    one by one.
    """

    info: SeriesInfo
    count: int
    shape: tuple[int, int, int]
    is_volume: bool = True
    reason: str = ""
    files: tuple[Path, ...] = ()
    part: str = ""
    split_by: str = ""
    key: tuple[str, ...] = ()
    ways: tuple[Grouping, ...] = ()
    facts: SeriesFacts = SeriesFacts()
    is_scout: bool = False
    kind: str = ""
    seen: int = 0

    @property
    def label(self) -> str:
        """The name of the series in a sentence."""
        info = self.info
        words = [info.series_number, f'"{info.series_description}"' * bool(info.series_description)]
        if not any(words):
            words = [info.series_uid or (self.files[0].name if self.files else "without a name")]
        return " ".join(["Series", *filter(None, words), *([f"({self.part})"] * bool(self.part))])

    @property
    def state(self) -> str:
        """Why the series does not simply open; empty where it does."""
        if not self.is_volume:
            return f"not a volume: {self.reason}"
        return "slices are uneven or missing; opens with resampling" * bool(self.facts.trouble)

    @property
    def voxels(self) -> int:
        """Number of voxels of the whole series."""
        return self.shape[0] * self.shape[1] * self.shape[2]


@dataclass(frozen=True)
class IndexedSeries:
    """A series and how to load it.

    `load` takes a watch and whether to resample over gaps. `slices` are the origins of the slices
    in their order. `middle` reads the values (row, column) of an image in the middle; None where
    that would read more than one image. `bytes_needed` is the memory at the height of loading; 0
    where it is not known. `check` raises `ImageReadError` where the files cannot hold the series.
    `singles` are the images or reports of a series that is no volume.
    """

    summary: SeriesSummary
    load: Callable[[Watch, bool], Volume]
    slices: tuple[SliceSource, ...] = ()
    middle: Callable[[], NDArray[np.generic]] | None = None
    bytes_needed: int = 0
    check: Callable[[], object] = lambda: None
    singles: Singles | None = None


@dataclass(frozen=True)
class ScanResult:
    """All series of a folder, file or archive, and notes about its other files.

    `holds` is an object that must live as long as the series: unpacked files, for example.
    `skipped` are the files that no volume shows. `regroup` gives the result for other groupings, by
    `SeriesSummary.key`.
    """

    series: tuple[IndexedSeries, ...]
    notes: tuple[str, ...] = ()
    holds: object = None
    skipped: tuple[SkippedFile, ...] = ()
    regroup: Callable[[Groupings], ScanResult] | None = None


def skipped_sentence(files: Sequence[SkippedFile]) -> str:
    """The number of skipped files by their kinds; empty for none."""
    if not files:
        return ""
    kinds = Counter(file.kind for file in files)
    parts = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
    return f"{counted(len(files), 'file')} left out: {parts}"


def listing(series: Sequence[SeriesSummary], leave_out: SeriesSummary | None = None) -> str:
    """All series but one, numbered as `choose` takes them."""
    rows = []
    for k, one in enumerate(series, start=1):
        if one is leave_out:
            continue
        state = f"; {one.state}" if one.state else ""
        rows.append(f"#{k} {one.label} ({counted(one.count, 'image')}{state})")
    return "; ".join(rows)


def choose(
    found: Sequence[IndexedSeries], wanted: str | SeriesSummary | None, where: str
) -> IndexedSeries:
    """The series that `wanted` names, or the largest CT volume.

    A name is a SeriesInstanceUID, else a series number, else what splits a stack from others of its
    series ("kernel B70f"), else a 1-based place in the list ("#2" is always a place). Of several
    stacks with one name the largest is taken. Raises `SeriesChoiceError` or, if nothing here is a
    volume, `ImageReadError`.
    """
    summaries = [one.summary for one in found]
    if wanted is None:
        return _largest(found, where)
    if isinstance(wanted, SeriesSummary):
        matches = [f for f in found if _same(f.summary, wanted)]
        name = wanted.label
    else:
        name = wanted.strip()
        matches = _matching(found, name)
    volumes = [f for f in matches if f.summary.is_volume]
    if not matches:
        raise SeriesChoiceError(
            f"There is no series {name!r} in {where}. Choose one of: {listing(summaries)}."
        )
    if not volumes:
        chosen = matches[0].summary
        raise SeriesChoiceError(
            f"{chosen.label} is not a volume: {chosen.reason}. "
            f"Choose another of: {listing(summaries)}."
        )
    uids = {f.summary.info.series_uid for f in volumes}
    if len(uids) > 1:
        raise SeriesChoiceError(
            f"{len(volumes)} series in {where} have the number {name}. "
            f"Choose by UID or by place in the list: {listing(summaries)}."
        )
    return max(volumes, key=lambda f: f.summary.voxels)


def also_named(
    found: Sequence[IndexedSeries], wanted: str, chosen: SeriesSummary
) -> list[SeriesSummary]:
    """The other volumes that `wanted` names as well: stacks of the series that was chosen."""
    matches = [f.summary for f in _matching(found, wanted.strip())]
    return [one for one in matches if one.is_volume and one is not chosen]


def _largest(found: Sequence[IndexedSeries], where: str) -> IndexedSeries:
    volumes = [f for f in found if f.summary.is_volume]
    if not volumes:
        raise ImageReadError(
            f"No volume in {where}: {listing([f.summary for f in found])}. "
            "Open a folder with the slices of a CT series."
        )
    return max(volumes, key=lambda f: (f.summary.info.may_be_ct, f.summary.voxels))


def _matching(found: Sequence[IndexedSeries], name: str) -> list[IndexedSeries]:
    by_uid = [f for f in found if f.summary.info.series_uid == name]
    by_number = [f for f in found if name and f.summary.info.series_number == name]
    plain = name.casefold()
    by_part = [f for f in found if plain and plain == f.summary.part.casefold()]
    position = name.removeprefix("#")
    listed = position.isdecimal() and len(position) < 10 and 0 < int(position) <= len(found)
    return by_uid or by_number or by_part or ([found[int(position) - 1]] if listed else [])


def _same(one: SeriesSummary, other: SeriesSummary) -> bool:
    return (one.info, one.part, one.shape) == (other.info, other.part, other.shape)
