"""From a path to a volume: which reader takes it, and which of several series opens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from med2e3.errors import ImageReadError
from med2e3.io import nifti, npy
from med2e3.io.dicom import find_dicom
from med2e3.io.dicom_headers import is_dicom
from med2e3.io.series import Findings, SeriesSummary, choose, listing
from med2e3.io.watch import IsCancelled, Progress, Watch
from med2e3.volume import Volume

#: How much of the work is looking at headers.
SCAN_SHARE = 0.3


@dataclass(frozen=True)
class Place:
    """What one look at a path found; its series load without another look."""

    path: Path
    findings: Findings

    @property
    def series(self) -> tuple[SeriesSummary, ...]:
        """Every series, also those that are no volume, in the order that `choose` counts."""
        return tuple(found.summary for found in self.findings.series)

    def choose(self, wanted: str | SeriesSummary | None = None) -> SeriesSummary:
        """The series that `wanted` names, or the largest CT volume. Raises `SeriesChoiceError`."""
        return choose(self.findings.series, wanted, str(self.path)).summary

    def load(self, series: SeriesSummary, watch: Watch, *, resample_gaps: bool = False) -> Volume:
        """The volume of one of `series`; its warnings include what the look noticed."""
        found = next(f for f in self.findings.series if f.summary is series)
        volume = found.load(watch, resample_gaps)
        sentences = (*self.findings.notes, *volume.warnings)
        return replace(volume, source=str(self.path), warnings=sentences)


def open_place(
    path: str | Path, *, progress: Progress | None = None, cancelled: IsCancelled | None = None
) -> Place:
    """Look at all headers at `path` and read no pixels. Raises `ImageReadError` or `Cancelled`."""
    return Place(Path(path), _find(Path(path), Watch(progress, cancelled)))


def load_volume(
    path: str | Path,
    *,
    series: str | SeriesSummary | None = None,
    resample_gaps: bool = False,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> Volume:
    """The volume at `path`: a DICOM folder or file, NIfTI, or .npy.

    Of several series the largest CT volume opens and a warning names the others; `series` picks by
    SeriesInstanceUID, series number, 1-based place in `list_series` ("#2" is always a place), or a
    summary. `resample_gaps` opens a series with missing slices by interpolating.
    Raises `ImageReadError`, `GeometryError`, `SeriesChoiceError` or `Cancelled`.
    """
    watch = Watch(progress, cancelled)
    place = Place(Path(path), _find(Path(path), watch.stage(0.0, SCAN_SHARE)))
    chosen = place.choose(series)
    volume = place.load(chosen, watch.stage(SCAN_SHARE, 1.0), resample_gaps=resample_gaps)
    others = [] if series is not None else [s for s in place.series if s is not chosen]
    return volume if not others else volume.with_warnings(_others_note(chosen, others))


def list_series(
    path: str | Path,
    *,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> tuple[SeriesSummary, ...]:
    """Every series at `path`, also those that are no volume, in the order that `series=` counts."""
    return open_place(path, progress=progress, cancelled=cancelled).series


def _others_note(chosen: SeriesSummary, others: list[SeriesSummary]) -> str:
    return f"{chosen.label} is open. Also here: {listing(others)}."


def _find(path: Path, watch: Watch) -> Findings:
    if not path.exists():
        raise ImageReadError(f"There is no file or folder {path}. Check the path.")
    if path.is_dir():
        return _find_in_folder(path, watch)
    name = path.name.lower()
    if name.endswith(nifti.ENDINGS):
        return nifti.find_nifti(path)
    if name.endswith(npy.ENDINGS):
        return npy.find_npy(path)
    if is_dicom(path):
        return find_dicom(sorted(p for p in path.parent.iterdir() if p.is_file()), watch)
    raise ImageReadError(
        f"{path} is not DICOM, and its name ends in no other format that can be read "
        "(.nii, .nii.gz, .npy). Open a DICOM folder or one of these."
    )


def _find_in_folder(path: Path, watch: Watch) -> Findings:
    files = sorted(p for p in path.rglob("*") if p.is_file())
    findings = find_dicom(files, watch)
    if not findings.series:
        raise ImageReadError(f"No image in {path} ({len(files)} files). Open a folder with DICOM.")
    return findings
