"""Preferences being edited: seen at once, kept or taken back. Knows no widgets."""

from __future__ import annotations

from typing import Any

from app.settings import Preferences, declared
from app.viewmodels.core.settings import Settings


class PreferenceEditor:
    """What the dialog of preferences does; `Settings.changed` tells what is to be shown anew."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._before: dict[str, Any] = {}

    def value(self, name: str) -> Any:
        """A preference as it is now."""
        return self.settings.values.get(name)

    def begin(self) -> None:
        """Let `cancel` take back what is changed from here on."""
        self._before = {name: self.value(name) for name in declared()}

    def set(self, name: str, value: Any) -> None:
        """Change a preference."""
        self.settings.set(name, value)

    def reset(self) -> None:
        """Give every preference that the dialog shows its default."""
        first = Preferences()
        self.settings.update({name: first.get(name) for name in declared()})

    def cancel(self) -> None:
        """Take back every change since `begin`."""
        self.settings.update(self._before)

    def keep(self) -> None:
        """Write the file."""
        self.settings.save()
