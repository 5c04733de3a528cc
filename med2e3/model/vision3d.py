"""The 3D ViT of M3D-CLIP, which Med-2E3, M3D-CLIP and M3D-LaMed share (arXiv 2404.00578, §3).

It returns the last block's tokens before and after the final layer norm: Med-2E3 reads them before,
the two others after. Knows nothing of connectors or text.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from med2e3.model.config import Vision3DConfig
from med2e3.model.stem import ConvStem


@dataclass(frozen=True, eq=False)
class Vision3DOutput:
    """Tokens (B, N, D) of the patches, depth-major, and (B, D) of the class token, if there is one.

    `normed` and `class_normed` are after the final layer norm; None where the config has none.
    """

    tokens: Tensor
    class_token: Tensor | None
    normed: Tensor | None
    class_normed: Tensor | None


class PatchEmbedding3D(nn.Module):
    """Patches, flattened as (slice, row, column, channel), through one linear map."""

    def __init__(self, config: Vision3DConfig) -> None:
        super().__init__()
        self.patch_size = tuple(config.patch_size)
        d, h, w = self.patch_size
        self.projection = nn.Linear(d * h * w * config.num_channels, config.hidden_size)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, S, H, W) → (B, N, D), depth-major."""
        p, q, r = self.patch_size
        batch, channels, s, h, w = images.shape
        cells = images.reshape(batch, channels, s // p, p, h // q, q, w // r, r)
        patches = cells.permute(0, 2, 4, 6, 3, 5, 7, 1).reshape(
            batch, (s // p) * (h // q) * (w // r), p * q * r * channels
        )
        return self.projection(patches.to(self.projection.weight.dtype))  # type: ignore[no-any-return]


class Attention3D(nn.Module):
    """Multi-head self-attention; one projection without bias makes queries, keys and values."""

    def __init__(self, config: Vision3DConfig) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.eager = config._attn_implementation == "eager"
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size, bias=False)
        self.out_proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) → (B, N, D)."""
        batch, length, width = x.shape
        qkv = self.qkv(x).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, N, D / heads)
        if self.eager:
            weights = (q * (width // self.heads) ** -0.5) @ k.transpose(-1, -2)
            mixed = weights.softmax(-1, dtype=torch.float32).to(v.dtype) @ v
        else:
            mixed = F.scaled_dot_product_attention(q, k, v)
        return self.out_proj(mixed.transpose(1, 2).reshape(batch, length, width))  # type: ignore[no-any-return]


class Block3D(GradientCheckpointingLayer):  # type: ignore[misc]
    """A pre-norm transformer block with the exact (erf) GELU."""

    def __init__(self, config: Vision3DConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attn = Attention3D(config)
        self.norm2 = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.linear1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.linear2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) → (B, N, D)."""
        x = x + self.attn(self.norm1(x))
        return x + self.linear2(F.gelu(self.linear1(self.norm2(x))))  # type: ignore[no-any-return]


class Vision3DModel(nn.Module):
    """Volumes (B, 1, S, H, W) in 0..1 → tokens.

    The class token has no position: it is put before the patches after these got theirs.
    """

    def __init__(self, config: Vision3DConfig) -> None:
        super().__init__()
        width = config.hidden_size
        d, h, w = config.patch_grid
        self.patch_embedding: nn.Module = (
            ConvStem(config.stem, config.patch_size, config.num_channels, width)
            if config.stem
            else PatchEmbedding3D(config)
        )
        self.positions = nn.Parameter(torch.zeros(1, d * h * w, width))
        self.class_token = nn.Parameter(torch.zeros(1, 1, width)) if config.class_token else None
        self.blocks = nn.ModuleList(Block3D(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps) if config.final_norm else None

    def forward(self, pixel_values: Tensor) -> Vision3DOutput:
        """All tokens of the last block, before and after the final norm."""
        x = self.patch_embedding(pixel_values) + self.positions  # (B, N, D)
        if self.class_token is not None:
            x = torch.cat([self.class_token.expand(len(x), -1, -1).to(x.dtype), x], dim=1)
        for block in self.blocks:
            x = block(x)
        normed = None if self.norm is None else self.norm(x)
        if self.class_token is None:
            return Vision3DOutput(x, None, normed, None)
        return Vision3DOutput(
            x[:, 1:],
            x[:, 0],
            None if normed is None else normed[:, 1:],
            None if normed is None else normed[:, 0],
        )
