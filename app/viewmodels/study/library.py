"""Where studies come from, as the `Study` asks for them; a service does the work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from app.viewmodels.core.work import Job, Listener
from med2e3.volume import Volume

if TYPE_CHECKING:
    from med2e3.io import SeriesSummary, Source
    from med2e3.io.series import Groupings, SliceSource
    from med2e3.io.single import Single
    from med2e3.io.tags import Tag


class Library(Protocol):
    """Where studies come from."""

    def scan(self, paths: Sequence[Path], listener: Listener) -> Job[Source]:
        """What is at `paths`; events: `Progress`, `SoFar`."""
        ...

    def load(
        self, source: Source, series: SeriesSummary, listener: Listener, *, resample: bool = False
    ) -> Job[Volume]:
        """Read a volume; events: `Progress`, `Preview`."""
        ...

    def regroup(self, source: Source, groupings: Groupings) -> Job[Source]:
        """The series of `source` put together in another way."""
        ...

    def thumbnails(self, source: Source, known: set[Path], listener: Listener) -> Job[None]:
        """One picture of each series; events: `Thumbnail`."""
        ...

    def tags(self, source: SliceSource) -> Job[tuple[Tag, ...]]:
        """The header of the file that a slice is from."""
        ...

    def single(self, source: Source, series: SeriesSummary, number: int) -> Job[Single]:
        """An image or report of a series that is no volume."""
        ...
