"""Finds regions of a volume by their values, on a worker. Knows no widgets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from app.services.jobs import Jobs, Lane
from app.viewmodels.core.work import Job, Listener
from app.viewmodels.images.growing import Range, Region
from med2e3.errors import ResourceError
from med2e3.memory import free_bytes
from med2e3.volume import Volume
from med2e3.words import size_text

#: Bytes that a voxel takes at the height of the work: the range, the numbers of all regions (4),
#: the region as a mask (2), and a copy of its values.
BYTES_A_VOXEL = 8


class Regions:
    """Region growing and thresholds."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def grow(self, volume: Volume, wanted: Range, listener: Listener) -> Job[Region]:
        """The voxels of a range of values, or those of them that are connected with the seed."""
        return self._jobs.start(Lane.PLANES, lambda _: found(volume, wanted), listener)


def found(volume: Volume, wanted: Range) -> Region:
    """The region; connected voxels share a face."""
    need, free = BYTES_A_VOXEL * volume.voxels.size, free_bytes()
    if need > free:
        raise ResourceError(
            f"A region of “{volume.name}” needs {size_text(need)} of memory, and {size_text(free)} "
            "are free. Close other programs, or open a smaller series."
        )
    mask = (volume.voxels >= wanted.low) & (volume.voxels <= wanted.high)
    if wanted.connected:
        mask = _connected(mask, wanted.seed)
    if not mask.any():
        return Region(mask.astype(np.int16), 0.0, 0.0, 0.0, (0.0, 0.0, 0.0))
    values = volume.voxels[mask].astype(np.float64)
    spacing, sizes = volume.geometry.spacing_mm, []
    for axis in range(3):
        others = tuple(k for k in range(3) if k != axis)
        there = np.flatnonzero(mask.any(axis=others))
        sizes.append(float(there[-1] - there[0] + 1) * spacing[axis])
    millilitres = float(values.size) * volume.geometry.voxel_ml
    return Region(
        mask.astype(np.int16),
        millilitres,
        float(values.mean()),
        float(values.std()),
        (sizes[2], sizes[1], sizes[0]),
    )


def _connected(mask: NDArray[np.bool_], seed: tuple[int, int, int]) -> NDArray[np.bool_]:
    if not mask[seed]:
        return np.zeros_like(mask)
    numbers, _ = ndimage.label(mask)
    return np.asarray(numbers == numbers[seed])
