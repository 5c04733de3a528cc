"""Maps encoder features to the language model's width. Knows nothing of encoders or prompts."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Connector(nn.Module):
    """Linear, exact GELU, linear: features (..., D_in) → (..., D_out)."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(in_features, out_features)
        self.linear2 = nn.Linear(out_features, out_features)

    def forward(self, features: Tensor) -> Tensor:
        """The same tokens at the language model's width."""
        return self.linear2(F.gelu(self.linear1(features)))  # type: ignore[no-any-return]


def pool_tokens(tokens: Tensor, grid: tuple[int, int, int], pool: int) -> Tensor:
    """Mean over cubes of `pool`³ cells: (B, N, D), depth-major over `grid` → (B, N / pool³, D).

    A reshape and a mean in place of `avg_pool3d`, which has no bfloat16 kernel on CPUs.
    """
    if pool == 1:
        return tokens
    batch, width = tokens.shape[0], tokens.shape[-1]
    d, h, w = (n // pool for n in grid)
    cells = tokens.view(batch, d, pool, h, pool, w, pool, width)
    return cells.mean(dim=(2, 4, 6)).reshape(batch, d * h * w, width)
