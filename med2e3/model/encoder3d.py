"""What Med3DInsight asks of a 3D encoder: tokens of a volume, and a map back to its grid.

Reconstruction and segmentation heads read the map. Knows nothing of a particular encoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

Shape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Encoded:
    """A volume's features: `grid` (B, C, d, h, w), and what `decode` needs beside it."""

    grid: Tensor
    skips: tuple[Tensor, ...]

    @property
    def tokens(self) -> Tensor:
        """(B, d·h·w, C), depth-major."""
        return self.grid.flatten(2).transpose(1, 2)


class Encoder3D(Protocol):
    """What Med3DInsight asks of an encoder.

    `width` is C; `decode` gives `decoded_width` channels on a grid that is `stride` times coarser
    than the volume along each axis.
    """

    width: int
    decoded_width: int
    stride: Shape

    def encode(self, volumes: Tensor) -> Encoded:
        """Volumes (B, 1, S, H, W) in 0..1 → their features."""
        ...

    def decode(self, encoded: Encoded) -> Tensor:
        """Features → (B, decoded_width, S / stride, H / stride, W / stride)."""
        ...
