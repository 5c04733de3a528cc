"""The reader's own presets of the window, kept in the preferences by their names."""

from __future__ import annotations

import contextlib
import math

from app.viewmodels.core.settings import Settings
from med2e3.volume import Window


def named(settings: Settings) -> dict[str, Window]:
    """Every preset of the reader's, in the order of keeping; damaged ones are left out."""
    found = {}
    for name, numbers in settings.values.own_windows.items():
        with contextlib.suppress(ValueError):
            centre, width = (float(number) for number in numbers)
            if math.isfinite(centre) and math.isfinite(width) and width > 0:
                found[name] = Window(centre, width)
    return found


def keep(settings: Settings, name: str, window: Window) -> None:
    """Keep a window under a name, in place of an earlier one of that name."""
    numbers = [f"{window.centre:.10g}", f"{window.width:.10g}"]
    settings.set("own_windows", {**settings.values.own_windows, name: numbers})
    settings.save()


def forget(settings: Settings, name: str) -> None:
    """Drop a preset of the reader's."""
    kept = {k: v for k, v in settings.values.own_windows.items() if k != name}
    settings.set("own_windows", kept)
    settings.save()
