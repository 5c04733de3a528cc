"""Keeps the reader's report of each series in a JSON file of the user's data folder.

Files are replaced whole or not at all. One that cannot be read is renamed, never written over.
Knows nothing of when something is saved.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from app.services.files import put_aside
from app.services.jobs import Context, Jobs, Lane
from app.viewmodels.core.work import Job
from app.viewmodels.report.autosave import SavedReport
from app.viewmodels.report.draft import Draft, Version
from med2e3.files import write_whole

#: The version of the form of a file; another one is not guessed at. Version 1 has no partial text
#: and no earlier versions. A program of that time must not read version 2: it would drop the mark.
FORMAT = 2
READABLE = (1, FORMAT)


class ReportStore:
    """The folder of reports; `folder` None keeps them while the program runs only."""

    def __init__(self, jobs: Jobs, folder: Path | None) -> None:
        self._jobs = jobs
        self._folder = folder

    def load(self, key: str) -> Job[SavedReport]:
        """Read the report of a series; a damaged file is put aside, never lost."""
        return self._jobs.start(Lane.NOTES, lambda _: self._load(key))

    def save(self, key: str, about: Mapping[str, str], draft: Draft | None) -> Job[Path]:
        """Replace the report of a series, whole or not at all; None removes it."""
        series = dict(about)
        content = None if draft is None else _encode(key, series, draft)

        def work(context: Context) -> Path:
            path = self._path(key)
            if self._folder is not None and content is None:
                path.unlink(missing_ok=True)
            elif self._folder is not None and content is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, content, durable=True)
            return path

        return self._jobs.start(Lane.NOTES, work)

    def _path(self, key: str) -> Path:
        series, _, place = key.partition(" ")
        where = hashlib.blake2b(place.encode(errors="surrogatepass"), digest_size=8).hexdigest()
        return (self._folder or Path()) / f"{series}{f'-{where}' if place else ''}.json"

    def _load(self, key: str) -> SavedReport:
        path = self._path(key)
        if self._folder is None or not path.exists():
            return SavedReport()
        try:
            return SavedReport(_decode(path.read_text(encoding="utf-8"), key))
        except (ValueError, KeyError, TypeError):
            return SavedReport(kept_aside=put_aside(path))


def _encode(key: str, series: dict[str, str], draft: Draft) -> str:
    content = {"format": FORMAT, "key": key, "series": series, **asdict(draft)}
    # Plain ASCII: a path that is no valid text may stand in the key.
    return json.dumps(content, indent=1) + "\n"


def _decode(text: str, key: str) -> Draft:
    content = json.loads(text)
    if content["format"] not in READABLE or content["key"] != key:
        raise ValueError("Another version wrote it, or it belongs to another series.")
    newest = _version({"partial": False, **content})
    earlier = tuple(_version(version) for version in content.get("earlier", ()))
    return Draft(newest.text, newest.author, newest.edited, newest.partial, earlier)


def _version(content: dict[str, Any]) -> Version:
    version = Version(*(content[field.name] for field in fields(Version)))
    texts, marks = (version.text, version.author), (version.edited, version.partial)
    if not (all(isinstance(x, str) for x in texts) and all(isinstance(x, bool) for x in marks)):
        raise TypeError("A text, its author, or whether it was edited is something else.")
    return version
