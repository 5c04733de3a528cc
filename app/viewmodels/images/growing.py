"""A region of the open volume by its values: grown from the crosshair, or all within a threshold.

The region lies over the images while its range is set, and stays as an overlay once it is kept.
Knows no widgets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.imaging import numbers, windows
from app.viewmodels.core.latest import LatestJob
from app.viewmodels.core.notices import Notices
from app.viewmodels.core.signal import Signal
from app.viewmodels.core.tasks import Tasks
from app.viewmodels.core.work import Done, Failed, Job, Listener, Message
from app.viewmodels.images.layers import Label, Layer
from app.viewmodels.images.overlays import Overlays
from app.viewmodels.images.viewer import Viewer
from med2e3.volume import Volume

#: Voxels to each side of the crosshair whose values give the first range, and its least half width.
AROUND, LEAST = 2, 25.0

#: The first range reaches so many standard deviations of these values to each side.
DEVIATIONS = 2.5


@dataclass(frozen=True)
class Range:
    """What to find: values from `low` to `high`; `connected` with the voxel `seed`, or anywhere."""

    seed: tuple[int, int, int]
    low: float
    high: float
    connected: bool = True


@dataclass(frozen=True, eq=False)
class Region:
    """A mask of 0 and 1 on the volume's grid; its size, the mean and SD of its values.

    `size_mm` is its extent along columns, rows and slices; `axes_mm` its longest diameter in any
    direction and the longest across it.
    """

    mask: NDArray[np.int16]
    millilitres: float
    mean: float
    sd: float
    size_mm: tuple[float, float, float]
    axes_mm: tuple[float, float] = (0.0, 0.0)


class Finder(Protocol):
    """Finds regions."""

    def grow(self, volume: Volume, wanted: Range, listener: Listener) -> Job[Region]:
        """The voxels that are wanted."""
        ...


class Growing:
    """The region that is being set; `wanted` is None while there is none."""

    def __init__(
        self,
        viewer: Viewer,
        overlays: Overlays,
        finder: Finder,
        tasks: Tasks,
        notices: Notices,
        explain: Callable[[BaseException], Message],
    ) -> None:
        self._viewer = viewer
        self._overlays = overlays
        self._finder = finder
        self._tasks = tasks
        self._notices = notices
        self._explain = explain
        self._job: LatestJob[Region] = LatestJob()
        self._count = 0
        self._about: Volume | None = None
        self.wanted: Range | None = None
        self.region: Region | None = None
        self.changed: Signal[[]] = Signal()
        viewer.volume_changed.connect(self._volume_changed)

    @property
    def busy(self) -> bool:
        """Whether a region is being found."""
        return self._job.busy

    def start(self) -> None:
        """Begin at the crosshair, with a range about the values there."""
        volume = self._viewer.volume
        if volume is None or self._viewer.previewing:
            return
        index = np.rint(volume.geometry.to_index(self._viewer.crosshair_mm)).astype(int)
        z, y, x = (int(k) for k in np.clip(index, 0, np.asarray(volume.shape) - 1))
        box = tuple(slice(max(k - AROUND, 0), k + AROUND + 1) for k in (z, y, x))
        here, spread = float(volume.voxels[z, y, x]), float(np.std(volume.voxels[box]))
        half = max(LEAST, DEVIATIONS * spread)
        self._about, self.region = volume, None
        self.choose(Range((z, y, x), round(here - half), round(here + half)))

    def choose(self, wanted: Range) -> None:
        """Find another region; it replaces the one that lies over the images."""
        if self._about is None:
            return
        self.wanted = wanted
        job = self._job.start(self._finder.grow, self._about, wanted, lambda _: None)
        self._tasks.start(self._take(job))
        self.changed.emit()

    def change(self, **changes: Any) -> None:
        """Another end of the range, or connected or not."""
        if self.wanted is not None:
            self.choose(replace(self.wanted, **changes))

    def keep(self) -> None:
        """Let the region stay, as a step that can be undone."""
        layer = self._layer()
        self._end()
        if layer is not None:
            self._count += 1
            self._overlays.lay(layer)
        self.changed.emit()

    def cancel(self) -> None:
        """Take the region away."""
        if self.wanted is not None:
            self._end()
            self.changed.emit()

    @property
    def words(self) -> str:
        """Size and values of the region."""
        region = self.region
        if region is None:
            return "Finding…" if self.busy else ""
        return self._words(region) if region.millilitres else "No voxel is in this range."

    def _words(self, region: Region) -> str:
        mean = windows.with_unit(numbers.signed(region.mean), self._viewer.unit)
        size = " × ".join(f"{mm:.1f}" for mm in region.size_mm)
        longest = " × ".join(f"{mm:.1f}" for mm in region.axes_mm)
        return (
            f"{region.millilitres:.2f} ml · mean {mean}, SD {region.sd:.1f} · {size} mm"
            f" · longest {longest} mm"
        )

    async def _take(self, job: Job[Region]) -> None:
        outcome = await self._job.result(job)
        if outcome is None or self.wanted is None:
            return
        if isinstance(outcome, Done):
            self.region = outcome.value
            self._overlays.show_live(self._layer())
        elif isinstance(outcome, Failed):
            self._notices.show(self._explain(outcome.error))
        self.changed.emit()

    def _layer(self) -> Layer | None:
        region, volume = self.region, self._about
        if region is None or volume is None or not region.millilitres:
            return None
        name = f"region {self._count + 1}"
        label = Label(1, name, self._overlays.fresh_colour, region.millilitres)
        return Layer(name, region.mask, volume.geometry, (label,), about=self._words(region))

    def _end(self) -> None:
        self._job.cancel()
        self.wanted = self.region = None
        self._overlays.show_live(None)

    def _volume_changed(self) -> None:
        if self._viewer.volume is not self._about:
            self._count = 0
            self.cancel()
