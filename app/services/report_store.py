"""Keeps the reader's report of each series in a JSON file of the user's data folder.

Files are replaced whole or not at all. One that cannot be read is renamed, never written over, and
a report that another window changed since is left, with the one of this window beside it. Knows
nothing of when something is saved.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from app.services.jobs import Context, Jobs, Lane
from app.viewmodels.core.work import Job
from app.viewmodels.report.autosave import BESIDE, SavedReport
from app.viewmodels.report.draft import Draft, Version
from med2e3.files import locked, name_aside, private_folder, put_aside, write_whole

#: The version of the form of a file; another one is not guessed at. Version 1 has no partial text
#: and no earlier versions. A program of that time must not read version 2: it would drop the mark.
FORMAT = 2
READABLE = (1, FORMAT)


class ReportStore:
    """The folder of reports; `folder` None keeps them while the program runs only."""

    def __init__(self, jobs: Jobs, folder: Path | None) -> None:
        self._jobs = jobs
        self._folder = folder
        # Used on the worker for notes alone: what each file held last, and whose name is another.
        self._held: dict[str, Draft | None] = {}
        self._beside: dict[str, Path] = {}

    def load(self, key: str) -> Job[SavedReport]:
        """Read the report of a series; a damaged file is put aside, never lost."""
        return self._jobs.start(Lane.NOTES, lambda _: self._load(key))

    def save(self, key: str, about: Mapping[str, str], draft: Draft | None) -> Job[Path]:
        """Replace the report of a series, whole or not at all; None removes it.

        The path has `BESIDE` in its name where another window's report is in the place of this one.
        """
        series = dict(about)
        kept = None if draft is None else replace(draft)  # as it is now, whenever it is written

        def work(context: Context) -> Path:
            return self._path(key) if self._folder is None else self._write(key, series, kept)

        return self._jobs.start(Lane.NOTES, work)

    def _write(self, key: str, series: dict[str, str], draft: Draft | None) -> Path:
        main = self._path(key)
        if draft is None and not main.parent.exists():
            return main
        private_folder(main.parent)
        with locked(main.parent.with_name(f".{main.parent.name}.lock")):
            path = self._beside.get(key, main)
            if path == main and self._is_anothers(main, key, draft):
                if draft is None:
                    return main  # what is there is not what was removed here
                path = self._beside[key] = name_aside(main, BESIDE.strip(".-"))
            if draft is None:
                path.unlink(missing_ok=True)
            else:
                write_whole(path, _encode(key, series, draft), durable=True, private=True)
        if path == main:
            self._held[key] = draft
        return path

    def _is_anothers(self, path: Path, key: str, draft: Draft | None) -> bool:
        """Whether the file holds a report that this window neither read nor wrote."""
        if not path.exists():
            return False
        try:
            there = _decode(path.read_text(encoding="utf-8"), key)
        except (ValueError, KeyError, TypeError, RecursionError):
            put_aside(path)
            return False
        return there not in (self._held.get(key), draft)

    def _path(self, key: str) -> Path:
        series, _, place = key.partition(" ")
        where = hashlib.blake2b(place.encode(errors="surrogatepass"), digest_size=8).hexdigest()
        return (self._folder or Path()) / f"{series}{f'-{where}' if place else ''}.json"

    def _load(self, key: str) -> SavedReport:
        path = self._path(key)
        if self._folder is None:
            return SavedReport()
        beside = tuple(sorted(path.parent.glob(f"{path.stem}{BESIDE}*.json")))
        if not path.exists():
            return SavedReport(beside=beside)
        try:
            draft = _decode(path.read_text(encoding="utf-8"), key)
        except (ValueError, KeyError, TypeError, RecursionError):
            return SavedReport(kept_aside=put_aside(path), beside=beside)
        self._held[key] = replace(draft)
        return SavedReport(draft, beside=beside)


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
