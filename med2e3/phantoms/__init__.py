"""Synthetic CT with known answers: volumes, findings, reports and questions."""

from med2e3.phantoms.anatomy import ORGANS, PHASES, Phase, Region
from med2e3.phantoms.findings import KINDS, Kind
from med2e3.phantoms.phantom import GRID, Finding, Phantom, Wish, make_phantom

__all__ = [
    "GRID", "KINDS", "ORGANS", "PHASES",
    "Finding", "Kind", "Phantom", "Phase", "Region", "Wish", "make_phantom",
]  # fmt: skip
