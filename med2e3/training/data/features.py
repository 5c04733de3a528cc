"""What the frozen encoders make of a pool of phantoms, which tuning trains on.

Knows nothing of folders or losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from med2e3.model import Med2E3ForConditionalGeneration
from med2e3.model.placing import device_of
from med2e3.training.data.pool import Example
from med2e3.training.precision import half_precision


@dataclass(frozen=True, eq=False)
class Features:
    """What frozen encoders made of a pool: 3D (N, D3) and 2D (S, P, D2) of each volume, bfloat16.

    They may be mapped from disk, in several parts of equal size but for the last.
    """

    parts3d: Sequence[Tensor]
    parts2d: Sequence[Tensor]

    def take(self, volumes: Sequence[int] | NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """(V, N, D3) and (V, S, P, D2) of these volumes, float32."""
        size = len(self.parts3d[0])
        where = [(int(v) // size, int(v) % size) for v in volumes]
        return (
            torch.stack([self.parts3d[part][k] for part, k in where]).float(),
            torch.stack([self.parts2d[part][k] for part, k in where]).float(),
        )


def encode_pool(
    model: Med2E3ForConditionalGeneration, pool: Sequence[Example]
) -> tuple[Tensor | None, Tensor | None]:
    """Every example's features: 3D (V, N, D3) and 2D (V, S, P, D2), bfloat16; None of an encoder
    that the model lacks.
    """
    parts: tuple[list[Tensor], list[Tensor]] = ([], [])
    model.eval()
    device = device_of(model)
    with torch.inference_mode(), half_precision(device):
        for start in range(0, len(pool), 4):
            part = pool[start : start + 4]
            grids = torch.from_numpy(np.stack([e.grid for e in part])).to(device)
            found = model.vision_features(grids.float()[:, None] / 255)
            for kept, features in zip(parts, found, strict=True):
                if features is not None:
                    kept.append(features.to("cpu", torch.bfloat16))
    three, two = (torch.cat(kept).clone() if kept else None for kept in parts)
    return three, two
