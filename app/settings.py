"""The preferences of the viewer: each declared once, kept in one JSON file.

Knows nothing of Qt or of who reads a preference. A damaged or missing file gives the defaults; a
preference of the wrong type is ignored, so that no version of the file can stop the start.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

#: Places remembered in the list of recently opened ones; what fits in a menu without scrolling.
RECENT_PLACES = 10


@dataclass
class Preferences:
    """Every preference, with its default. Types are `str`, `bool`, `int` or `list` of `str`."""

    #: "dark" (reading room) or "light".
    theme: str = "dark"
    #: Name or folder of the model loaded at the start; empty: none.
    model: str = "demo"
    #: Folder that the open dialog starts in.
    last_folder: str = ""
    #: Opened places, the latest first.
    recent: list[str] = field(default_factory=list)
    #: Lines through the common point of the three planes.
    crosshair: bool = True
    #: Slice, position and window in the corners of each view.
    corner_text: bool = True
    #: How the centre is divided (`app.viewmodels.layouts.Kind`), and the user's own division.
    layout: str = "grid"
    custom_layout: str = ""
    #: Size and place of the window and of its panels, as Qt wrote them (base 64).
    window_geometry: str = ""
    splitters: str = ""


class Settings:
    """The preferences and the file they live in."""

    def __init__(self, file: Path | None = None) -> None:
        """`file` None: nothing is read or written (tests, screenshots, benchmarks)."""
        self._file = file
        self.values = _read(file) if file is not None else Preferences()

    def remember_place(self, path: Path) -> None:
        """Put `path` at the head of the recent places and keep its folder for the next dialog."""
        place = str(path)
        others = [p for p in self.values.recent if p != place]
        self.values.recent = [place, *others][:RECENT_PLACES]
        self.values.last_folder = str(path.parent)
        self.save()

    def forget_places(self) -> None:
        """Empty the list of recent places."""
        self.values.recent = []
        self.save()

    def save(self) -> None:
        """Write the file whole or not at all; a read-only disk loses preferences, nothing else."""
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            draft = self._file.with_suffix(f".{os.getpid()}.tmp")
            draft.write_text(json.dumps(asdict(self.values), indent=2), encoding="utf-8")
            draft.replace(self._file)


def _read(file: Path) -> Preferences:
    values = Preferences()
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return values
    if not isinstance(stored, dict):
        return values
    for preference in fields(Preferences):
        value = stored.get(preference.name)
        if type(value) is type(getattr(values, preference.name)):
            setattr(values, preference.name, value)
    values.recent = [place for place in values.recent if isinstance(place, str)]
    return values
