"""Two-way attention between a few prompt tokens and an image's tokens, as in Segment Anything.

It is the transformer inside SegVol's mask decoder (arXiv 2311.13385). Knows nothing of volumes or
masks. Module names follow the published checkpoints, so that their keys need no translation.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class DownscaledAttention(nn.Module):
    """Multi-head attention whose inner width is the width divided by `downscale`."""

    def __init__(self, width: int, heads: int, downscale: int = 1) -> None:
        super().__init__()
        inner = width // downscale
        if inner % heads:
            raise ValueError(f"An inner width of {inner} cannot be split among {heads} heads.")
        self.heads = heads
        self.q_proj = nn.Linear(width, inner)
        self.k_proj = nn.Linear(width, inner)
        self.v_proj = nn.Linear(width, inner)
        self.out_proj = nn.Linear(inner, width)

    def _split(self, x: Tensor) -> Tensor:
        split = x.reshape(*x.shape[:2], self.heads, -1)
        return split.transpose(1, 2)  # (B, heads, T, inner / heads)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """(B, Q, C), (B, K, C), (B, K, C) → (B, Q, C)."""
        mixed = F.scaled_dot_product_attention(
            self._split(self.q_proj(query)),
            self._split(self.k_proj(key)),
            self._split(self.v_proj(value)),
        )
        out: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return out


class TwoWayMLP(nn.Module):
    """Linear, ReLU, Linear on each token."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.lin1 = nn.Linear(width, hidden)
        self.lin2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) → (B, T, C)."""
        out: Tensor = self.lin2(F.relu(self.lin1(x)))
        return out


class TwoWayBlock(nn.Module):
    """Prompt tokens attend to themselves, then to the image; the image attends back.

    `first`: the self-attention replaces the tokens (no residual) and sees no position, because in
    the first block the tokens are their own positions.
    """

    def __init__(self, width: int, heads: int, mlp_size: int, *, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = DownscaledAttention(width, heads)
        self.norm1 = nn.LayerNorm(width)
        self.cross_attn_token_to_image = DownscaledAttention(width, heads, downscale=2)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = TwoWayMLP(width, mlp_size)
        self.norm3 = nn.LayerNorm(width)
        self.norm4 = nn.LayerNorm(width)
        self.cross_attn_image_to_token = DownscaledAttention(width, heads, downscale=2)

    def forward(
        self, tokens: Tensor, image: Tensor, token_pe: Tensor, image_pe: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Tokens (B, T, C) and image (B, N, C) with their positions → both, updated."""
        if self.first:
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            placed = tokens + token_pe
            tokens = tokens + self.self_attn(placed, placed, tokens)
        tokens = self.norm1(tokens)
        key = image + image_pe
        tokens = tokens + self.cross_attn_token_to_image(tokens + token_pe, key, image)
        tokens = self.norm2(tokens)
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = image + self.cross_attn_image_to_token(key, tokens + token_pe, tokens)
        return tokens, self.norm4(image)


class TwoWayTransformer(nn.Module):
    """A stack of `TwoWayBlock`s and a last look of the tokens at the image."""

    def __init__(self, width: int, heads: int, mlp_size: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayBlock(width, heads, mlp_size, first=k == 0) for k in range(depth)
        )
        self.final_attn_token_to_image = DownscaledAttention(width, heads, downscale=2)
        self.norm_final_attn = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, image: Tensor, image_pe: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, T, C), image and its positions (B, N, C) → tokens and image, updated.

        The tokens' positions are the tokens as they came in.
        """
        token_pe = tokens
        for layer in self.layers:
            tokens, image = layer(tokens, image, token_pe, image_pe)
        looked = self.final_attn_token_to_image(tokens + token_pe, image + image_pe, image)
        return self.norm_final_attn(tokens + looked), image
