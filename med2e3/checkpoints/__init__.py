"""Models on disk: layouts, names, conversion to our own format, and what is on this computer."""

from med2e3.checkpoints.building import build
from med2e3.checkpoints.checkpoint import Checkpoint, Layout
from med2e3.checkpoints.conversion import convert
from med2e3.checkpoints.hub import Hub
from med2e3.checkpoints.layouts import LAYOUTS, find_model, open_checkpoint

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
