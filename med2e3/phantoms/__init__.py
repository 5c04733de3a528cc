"""Synthetic CT with known answers: volumes, findings, reports and questions."""

from med2e3.phantoms.anatomy import ORGANS, PHASES, Phase, Region
from med2e3.phantoms.findings import KINDS, Kind
from med2e3.phantoms.phantom import BODIES, GRID, Finding, Phantom, Wish, body_of, make_phantom

__all__ = [
    "BODIES", "GRID", "KINDS", "ORGANS", "PHASES",
    "Finding", "Kind", "Phantom", "Phase", "Region", "Wish", "body_of",
    "make_phantom",
]  # fmt: skip
