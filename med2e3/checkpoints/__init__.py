"""Models on disk: layouts, names, conversion to our own format, and what is on this computer.

Importing this package is cheap: listing and downloading models need neither torch nor transformers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from med2e3.lazy import from_homes

if TYPE_CHECKING:
    from med2e3.checkpoints.building import build
    from med2e3.checkpoints.checkpoint import Checkpoint, Layout
    from med2e3.checkpoints.conversion import convert
    from med2e3.checkpoints.hub import Hub
    from med2e3.checkpoints.layouts import LAYOUTS, find_model, open_checkpoint

#: Where each public name lives; it is imported on first use.
_HOMES = {
    "LAYOUTS": "med2e3.checkpoints.layouts",
    "Checkpoint": "med2e3.checkpoints.checkpoint",
    "Hub": "med2e3.checkpoints.hub",
    "Layout": "med2e3.checkpoints.checkpoint",
    "build": "med2e3.checkpoints.building",
    "convert": "med2e3.checkpoints.conversion",
    "find_model": "med2e3.checkpoints.layouts",
    "open_checkpoint": "med2e3.checkpoints.layouts",
}

__all__ = [
    "LAYOUTS",
    "Checkpoint",
    "Hub",
    "Layout",
    "build",
    "convert",
    "find_model",
    "open_checkpoint",
]

__getattr__ = from_homes(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
