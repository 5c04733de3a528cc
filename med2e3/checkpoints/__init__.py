"""Models on disk: layouts, names, conversion to our own format, and what is on this computer.

Importing this package is cheap: listing and downloading models need neither torch nor transformers.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from med2e3.checkpoints.building import build
    from med2e3.checkpoints.checkpoint import Checkpoint, Layout
    from med2e3.checkpoints.conversion import convert
    from med2e3.checkpoints.hub import Hub
    from med2e3.checkpoints.layouts import LAYOUTS, find_model, open_checkpoint

#: Where each public name lives; it is imported on first use.
_HOMES = {
    "LAYOUTS": "layouts",
    "Checkpoint": "checkpoint",
    "Hub": "hub",
    "Layout": "checkpoint",
    "build": "building",
    "convert": "conversion",
    "find_model": "layouts",
    "open_checkpoint": "layouts",
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


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
