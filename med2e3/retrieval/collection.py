"""All volumes below a folder, whatever their formats: DICOM series, files, archives.

Knows nothing of what is done with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from med2e3.errors import ImageReadError, InputError
from med2e3.io import SeriesSummary, Source, Watch, open_source
from med2e3.io.suffixes import volume_suffixes
from med2e3.volume import Volume

Cancelled = Callable[[], bool]


@dataclass(frozen=True)
class Candidate:
    """One volume that has been seen but not read; `name` tells it from its neighbours."""

    name: str
    path: str
    source: Source
    series: SeriesSummary

    def load(self, cancelled: Cancelled | None = None) -> Volume:
        """Read it. Raises `InputError` or `Cancelled`."""
        return self.source.load(self.series, Watch(None, cancelled))


def find_candidates(
    folder: Path, cancelled: Cancelled | None = None
) -> tuple[list[Candidate], list[str]]:
    """Every volume below `folder`, and sentences about what cannot be read.

    Raises `ImageReadError` when it is no folder, or holds no volume at all.
    """
    if not folder.is_dir():
        raise ImageReadError(
            f"{folder} is no folder. Give the folder whose volumes to look through."
        )
    files = [f for f in sorted(folder.rglob("*")) if f.is_file() and _is_volume(f)]
    found: list[Candidate] = []
    unreadable: list[str] = []
    for file in files:
        _collect(file, folder, found, unreadable, cancelled)
    rest = [f for f in folder.rglob("*") if f.is_file() and f not in set(files)]
    if rest:
        _collect(folder, folder, found, unreadable if not files else [], cancelled, set(files))
    if not found:
        raise ImageReadError(" ".join(unreadable) or f"There is no volume below {folder}.")
    return found, unreadable


def _is_volume(file: Path) -> bool:
    return file.name.lower().endswith(volume_suffixes()) and not file.name.startswith(".")


def _collect(
    path: Path,
    folder: Path,
    found: list[Candidate],
    unreadable: list[str],
    cancelled: Cancelled | None,
    known: Iterable[Path] = (),
) -> None:
    """Adds the volumes at `path`; those whose files are `known` were added before."""
    try:
        source = open_source(path, cancelled=cancelled)
    except InputError as error:
        unreadable.append(str(error))
        return
    seen = set(known)
    volumes = [s for s in source.series if s.is_volume and not (s.files and seen & set(s.files))]
    for series in volumes:
        where = path if path.is_file() or not series.files else series.files[0].parent
        name = where.relative_to(folder).as_posix() if where != folder else folder.name
        many = path.is_dir() or len(volumes) > 1
        label = f"{name}: {series.label}" if many else name
        found.append(Candidate(label, str(where), source, series))
