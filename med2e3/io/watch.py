"""Progress, cancelling and a first look while files are read. Knows nothing of files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from med2e3.errors import Cancelled
from med2e3.volume import Volume

Progress = Callable[[float, str], None]
IsCancelled = Callable[[], bool]

#: Receives a volume on the way: its middle slice is there, the others are air until they are read.
FirstLook = Callable[[Volume], None]

#: Receives what a scan has found so far (`med2e3.io.series.ScanResult`).
SoFar = Callable[[Any], None]


@dataclass(frozen=True)
class Watch:
    """Reports the fraction done of one stage of the work, and stops it when asked to.

    `low` and `high` are where the stage begins and ends within the whole, 0..1.
    """

    progress: Progress | None = None
    cancelled: IsCancelled | None = None
    low: float = 0.0
    high: float = 1.0
    first_look: FirstLook | None = None
    so_far: SoFar | None = None

    def stage(self, low: float, high: float) -> Watch:
        """The watch of a part of this stage."""
        span = self.high - self.low
        return replace(self, low=self.low + low * span, high=self.low + high * span)

    def check(self, doing: str = "Reading headers") -> None:
        """Raises `Cancelled` if the caller wants no more."""
        if self.cancelled is not None and self.cancelled():
            raise Cancelled(f"Stopped while {doing[:1].lower()}{doing[1:]}.")

    def step(self, fraction: float, doing: str) -> None:
        """Say how far the stage is; raises `Cancelled` if the caller wants no more."""
        self.check(doing)
        if self.progress is not None:
            self.progress(self.low + fraction * (self.high - self.low), doing)
