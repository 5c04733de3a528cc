"""The preferences in use: whoever shows one listens to `Settings.changed`. Knows no widgets."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from app import settings as stored
from app.viewmodels.core.signal import Signal


class Settings:
    """The preferences and the file that they are kept in, which other windows may write too."""

    def __init__(self, file: Path | None = None) -> None:
        """`file` None: nothing is read or written (tests, screenshots, benchmarks)."""
        self._file = file
        self._said: list[str] = []
        self._failed = ""
        self._hear: Callable[[str], object] = self._said.append
        self.values = stored.Preferences()
        #: Tells the name of each preference that has another value now.
        self.changed: Signal[[str]] = Signal()
        if file is not None:
            try:
                found = stored.read(file)
            except OSError as error:
                self._file = None  # it would be replaced without having been read
                self._tell(
                    f"The preferences cannot be read from {file} ({error.strerror or error}); "
                    "this run uses the defaults and writes none."
                )
            else:
                self.values = found.values
                self._tell(found.said)
        self._before = copy.deepcopy(self.values)

    def listen(self, hear: Callable[[str], object]) -> None:
        """Call `hear` with each sentence about a damaged file, those of the start included."""
        self._hear = hear
        for sentence in self._said:
            hear(sentence)
        self._said.clear()

    def _tell(self, sentence: str) -> None:
        if sentence:
            self._hear(sentence)

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
        """Write what changed here since the last time that it could be written.

        A failure is said once; the next save tries again.
        """
        if self._file is None:
            return
        try:
            said = stored.save(self._file, self._before, self.values)
        except OSError as error:
            before, self._failed = self._failed, f"{error.strerror or error}"
            if self._failed != before:
                self._tell(
                    f"The preferences could not be saved in {self._file} ({self._failed}); they "
                    "are kept while the program runs, and each further change tries it again."
                )
        else:
            self._failed = ""
            self._before = copy.deepcopy(self.values)
            self._tell(said)

    @property
    def unkept(self) -> str:
        """Why the preferences could not be saved when that was tried last; empty: they were."""
        return self._failed

    # --- what is remembered ------------------------------------------------------------------

    def remember_place(self, path: Path, facts: Sequence[str] = ()) -> None:
        """Put `path` at the head of the recent places and keep its folder for the next dialog.

        `facts` are what is shown of it: patient, study, picture.
        """
        recent = _first(str(path), self.values.recent)[: stored.RECENT_PLACES]
        known = {**self.values.recent_facts, str(path): list(facts)}
        kept = {place: known[place] for place in recent if known.get(place)}
        self.update({"recent": recent, "recent_facts": kept, "last_folder": str(path.parent)})
        self.save()

    def last_place(self) -> Path | None:
        """What to open at the start: the last place, if that is wanted and it is still there."""
        wanted = self.values.restore_study and self.values.recent
        place = Path(self.values.recent[0]) if wanted else None
        return place if place is not None and place.exists() else None

    def forget_places(self) -> None:
        """Empty the list of recent places."""
        self.update({"recent": [], "recent_facts": {}})
        self.save()

    def remember_command(self, name: str) -> None:
        """Put a command at the head of those that the palette offers first."""
        recent = _first(name, self.values.recent_commands)[: stored.RECENT_COMMANDS]
        self.set("recent_commands", recent)
        self.save()


def _first(entry: str, entries: list[str]) -> list[str]:
    return [entry, *(other for other in entries if other != entry)]
