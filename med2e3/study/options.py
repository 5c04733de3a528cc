"""How a study is run on this computer: nothing here changes its table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from med2e3.study.leases import LEASE_SECONDS

#: Called with a share (0 to 1) and what is being done.
Report = Callable[[float, str], None]


@dataclass(frozen=True)
class Options:
    """Who works at a study, and for how long silence is taken for work.

    `lease` are seconds without a sign of life after which a unit is taken over. `again` reads anew
    what could not be read before. `address` is of a Ray cluster that runs; without it one is
    started here.
    """

    processes: int = 1
    engine: str = "processes"
    lease: float = LEASE_SECONDS
    again: bool = False
    address: str | None = None
