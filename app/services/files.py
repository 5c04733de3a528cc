"""Writes exports, texts and pictures on the worker for files, whole or not at all."""

from __future__ import annotations

import itertools
from pathlib import Path

from app.services.jobs import Context, Jobs, Lane
from app.viewmodels.core.work import Job
from med2e3.files import first_free, write_whole


class TextFiles:
    """Where exports go."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def save(self, path: Path, content: str | bytes) -> Job[Path]:
        """Write `content` (text as UTF-8), replacing the file whole or not at all."""

        def work(context: Context) -> Path:
            write_whole(path, content)
            return path

        return self._jobs.start(Lane.FILES, work)

    def save_beside(self, path: Path, content: bytes) -> Job[Path]:
        """Write `content`, under another name where a file has this one: the path in the end."""

        def work(context: Context) -> Path:
            # Chosen by the one worker that writes, or two files on their way would get one name.
            free = free_name(path)
            write_whole(free, content)
            return free

        return self._jobs.start(Lane.FILES, work)


def free_name(path: Path) -> Path:
    """`path`, or the first of name-2, name-3, … that no file has."""
    numbered = (path.with_name(f"{path.stem}-{k}{path.suffix}") for k in itertools.count(2))
    return first_free(itertools.chain([path], numbered))
