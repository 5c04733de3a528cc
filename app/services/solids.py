"""Makes surfaces of labels for 3D, coarse enough to be drawn with every frame, on a worker."""

from __future__ import annotations

from collections.abc import Sequence

from app.services.jobs import Context, Jobs, Lane
from app.viewmodels.core.work import Job
from app.viewmodels.images.layers import Label, Layer
from app.viewmodels.images.solids import Solid
from med2e3.errors import Cancelled, InputError

#: Voxels of a surface along each axis at most.
MOST_VOXELS = 28


class SolidMaker:
    """Surfaces of labels."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def make(self, wanted: Sequence[tuple[Layer, Label]]) -> Job[list[Solid | None]]:
        """The surface of each label; None for one without a voxel."""
        return self._jobs.start(Lane.EXPORTS, lambda context: _solids(wanted, context))


def _solids(wanted: Sequence[tuple[Layer, Label]], context: Context) -> list[Solid | None]:
    found = []
    for layer, label in wanted:
        if context.cancelled():
            raise Cancelled("Other labels are shown.")
        found.append(_solid(layer, label))
    return found


def _solid(layer: Layer, label: Label) -> Solid | None:
    from med2e3.surfaces import coarsened, surface_of  # brings VTK with it

    try:
        mask, grid = coarsened(layer.voxels, layer.geometry, MOST_VOXELS, label.value)
    except InputError:  # it was wiped away meanwhile
        return None
    surface = surface_of(mask, grid)
    return Solid(surface.points, surface.triangles)
