"""Finds regions of a volume by their values, on a worker. Knows no widgets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from app.services.jobs import Jobs, Lane
from app.viewmodels.core.work import Job, Listener
from app.viewmodels.images.brush import Measured
from app.viewmodels.images.growing import Range, Region
from app.viewmodels.images.layers import Layer
from med2e3.errors import ResourceError
from med2e3.measures import longest_axes, mask_volume_ml
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

    def measure(self, volume: Volume, layer: Layer, value: int) -> Job[Measured]:
        """The size of one label of a layer, and the values of the volume in it."""
        return self._jobs.start(Lane.PLANES, lambda _: measured(volume, layer, value))


def measured(volume: Volume, layer: Layer, value: int) -> Measured:
    """Size, longest axes and, where the layer lies on the volume's grid, the values of a label."""
    mask = layer.voxels == value
    box = ndimage.find_objects(mask.view(np.uint8))
    if not box or box[0] is None:
        return Measured(0.0, 0.0, 0.0)
    part = mask[box[0]]
    grid = layer.geometry.cropped([one.start for one in box[0]], part.shape)
    axes = longest_axes(part, grid)
    assert axes is not None  # the box holds the label
    size = Measured(mask_volume_ml(part, grid), axes.long_mm, axes.short_mm)
    same = layer.geometry.shape == volume.geometry.shape and np.allclose(
        layer.geometry.affine_lps, volume.geometry.affine_lps, atol=1e-3
    )
    if not same:
        return size
    values = volume.voxels[box[0]][part].astype(np.float64)
    numbers = (float(one) for one in (values.mean(), values.std(), values.min(), values.max()))
    return replace(size, **dict(zip(("mean", "sd", "low", "high"), numbers, strict=True)))


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
    axes = longest_axes(mask, volume.geometry)
    assert axes is not None  # there is a voxel
    return Region(
        mask.astype(np.int16),
        millilitres,
        float(values.mean()),
        float(values.std()),
        (sizes[2], sizes[1], sizes[0]),
        (axes.long_mm, axes.short_mm),
    )


def _connected(mask: NDArray[np.bool_], seed: tuple[int, int, int]) -> NDArray[np.bool_]:
    if not mask[seed]:
        return np.zeros_like(mask)
    numbers, _ = ndimage.label(mask)
    return np.asarray(numbers == numbers[seed])
