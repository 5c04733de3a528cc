"""Labels of overlays as they are seen in 3D: their surfaces, made anew when labels change.

Nothing is made while nobody looks at 3D. Knows no pixels and no widgets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.viewmodels.core.latest import LatestJob
from app.viewmodels.core.signal import Signal
from app.viewmodels.core.tasks import Tasks
from app.viewmodels.core.work import Done, Job
from app.viewmodels.images.layers import Label, Layer
from app.viewmodels.images.overlays import Overlays

#: Labels seen in 3D at most, the largest first: each takes some thousand triangles.
MOST_LABELS = 24


@dataclass(frozen=True, eq=False)
class Solid:
    """The surface of a label: `points` (n, 3) in LPS mm and `triangles` (m, 3) of their numbers.

    Triangles turn anticlockwise seen from outside.
    """

    points: NDArray[np.float32]
    triangles: NDArray[np.int64]
    colour: str = "#ffffff"
    opacity: float = 1.0


class Maker(Protocol):
    """Makes surfaces."""

    def make(self, wanted: Sequence[tuple[Layer, Label]]) -> Job[list[Solid | None]]:
        """The surface of each label; None for one without a voxel."""
        ...


class LabelSolids:
    """The surfaces of the labels that are shown."""

    def __init__(self, overlays: Overlays, maker: Maker, tasks: Tasks) -> None:
        self._overlays = overlays
        self._maker = maker
        self._tasks = tasks
        self._job: LatestJob[list[Solid | None]] = LatestJob()
        self._made: dict[tuple[Any, ...], Solid | None] = {}
        self._watched = False
        self.changed: Signal[[]] = Signal()
        overlays.changed.connect(self.refresh)

    def watch(self, *, watched: bool) -> None:
        """Say whether somebody looks at 3D."""
        if watched != self._watched:
            self._watched = watched
            self.refresh()

    @property
    def solids(self) -> tuple[Solid, ...]:
        """What is seen now, in the colours and the opacity of its layers."""
        found = []
        for layer, label in self._wanted():
            made = self._made.get(_key(layer, label))
            if made is not None:
                opacity = min(1.0, 2 * layer.opacity)
                found.append(Solid(made.points, made.triangles, label.colour, opacity))
        return tuple(found)

    def refresh(self) -> None:
        """Make what is not there yet, and forget what is gone."""
        wanted = self._wanted() if self._watched else []
        keys = {_key(*one) for one in wanted}
        self._made = {key: one for key, one in self._made.items() if key in keys}
        missing = [one for one in wanted if _key(*one) not in self._made]
        if missing:
            job = self._job.start(self._maker.make, missing)
            self._tasks.start(self._take(job, [_key(*one) for one in missing]))
        self.changed.emit()

    async def _take(self, job: Job[list[Solid | None]], keys: list[tuple[Any, ...]]) -> None:
        outcome = await self._job.result(job)
        if isinstance(outcome, Done):
            self._made |= dict(zip(keys, outcome.value, strict=True))
            self.changed.emit()

    def _wanted(self) -> list[tuple[Layer, Label]]:
        if not self._overlays.belongs:
            return []
        shown = [
            (layer, label)
            for layer in self._overlays.layers
            for label in layer.labels
            if layer.visible and label.value not in layer.hidden
        ]
        return sorted(shown, key=lambda one: -one[1].millilitres)[:MOST_LABELS]


def _key(layer: Layer, label: Label) -> tuple[Any, ...]:
    """What a surface depends on; a label that is painted changes its size."""
    return id(layer.voxels), label.value, round(label.millilitres, 6)
