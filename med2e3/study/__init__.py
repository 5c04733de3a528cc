"""Studies: many questions about many volumes by several models, from a plan to one table.

`run` answers a whole plan; `read_plan` reads one. All questions about a volume are answered by one
worker, which encodes the volume once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from med2e3.lazy import from_homes

if TYPE_CHECKING:
    from med2e3.study.plan import Plan, read_plan
    from med2e3.study.running import Outcome, run

#: Where each public name lives; it is imported on first use.
_HOMES = {
    "Outcome": "med2e3.study.running",
    "Plan": "med2e3.study.plan",
    "read_plan": "med2e3.study.plan",
    "run": "med2e3.study.running",
}

__all__ = ["Outcome", "Plan", "read_plan", "run"]

__getattr__ = from_homes(__name__, _HOMES)
