"""Files that a published checkpoint leaves on the hub: found on this computer, never fetched.

Knows nothing of what the files mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from med2e3.checkpoints.store import find_installed
from med2e3.errors import CheckpointError


@dataclass(frozen=True)
class Hub:
    """Looks in `folder` (of `owner/name` folders), then among downloads and in the hub's cache."""

    folder: Path | None = None

    def find(self, repos: Sequence[str], filename: str) -> Path | None:
        """The first of `repos` that has the file."""
        for repo in repos:
            for folder in self._places(repo):
                if (folder / filename).is_file():
                    return folder / filename
        return None

    def need(self, repos: Sequence[str], filename: str, what: str) -> Path:
        """As `find`; raises `CheckpointError` saying where the file must be put."""
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
        """The folder of a hub id, if it is on this computer."""
        return next(iter(self._places(name)), None)

    def _places(self, repo: str) -> list[Path]:
        own = [] if self.folder is None else [self.folder.joinpath(*repo.split("/"))]
        installed = find_installed(repo)
        candidates = own if installed is None else [*own, installed]
        return [place for place in candidates if place.is_dir()]
