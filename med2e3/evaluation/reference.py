"""Where a phantom's findings lie on the model's grid, after crop and resize."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from med2e3.preprocessing import ModelInput

#: A model voxel belongs to a finding when this share of it does.
SHARE = 0.35


def finding_grid(mask: NDArray[np.bool_], model_input: ModelInput) -> NDArray[np.bool_]:
    """A finding's mask (the volume's grid, in display orientation) on the model's grid."""
    start, shape = model_input.crop_start, model_input.crop_shape
    return mask_on_grid(mask, start, shape, tuple(model_input.grid.shape[1:]))


def mask_on_grid(
    mask: NDArray[np.bool_], start: Sequence[int], shape: Sequence[int], size: tuple[int, ...]
) -> NDArray[np.bool_]:
    """A mask (S, H, W), cut to the box of `shape` at `start`, on a grid of `size` cells.

    A cell belongs to it when it takes `SHARE` of the cell. One that is thinner everywhere keeps the
    cells of which it takes most.
    """
    box = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
    cut = torch.from_numpy(np.ascontiguousarray(mask[box]).astype(np.float32))
    share = functional.interpolate(cut[None, None], size=size, mode="trilinear")[0, 0].numpy()
    threshold = min(SHARE, float(share.max()) * 0.999)  # never lose a finding altogether
    return np.asarray((share > threshold) & (share > 0))
