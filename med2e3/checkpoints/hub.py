"""Finding hub files that a published checkpoint lacks, on this computer; none is fetched.

Knows nothing of what the files mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from med2e3.checkpoints.hashes import check_recorded
from med2e3.checkpoints.store import find_installed
from med2e3.errors import CheckpointError


@dataclass(frozen=True)
class Hub:
    """The hub files on this computer: `folder` (of `owner/name` folders), downloads, hub cache."""

    folder: Path | None = None

    def find(self, repos: Sequence[str], filename: str) -> Path | None:
        """The path of a file in the first of `repos` that has it; None if none has.

        Raises `CheckpointError` when the file was changed since its download.
        """
        for repo in repos:
            for folder in self._places(repo):
                if (folder / filename).is_file():
                    check_recorded(folder, [filename])
                    return folder / filename
        return None

    def need(self, repos: Sequence[str], filename: str, what: str) -> Path:
        """As `find`, but raises `CheckpointError`, which says where to put the missing file."""
        path = self.find(repos, filename)
        if path is not None:
            return path
        where = self.folder if self.folder is not None else Path("HUB")
        raise CheckpointError(
            f"{filename} ({what}) of {repos[-1]} is not on this computer, and the checkpoint does "
            f"not hold it. Put it at {where.joinpath(*repos[-1].split('/')) / filename} and pass "
            f"hub={str(where)!r}, or download it: med2e3 download {repos[-1]}."
        )

    def repo(self, name: str) -> Path | None:
        """The folder of a hub id on this computer; None if it is not there."""
        return next(iter(self._places(name)), None)

    def _places(self, repo: str) -> list[Path]:
        own = [] if self.folder is None else [self.folder.joinpath(*repo.split("/"))]
        installed = find_installed(repo)
        candidates = own if installed is None else [*own, installed]
        return [place for place in candidates if place.is_dir()]
