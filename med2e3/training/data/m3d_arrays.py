"""Arrays of M3D-Seg and M3D-RefSeg as published: image and label together onto the model's grid.

Source: the preparation scripts of M3D (63e7200). The two differ in the order of the axes, and both
are kept as they are: a model trained on their files expects it. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from med2e3.errors import PreprocessingError
from med2e3.preprocessing import SMALLEST_MAXIMUM, foreground

Numbers = NDArray[Any]
Arrays = tuple[NDArray[np.float32], NDArray[np.bool_]]

#: M3D-RefSeg's intensities run from this to that percentile of the volume.
REFSEG_PERCENTILES = (0.5, 99.5)


def seg_arrays(image: Numbers, label: Numbers, grid_shape: Sequence[int]) -> Arrays:
    """M3D-Seg: standardised image and label (1, X, Y, Z) → (1, *grid_shape) each, image in 0..1.

    Axes become (Z, Y, X). Raises `PreprocessingError` when shapes differ or the image is constant.
    """
    _check(image, label, 4)
    turned = torch.tensor(np.ascontiguousarray(image.swapaxes(-1, -3)), dtype=torch.float32)
    turned = turned - turned.min()
    turned = turned / turned.max().clamp_min(SMALLEST_MAXIMUM)
    return _onto_grid(turned, label.swapaxes(-1, -3), grid_shape)


def refseg_arrays(image: Numbers, label: Numbers, grid_shape: Sequence[int]) -> Arrays:
    """M3D-RefSeg: image and label (X, Y, Z) → (1, *grid_shape) each, image in 0..1.

    Axes become (Z, X, Y): rows and columns are swapped against M3D-Seg, as published. Raises
    `PreprocessingError` when shapes differ or the image is constant.
    """
    _check(image, label, 3)
    low, high = np.percentile(image, REFSEG_PERCENTILES)
    if high <= low:
        raise PreprocessingError(
            f"Half a percent and 99.5 percent of the image are both {low:g}: it is constant. "
            "Check that the right file was read."
        )
    scaled = (image.transpose(2, 0, 1).astype(np.float64) - low) / (high - low)
    clipped = torch.tensor(np.clip(scaled, 0, 1), dtype=torch.float32)
    return _onto_grid(clipped[None], label.transpose(2, 0, 1)[None], grid_shape)


def _check(image: Numbers, label: Numbers, axes: int) -> None:
    if image.shape != label.shape or image.ndim != axes:
        raise PreprocessingError(
            f"The image has shape {image.shape}, the label {label.shape}; both need the same "
            f"{axes} axes. Image and label are of different scans, or a channel axis is missing."
        )


def _onto_grid(image: torch.Tensor, label: Numbers, grid_shape: Sequence[int]) -> Arrays:
    """Crop both (1, D, H, W) to where the image is above 0; resize trilinearly and by nearest."""
    numbers = image[0].numpy()
    start, shape = foreground(numbers, 0.0, "No voxel is above the minimum: the image is constant")
    box = (slice(None), *(slice(a, a + n) for a, n in zip(start, shape, strict=True)))
    size = [int(n) for n in grid_shape]
    pixels = F.interpolate(image[box][None], size, mode="trilinear", align_corners=False)[0]
    marks = torch.tensor(np.ascontiguousarray(label[box]) != 0, dtype=torch.float32)
    masks = F.interpolate(marks[None], size, mode="nearest")[0]
    return pixels.numpy(), masks.numpy() > 0
