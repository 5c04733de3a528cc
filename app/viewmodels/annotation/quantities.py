"""Measured numbers: what each is called, its unit and its column in a table; and readings of them.

Knows no annotations and no volumes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """A quantity that a kind of annotation measures, and its column in exported tables.

    `unit` None: the unit of the volume's voxels, which tables carry in a column of its own.
    """

    name: str
    column: str
    unit: str | None


@dataclass(frozen=True)
class Quantity:
    """One measured number with its unit, as it goes into a table."""

    measure: Measure
    value: float
    unit: str

    @property
    def name(self) -> str:
        """The name of what was measured."""
        return self.measure.name


@dataclass(frozen=True)
class Reading:
    """What an annotation says: numbers for tables, lines for the screen."""

    quantities: tuple[Quantity, ...] = ()
    lines: tuple[str, ...] = ()
