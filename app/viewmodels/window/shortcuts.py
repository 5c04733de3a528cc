"""Which keys run which command: the table's, until the user gives others. Knows no Qt.

Only what the user changed is kept. A key that the user gave to a command beats the same key in the
table, so that a new version's key never takes one away that a hand is used to.
"""

from __future__ import annotations

from app.viewmodels.core.settings import Settings
from app.viewmodels.core.signal import Signal
from app.viewmodels.window.commands import BY_NAME, COMMANDS, Command

#: Keys that have another meaning everywhere, and which one.
RESERVED = {
    "Space": "pans while it is held",
    "Tab": "goes to the next field",
    "Shift+Tab": "goes to the previous field",
    "Return": "presses the button or field that has the focus",
    "Enter": "presses the button or field that has the focus",
}


class Shortcuts:
    """The keys of every command; each key belongs to one command at most."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.changed: Signal[[]] = Signal()

    def keys(self, name: str) -> tuple[str, ...]:
        """The keys of a command, in Qt's portable spelling; the first is the one to show."""
        own = self._own
        if name in own:
            return tuple(own[name])
        taken = {key for other in own if other in BY_NAME for key in own[other]}
        return tuple(key for key in BY_NAME[name].keys if key not in taken)

    def holder(self, key: str) -> Command | None:
        """The command that a key runs now."""
        return next((command for command in COMMANDS if key in self.keys(command.name)), None)

    def is_changed(self, name: str) -> bool:
        """Whether a command's keys are not those of the table."""
        return self.keys(name) != BY_NAME[name].keys

    @property
    def any_changed(self) -> bool:
        """Whether any command's keys are not those of the table."""
        return any(self.is_changed(command.name) for command in COMMANDS)

    def tip(self, name: str) -> str:
        """The title of a command with its first key, for a tooltip."""
        keys = self.keys(name)
        return f"{BY_NAME[name].title} ({keys[0]})" if keys else BY_NAME[name].title

    # --- changing --------------------------------------------------------------------------

    def refusal(self, key: str) -> str:
        """Why a key cannot be given to any command; empty where it can."""
        return f"{key} {RESERVED[key]}." if key in RESERVED else ""

    def add(self, name: str, key: str) -> Command | None:
        """Give a command one more key; returns the command that loses it, if any."""
        if key in self.keys(name) or self.refusal(key):
            return None
        own = self._own
        loser = self._take(own, key, name)
        own[name] = [*self.keys(name), key]
        self._keep(own)
        return loser

    def remove(self, name: str, key: str) -> None:
        """Take a key away from a command."""
        self._keep({**self._own, name: [k for k in self.keys(name) if k != key]})

    def reset(self, name: str) -> tuple[Command, ...]:
        """Give a command the table's keys back; returns the commands that lose one of them."""
        own = self._own
        losers = [self._take(own, key, name) for key in BY_NAME[name].keys]
        own.pop(name, None)
        self._keep(own)
        return tuple(loser for loser in losers if loser is not None)

    def reset_all(self) -> None:
        """Give every command the table's keys back."""
        self._keep({})

    @property
    def _own(self) -> dict[str, list[str]]:
        """The keys that the user gave, by command; a copy."""
        return dict(self._settings.values.shortcuts)

    def _take(self, own: dict[str, list[str]], key: str, name: str) -> Command | None:
        """Take a key out of `own` for a command; returns the command that loses it, if any."""
        loser = self.holder(key)
        if loser is None or loser.name == name:
            return None
        if loser.name in own:  # a key of the table is beaten without being written down
            own[loser.name] = [k for k in own[loser.name] if k != key]
        return loser

    def _keep(self, own: dict[str, list[str]]) -> None:
        changed = {
            name: keys
            for name, keys in own.items()
            if name not in BY_NAME or tuple(keys) != BY_NAME[name].keys
        }
        self._settings.set("shortcuts", changed)
        self._settings.save()
        self.changed.emit()
