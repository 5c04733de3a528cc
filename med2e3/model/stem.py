"""A convolutional stem in place of a linear patch embedding: what small findings need.

Its stages are dicts: `channels`, `stride` (one an axis) and `dilations` (one residual block each).
The first may instead be `windows`, a list of (low, high) within 0..1: each becomes a channel, as a
reader looks at one scan in several windows; one wide HU window alone leaves organs flat.
A strided convolution opens each stage; at the end what the strides left of a patch is max-pooled,
so that a lesion of a few voxels is not averaged away, and projected to the encoder's width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

#: Layer classes by number of axes.
CONVOLUTIONS: dict[int, Any] = {2: nn.Conv2d, 3: nn.Conv3d}
MAX_POOLS: dict[int, Any] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}

#: Convolutions on a CPU are a fifth faster with channels innermost.
MEMORY_FORMATS = {2: torch.channels_last, 3: torch.channels_last_3d}


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(relu(norm(x))))), both convolutions dilated alike.

    One norm a block: on a CPU each costs as much as a convolution.
    """

    def __init__(self, axes: int, channels: int, dilation: int) -> None:
        super().__init__()
        convolution = CONVOLUTIONS[axes]
        self.norm = _norm(channels)
        self.conv1 = convolution(channels, channels, 3, padding=dilation, dilation=dilation)
        self.conv2 = convolution(channels, channels, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, ...) → the same shape."""
        return x + self.conv2(torch.relu(self.conv1(torch.relu(self.norm(x)))))  # type: ignore[no-any-return]


class Windows(nn.Module):
    """Grey values 0..1 → one channel for each (low, high), clipped and scaled to 0..1."""

    def __init__(self, windows: Sequence[Sequence[float]]) -> None:
        super().__init__()
        self.windows = [(float(low), float(high)) for low, high in windows]

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, ...) → (B, number of windows, ...)."""
        views = [((images - low) / (high - low)).clamp(0, 1) for low, high in self.windows]
        return torch.cat(views, dim=1)


class ConvStem(nn.Module):
    """Images (B, C, ...) → tokens (B, P, D), row-major over the grid of patches."""

    def __init__(
        self,
        stages: Sequence[dict[str, Any]],
        patch_size: Sequence[int],
        in_channels: int,
        hidden_size: int,
    ) -> None:
        super().__init__()
        axes, layers, channels = len(patch_size), list[nn.Module](), in_channels
        self.windows = None
        if stages and "windows" in stages[0]:
            if in_channels != 1:
                raise ValueError(f"a stem with windows takes one grey channel, not {in_channels}")
            self.windows = Windows(stages[0]["windows"])
            channels, stages = len(self.windows.windows), stages[1:]
        for stage in stages:
            width, stride = int(stage["channels"]), tuple(int(s) for s in stage["stride"])
            layers.append(CONVOLUTIONS[axes](channels, width, 3, stride=stride, padding=1))
            layers += [ResidualBlock(axes, width, int(d)) for d in stage.get("dilations", ())]
            channels = width
        window = _left_of_a_patch(stages, patch_size)
        self.stages = nn.Sequential(*layers, _norm(channels), nn.ReLU())
        self.pool = MAX_POOLS[axes](window)
        self.projection = nn.Linear(channels, hidden_size)

    def forward(self, images: Tensor) -> Tensor:
        """Tokens of all patches, without positions."""
        if self.windows is not None:
            images = self.windows(images)
        x = self.stages[0](images.to(self.projection.weight.dtype))
        x = x.contiguous(memory_format=MEMORY_FORMATS[images.ndim - 2])
        cells = self.pool(self.stages[1:](x))  # (B, C, ...)
        return self.projection(cells.flatten(2).transpose(1, 2))  # type: ignore[no-any-return]


class Slice2DEmbeddings(nn.Module):
    """Takes the place of SigLIP's embeddings: stem tokens plus learned positions."""

    def __init__(self, stages: Sequence[dict[str, Any]], config: Any) -> None:
        super().__init__()
        patches = (config.image_size // config.patch_size) ** 2
        self.stem = ConvStem(
            stages, (config.patch_size,) * 2, config.num_channels, config.hidden_size
        )
        self.positions = nn.Parameter(torch.zeros(patches, config.hidden_size))

    def forward(self, pixel_values: Tensor) -> Tensor:
        """(N, C, H, W) → (N, P, D)."""
        return self.stem(pixel_values) + self.positions  # type: ignore[no-any-return]


def _norm(channels: int) -> nn.GroupNorm:
    """Group norm in groups of at least eight channels: works at any batch size."""
    return nn.GroupNorm(math.gcd(channels, max(1, channels // 8)), channels)


def _left_of_a_patch(stages: Sequence[dict[str, Any]], patch: Sequence[int]) -> tuple[int, ...]:
    """What remains of the patch size after all strides.

    Raises ValueError where the strides do not divide the patch.
    """
    left = []
    for axis, size in enumerate(patch):
        stride = math.prod(int(stage["stride"][axis]) for stage in stages)
        if size % stride:
            raise ValueError(f"stem strides of {stride} do not divide a patch of {size}")
        left.append(size // stride)
    return tuple(left)
