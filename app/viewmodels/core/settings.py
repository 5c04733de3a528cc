"""The preferences in use: whoever shows one listens to `Settings.changed`. Knows no widgets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from app import settings as stored
from app.viewmodels.core.signal import Signal

#: Places remembered in the list of recently opened ones; what fits in a menu without scrolling.
RECENT_PLACES = 10

#: Commands remembered by the palette; more than anybody scans at its top.
RECENT_COMMANDS = 12


class Settings:
    """The preferences and the file that they are kept in."""

    def __init__(self, file: Path | None = None) -> None:
        """`file` None: nothing is read or written (tests, screenshots, benchmarks)."""
        self._file = file
        self.values = stored.Preferences() if file is None else stored.read(file)
        #: Tells the name of each preference that has another value now.
        self.changed: Signal[[str]] = Signal()

    def set(self, name: str, value: object) -> None:
        """Change a preference; `save` writes the file."""
        self.update({name: value})

    def update(self, values: Mapping[str, object]) -> None:
        """Change preferences by their names; listeners are told when all of them are changed."""
        changed = [name for name, value in values.items() if self.values.get(name) != value]
        for name in changed:
            self.values.put(name, values[name])
        for name in changed:
            self.changed.emit(name)

    def save(self) -> None:
        """Write the file."""
        if self._file is not None:
            stored.write(self._file, self.values)

    # --- what is remembered ------------------------------------------------------------------

    def remember_place(self, path: Path) -> None:
        """Put `path` at the head of the recent places and keep its folder for the next dialog."""
        recent = _first(str(path), self.values.recent)[:RECENT_PLACES]
        self.update({"recent": recent, "last_folder": str(path.parent)})
        self.save()

    def last_place(self) -> Path | None:
        """What to open at the start: the last place, if that is wanted and it is still there."""
        wanted = self.values.restore_study and self.values.recent
        place = Path(self.values.recent[0]) if wanted else None
        return place if place is not None and place.exists() else None

    def forget_places(self) -> None:
        """Empty the list of recent places."""
        self.set("recent", [])
        self.save()

    def remember_command(self, name: str) -> None:
        """Put a command at the head of those that the palette offers first."""
        recent = _first(name, self.values.recent_commands)[:RECENT_COMMANDS]
        self.set("recent_commands", recent)
        self.save()


def _first(entry: str, entries: list[str]) -> list[str]:
    return [entry, *(other for other in entries if other != entry)]
