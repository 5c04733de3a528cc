"""A windowed 3D encoder–decoder in the shape of nnFormer (arXiv 2109.03201).

Patches are embedded by a strided convolution. Each stage has blocks of attention within windows,
every second block with windows shifted by half; between stages a strided convolution halves the
grid and doubles the channels. The decoder goes back up the same stages with skip connections.
Windows that do not divide a stage's grid are clipped to it. Knows nothing of what is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from med2e3.model.encoder3d import Encoded, Shape


@dataclass(frozen=True)
class WindowedSizes:
    """Sizes of the encoder; the defaults are those of the public Med3DInsight code."""

    embed: int = 96
    depths: Sequence[int] = (2, 2, 2, 2)
    heads: Sequence[int] = (3, 6, 12, 24)
    patch: Sequence[int] = (4, 4, 4)
    windows: Sequence[int] = (4, 4, 8, 4)
    mlp_ratio: int = 4

    def __post_init__(self) -> None:
        stages = len(self.depths)
        if not (len(self.heads) == len(self.windows) == stages and stages > 0):
            raise ValueError(
                f"depths, heads and windows must have one number a stage; they have {stages}, "
                f"{len(self.heads)} and {len(self.windows)}"
            )


class WindowedEncoder(nn.Module):
    """Volumes (B, 1, S, H, W) → the last stage's grid, and back up to the first stage's."""

    def __init__(self, sizes: WindowedSizes, shape: Shape) -> None:
        super().__init__()
        a, b, c = (int(p) for p in sizes.patch)
        stages = len(sizes.depths)
        halvings = 2 ** (stages - 1)
        if any(n % (p * halvings) for n, p in zip(shape, (a, b, c), strict=True)):
            raise ValueError(
                f"the grid {shape} cannot be cut into patches of {(a, b, c)} and halved "
                f"{stages - 1} times"
            )
        self.stride, self.decoded_width = (a, b, c), sizes.embed
        widths = [sizes.embed * 2**k for k in range(stages)]
        self.width = widths[-1]
        self.embed = nn.Conv3d(1, sizes.embed, self.stride, self.stride)
        kinds = list(zip(widths, sizes.depths, sizes.heads, sizes.windows, strict=True))
        self.down = nn.ModuleList(_Stage(*kind, sizes.mlp_ratio) for kind in kinds)
        self.up = nn.ModuleList(_Stage(*kind, sizes.mlp_ratio) for kind in kinds[:-1])
        self.coarser = nn.ModuleList(nn.Conv3d(w, 2 * w, 3, 2, padding=1) for w in widths[:-1])
        self.finer = nn.ModuleList(nn.ConvTranspose3d(2 * w, w, 2, 2) for w in widths[:-1])

    def encode(self, volumes: Tensor) -> Encoded:
        """As `Encoder3D.encode`."""
        x, skips = self.embed(volumes), list[Tensor]()
        for k, stage in enumerate(self.down):
            x = stage(x)
            if k < len(self.coarser):
                skips.append(x)
                x = self.coarser[k](x)
        return Encoded(x, tuple(skips))

    def decode(self, encoded: Encoded) -> Tensor:
        """As `Encoder3D.decode`."""
        x: Tensor = encoded.grid
        for k in reversed(range(len(self.up))):
            x = self.up[k](self.finer[k](x) + encoded.skips[k])
        return x


class _Stage(nn.Module):
    """Blocks of one width on one grid."""

    def __init__(self, width: int, depth: int, heads: int, window: int, ratio: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads do not divide a width of {width}")
        self.blocks = nn.ModuleList(
            _Block(width, heads, window, ratio, shifted=bool(k % 2)) for k in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, d, h, w) → the same shape."""
        x = x.permute(0, 2, 3, 4, 1)
        for block in self.blocks:
            x = block(x)
        return x.permute(0, 4, 1, 2, 3)


