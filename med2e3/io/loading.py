"""From a path to a volume: which reader takes it, and which of several series opens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from med2e3.errors import ImageReadError
from med2e3.io import nifti, npy
from med2e3.io.dicom import find_dicom
from med2e3.io.dicom_headers import is_dicom
from med2e3.io.series import Findings, Found, SeriesSummary, choose, listing
from med2e3.io.watch import IsCancelled, Progress, Watch
from med2e3.volume import Volume

#: How much of the work is looking at headers.
SCAN_SHARE = 0.3


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
    place = Path(path)
    watch = Watch(progress, cancelled)
    findings = _find(place, watch.stage(0.0, SCAN_SHARE))
    found = choose(findings.series, series, str(place))
    volume = found.load(watch.stage(SCAN_SHARE, 1.0), resample_gaps)
    others = [f for f in findings.series if f is not found]
    sentences = [*findings.notes, *(_others_note(found, others) if series is None else [])]
    return replace(volume, source=str(place), warnings=(*sentences, *volume.warnings))


def list_series(
    path: str | Path,
    *,
    progress: Progress | None = None,
    cancelled: IsCancelled | None = None,
) -> tuple[SeriesSummary, ...]:
    """Every series at `path`, also those that are no volume, in the order that `series=` counts."""
    findings = _find(Path(path), Watch(progress, cancelled))
    return tuple(f.summary for f in findings.series)


def _others_note(found: Found, others: list[Found]) -> list[str]:
    if not others:
        return []
    return [f"{found.summary.label} is open. Also here: {listing([o.summary for o in others])}."]


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
