"""Keeps what was drawn on each series in a JSON file of the user's data folder.

Files are replaced whole or not at all. One that cannot be read is renamed, never written over. What
another window wrote since is merged with what was drawn here. Knows nothing of when something is
saved.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from app.services.jobs import Context, Jobs, Lane
from app.viewmodels.annotation.annotations import Stored
from app.viewmodels.annotation.codec import DamagedDocumentError, decode, encode
from app.viewmodels.annotation.merging import merged
from app.viewmodels.annotation.model import Document
from app.viewmodels.core.identity import series_key
from app.viewmodels.core.work import Job
from med2e3.files import locked, private_folder, put_aside, write_whole
from med2e3.volume import Volume


@dataclass
class _Known:
    """What this window had drawn when it last read or wrote a file, and which state that was.

    `content` is what the file held then. `twins` are identifiers of what both windows changed.
    """

    ours: Document = field(default_factory=Document)
    content: Document = field(default_factory=Document)
    state: tuple[int, ...] = ()
    twins: dict[str, str] = field(default_factory=dict)


class AnnotationStore:
    """A folder with one file a series; `folder` None keeps nothing beyond the run."""

    def __init__(self, jobs: Jobs, folder: Path | None) -> None:
        self._jobs = jobs
        self._folder = folder
        self._known: dict[str, _Known] = {}  # used on the worker for notes alone

    def load(self, volume: Volume) -> Job[Stored]:
        """Read the document of a volume's series; a damaged file is put aside, never lost."""
        return self._jobs.start(Lane.NOTES, lambda _: self._load(volume))

    def save(self, volume: Volume, key: str, document: Document) -> Job[Path]:
        """Write what was drawn on a series, whole or not at all, with what another window drew."""
        info = volume.info
        about = {
            "series_uid": info.series_uid,
            "study_uid": info.study_uid,
            "frame_of_reference_uid": info.frame_of_reference_uid,
            "description": volume.name,
        }

        def work(context: Context) -> Path:
            path = self._path(key)
            if self._folder is not None:
                self._write(path, key, document, about)
            return path

        return self._jobs.start(Lane.NOTES, work)

    def _write(self, path: Path, key: str, document: Document, about: dict[str, str]) -> None:
        private_folder(path.parent)
        known = self._known.setdefault(key, _Known())
        with locked(path.parent.with_name(f".{path.parent.name}.lock")):
            content = merged(self._theirs(path, key, known), known.ours, document, known.twins)
            write_whole(path, encode(content, key, about), durable=True, private=True)
            known.ours, known.content, known.state = document, content, _state(path)

    def _theirs(self, path: Path, key: str, known: _Known) -> Document:
        """What the file holds now; what it held where it is as it was, gone or damaged."""
        if not path.exists():
            return known.ours
        if _state(path) == known.state:
            return known.content
        try:
            return decode(path.read_text(encoding="utf-8"), key)
        except (DamagedDocumentError, UnicodeDecodeError):
            put_aside(path)
            return known.ours

    def _path(self, key: str) -> Path:
        return (self._folder or Path()) / f"{key}.json"

    def _load(self, volume: Volume) -> Stored:
        key = series_key(volume)
        path = self._path(key)
        if self._folder is None or not path.exists():
            return Stored(key, Document())
        try:
            state = _state(path)
            document = decode(path.read_text(encoding="utf-8"), key)
        except (DamagedDocumentError, UnicodeDecodeError) as error:
            cause = str(error) if isinstance(error, DamagedDocumentError) else "It is not text."
            return Stored(key, Document(), cause, put_aside(path))
        self._known[key] = _Known(document, document, state)
        return Stored(key, document)


def _state(path: Path) -> tuple[int, ...]:
    """What differs when a file was written again: each write makes another file."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
