"""Writes small files whole or not at all; exports, texts and pictures, on the worker for files."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

from app.services.jobs import Context, Jobs, Lane
from app.viewmodels.core.work import Job
from med2e3.files import write_whole


class TextFiles:
    """Writes exports on the worker for files."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def save(self, path: Path, content: str | bytes) -> Job[Path]:
        """Write `content` (text as UTF-8), replacing the file whole or not at all."""
        data = content.encode() if isinstance(content, str) else content

        def work(context: Context) -> Path:
            write_whole(path, data)
            return path

        return self._jobs.start(Lane.FILES, work)

    def save_beside(self, path: Path, content: bytes) -> Job[Path]:
        """Write `content` under a name that no file has; the outcome is the path in the end."""

        def work(context: Context) -> Path:
            # Chosen by the one worker that writes, or two files on their way would get one name.
            free = free_name(path)
            write_whole(free, content)
            return free

        return self._jobs.start(Lane.FILES, work)


def free_name(path: Path) -> Path:
    """`path`, or the first of name-2, name-3, … that no file has."""
    numbered = (path.with_name(f"{path.stem}-{k}{path.suffix}") for k in itertools.count(2))
    return _first_free(itertools.chain([path], numbered))


def put_aside(path: Path) -> Path:
    """Rename a JSON file to the first free name for damaged ones beside it."""
    names = (path.with_name(f"{path.stem}.damaged-{k}.json") for k in itertools.count(1))
    return path.rename(_first_free(names))


def _first_free(paths: Iterable[Path]) -> Path:
    return next(path for path in paths if not path.exists())
