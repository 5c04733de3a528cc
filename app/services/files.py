"""Writes small files, texts and pictures, on the worker for files."""

from __future__ import annotations

from pathlib import Path

from app.services.jobs import Context, Jobs, Lane
from app.viewmodels.work import Job


class TextFiles:
    """Where exports go."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def save(self, path: Path, content: str | bytes) -> Job[Path]:
        """Write `content` (text as UTF-8), replacing the file whole or not at all."""
        data = content.encode() if isinstance(content, str) else content

        def work(context: Context) -> Path:
            draft = path.with_name(f".{path.name}.part")
            draft.write_bytes(data)
            draft.replace(path)
            return path

        return self._jobs.start(Lane.FILES, work)
