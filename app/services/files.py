"""Writes small files whole or not at all; exports, texts and pictures, on workers for files."""

from __future__ import annotations

import itertools
from pathlib import Path

from app.services.jobs import Context, Jobs, Lane
from app.viewmodels.core.exporting import Content
from app.viewmodels.core.work import Job
from med2e3.files import first_free, write_whole


class TextFiles:
    """Writes exports on the worker for files, and on one of its own what takes work to make."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def save(self, path: Path, content: Content) -> Job[str]:
        """Write `content` (text as UTF-8) or have it made, replacing the file whole or not at all.

        The outcome is what the user is told of the file: "" unless its maker has something to say.
        """
        if isinstance(content, (str, bytes)):
            return self._jobs.start(Lane.FILES, lambda context: _write(path, content))
        return self._jobs.start(Lane.EXPORTS, lambda context: content(path))

    def save_beside(self, path: Path, content: bytes) -> Job[Path]:
        """Write `content` under a name that no file has; the outcome is the path in the end."""

        def work(context: Context) -> Path:
            # Chosen by the one worker that writes, or two files on their way would get one name.
            free = free_name(path)
            write_whole(free, content)
            return free

        return self._jobs.start(Lane.FILES, work)


def _write(path: Path, content: str | bytes) -> str:
    write_whole(path, content)
    return ""


def free_name(path: Path) -> Path:
    """`path`, or the first of name-2, name-3, … that no file has."""
    numbered = (path.with_name(f"{path.stem}-{k}{path.suffix}") for k in itertools.count(2))
    return first_free(itertools.chain([path], numbered))
