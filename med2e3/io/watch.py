"""Report progress, cancel, and show a first image while files are read. Knows nothing of files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from med2e3.errors import Cancelled
from med2e3.volume import Volume

Progress = Callable[[float, str], None]
IsCancelled = Callable[[], bool]

#: Receives a volume that is still being read: its middle slice is there, all others are air.
FirstLook = Callable[[Volume], None]

#: Receives the result of a scan that goes on (`med2e3.io.series.ScanResult`).
SoFar = Callable[[Any], None]


@dataclass(frozen=True)
class Watch:
    """Reports the progress of one stage of the work, and stops it when it is cancelled.

    `low` and `high` are the fractions of the whole at which the stage begins and ends, 0 to 1.
    """

    progress: Progress | None = None
    cancelled: IsCancelled | None = None
    low: float = 0.0
    high: float = 1.0
    first_look: FirstLook | None = None
    so_far: SoFar | None = None

    def stage(self, low: float, high: float) -> Watch:
        """The watch of the part of this stage from `low` to `high`, fractions of it."""
        span = self.high - self.low
        return replace(self, low=self.low + low * span, high=self.low + high * span)

    def check(self, doing: str = "Reading headers") -> None:
        """Raise `Cancelled` if the caller has cancelled."""
        if self.cancelled is not None and self.cancelled():
            raise Cancelled(f"Stopped while {doing[:1].lower()}{doing[1:]}.")

    def step(self, fraction: float, doing: str) -> None:
        """Report the fraction of the stage that is done; raise `Cancelled` if it is cancelled."""
        self.check(doing)
        if self.progress is not None:
            self.progress(self.low + fraction * (self.high - self.low), doing)