class _Block(nn.Module):
    """Pre-norm attention within windows of an edge of `window` cells, then an MLP."""

    def __init__(
        self, width: int, heads: int, window: int, ratio: int, *, shifted: bool
    ) -> None:  # fmt: skip
        super().__init__()
        self.heads, self.window, self.shifted = heads, window, shifted
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, ratio * width), nn.GELU(), nn.Linear(ratio * width, width)
        )
        #: One learned offset for each way in which two cells of a window can lie.
        self.bias = nn.Parameter(torch.zeros((2 * window - 1) ** 3, heads))

    def forward(self, x: Tensor) -> Tensor:
        """(B, d, h, w, C) → the same shape."""
        grid: Shape = (x.shape[1], x.shape[2], x.shape[3])
        window = window_of(grid, self.window)
        shift = tuple(
            w // 2 if self.shifted and w < n else 0 for n, w in zip(grid, window, strict=True)
        )
        y = self.norm1(x)
        if any(shift):
            y = y.roll([-s for s in shift], (1, 2, 3))
        y = self._attend(_cut(y, window), grid, window, shift)
        y = _join(y, grid, window)
        if any(shift):
            y = y.roll(shift, (1, 2, 3))
        x = x + y
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]

    def _attend(self, y: Tensor, grid: Shape, window: Shape, shift: tuple[int, ...]) -> Tensor:
        """Attention within windows (B, W, n, C); cells that a shift brought together stay apart."""
        batch, windows, cells, width = y.shape
        parts = self.qkv(y).view(batch, windows, cells, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(3, 0, 1, 4, 2, 5)  # each (B, W, heads, n, C / heads)
        offset = self.bias[_offsets(window, self.window).to(y.device)].permute(2, 0, 1)[None]
        if any(shift):
            apart = _apart(grid, window, shift).to(y.device)[:, None]  # (W, 1, n, n)
            offset = offset + torch.zeros_like(apart, dtype=y.dtype).masked_fill(apart, -torch.inf)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=offset[None].to(q.dtype))
        return self.out(mixed.transpose(2, 3).flatten(3))  # type: ignore[no-any-return]


def window_of(grid: Shape, edge: int) -> Shape:
    """The window on a grid: along each axis the largest divisor of the grid up to `edge`."""
    a, b, c = (max(w for w in range(1, min(edge, n) + 1) if n % w == 0) for n in grid)
    return a, b, c


def _cut(x: Tensor, window: Shape) -> Tensor:
    """(B, d, h, w, C) → (B, W, n, C): windows and their cells, depth-major."""
    batch, d, h, w, width = x.shape
    a, b, c = window
    cells = x.reshape(batch, d // a, a, h // b, b, w // c, c, width)
    return cells.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(batch, -1, a * b * c, width)


def _join(x: Tensor, grid: Shape, window: Shape) -> Tensor:
    """The inverse of `_cut`."""
    d, h, w = grid
    a, b, c = window
    cells = x.reshape(len(x), d // a, h // b, w // c, a, b, c, x.shape[-1])
    return cells.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(len(x), d, h, w, x.shape[-1])


@lru_cache(maxsize=32)
def _offsets(window: Shape, edge: int) -> Tensor:
    """(n, n): the row of the bias table for each pair of cells."""
    axes = torch.meshgrid(*(torch.arange(n) for n in window), indexing="ij")
    places = torch.stack(axes, -1).reshape(-1, 3)
    apart = places[:, None] - places[None] + edge - 1
    side = 2 * edge - 1
    return (apart[..., 0] * side + apart[..., 1]) * side + apart[..., 2]


@lru_cache(maxsize=32)
def _apart(grid: Shape, window: Shape, shift: tuple[int, ...]) -> Tensor:
    """(W, n, n) bool: pairs of cells that were no neighbours before the shift."""
    region = torch.zeros(1, *grid, 1)
    number = 0
    spans = [
        [slice(0, -w), slice(-w, -s), slice(-s, None)] if s else [slice(None)]
        for w, s in zip(window, shift, strict=True)
    ]
    for d in spans[0]:
        for h in spans[1]:
            for w in spans[2]:
                region[:, d, h, w] = number
                number += 1
    cells = _cut(region, window)[0, ..., 0]  # (W, n)
    return cells[:, :, None] != cells[:, None]
