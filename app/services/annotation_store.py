"""Keeps what was drawn on each series in a JSON file of the user's data folder.

Files are replaced whole or not at all. One that cannot be read is renamed, never written over.
Knows nothing of when something is saved.
"""

from __future__ import annotations

from pathlib import Path

from app.services.jobs import Context, Jobs, Lane
from app.viewmodels.annotation.annotations import Stored
from app.viewmodels.annotation.codec import DamagedDocumentError, decode, encode
from app.viewmodels.annotation.model import Document
from app.viewmodels.core.identity import series_key
from app.viewmodels.core.work import Job
from med2e3.files import private_folder, put_aside, write_whole
from med2e3.volume import Volume


class AnnotationStore:
    """The folder of documents; `folder` None keeps them while the program runs only."""

    def __init__(self, jobs: Jobs, folder: Path | None) -> None:
        self._jobs = jobs
        self._folder = folder

    def load(self, volume: Volume) -> Job[Stored]:
        """Read the document of a volume's series; a damaged file is put aside, never lost."""
        return self._jobs.start(Lane.NOTES, lambda _: self._load(volume))

    def save(self, volume: Volume, key: str, document: Document) -> Job[Path]:
        """Replace the document of a series, whole or not at all."""
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
                private_folder(path.parent)
                write_whole(path, encode(document, key, about), durable=True, private=True)
            return path

        return self._jobs.start(Lane.NOTES, work)

    def _path(self, key: str) -> Path:
        return (self._folder or Path()) / f"{key}.json"

    def _load(self, volume: Volume) -> Stored:
        key = series_key(volume)
        path = self._path(key)
        if self._folder is None or not path.exists():
            return Stored(key, Document())
        try:
            return Stored(key, decode(path.read_text(encoding="utf-8"), key))
        except (DamagedDocumentError, UnicodeDecodeError) as error:
            cause = str(error) if isinstance(error, DamagedDocumentError) else "It is not text."
            return Stored(key, Document(), cause, put_aside(path))
