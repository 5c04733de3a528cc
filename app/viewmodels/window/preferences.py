"""Preferences being changed: seen at once, kept or taken back. Knows no widgets."""

from __future__ import annotations

from typing import Any

from app.settings import Preferences, Settings, declared
from app.viewmodels.core.signal import Signal
from app.viewmodels.images.display import Display
from app.viewmodels.images.viewer import Viewer


class PreferenceEditor:
    """What the dialog of preferences does; `changed` fires at each change, to be shown."""

    def __init__(self, settings: Settings, viewer: Viewer) -> None:
        self._settings = settings
        self._viewer = viewer
        self._before: dict[str, Any] = {}
        self.changed: Signal[[]] = Signal()
        self.apply()

    def value(self, name: str) -> Any:
        """A preference as it is now."""
        return getattr(self._settings.values, name)

    def begin(self) -> None:
        """From here on `cancel` takes changes back."""
        self._catch_up()
        self._before = {name: self.value(name) for name in declared()}

    def set(self, name: str, value: Any) -> None:
        """Change a preference and show what it does."""
        self._catch_up()
        if self.value(name) != value:
            setattr(self._settings.values, name, value)
            self.apply()
            self.changed.emit()

    def reset(self) -> None:
        """Every preference that the dialog shows as it was at first."""
        first = Preferences()
        self._take({name: getattr(first, name) for name in declared()})

    def cancel(self) -> None:
        """Everything as it was at `begin`."""
        self._take(self._before)

    def keep(self) -> None:
        """Write the file."""
        self._settings.save()

    def apply(self) -> None:
        """Let the images follow the preferences."""
        values = self._settings.values
        self._viewer.dress(
            Display.of(values), crosshair=values.crosshair, corner_text=values.corner_text
        )

    def _catch_up(self) -> None:
        """Keys may have changed what preferences are about, too."""
        values = self._settings.values
        values.crosshair = self._viewer.crosshair_visible
        values.corner_text = self._viewer.corner_text

    def _take(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            setattr(self._settings.values, name, value)
        self.apply()
        self.changed.emit()
