"""The plane-slice-aware transformer (PSAT) of Med3DInsight: what a volume shows on one slice.

Learnable queries read the volume's tokens through post-norm decoder layers. One vector of a table,
chosen by plane and slice, is added to queries and tokens before the first layer. Knows nothing of
encoders, images or losses.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from med2e3.model.insight_config import InsightConfig

#: Planes of the table, in the published order: axial, coronal, sagittal.
PLANES = 3


class PlaneSliceTransformer(nn.Module):
    """Tokens (B, N, C) of a volume, a plane and a slice → the slice's embedding (B, E)."""

    def __init__(self, config: InsightConfig, width: int) -> None:
        super().__init__()
        if width % config.heads:
            raise ValueError(f"heads={config.heads} do not divide the encoder's width of {width}")
        self.bins, self.slice_index = config.slice_bins, config.slice_index
        self.first_alone = config.readout == "first"
        self.queries = nn.Parameter(torch.randn(config.queries, width))
        self.table = nn.Parameter(torch.randn(PLANES, config.slice_bins, width))
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(
                width, config.heads, config.feedforward, config.dropout, "relu", batch_first=True
            )
            for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(width)
        self.projection = nn.Linear(width, config.embedding_size)

    def column(self, index: Tensor, count: Tensor) -> Tensor:
        """The table's column (B,) of slice `index` (B,) among `count` (B,) slices of its plane.

        "halved" is the published rule, index // 2, which is meant for at most twice as many slices
        as there are columns; later slices take the last column.
        """
        if self.slice_index == "halved":
            return (index // 2).clamp(max=self.bins - 1)
        return (index * self.bins // count).clamp(max=self.bins - 1)

    def forward(self, tokens: Tensor, plane: Tensor, column: Tensor) -> Tensor:
        """Tokens (B, N, C), plane numbers (B,) and columns (B,) → (B, E), not normalised."""
        place = self.table[plane, column][:, None]  # (B, 1, C)
        memory, x = tokens + place, self.queries + place
        for layer in self.layers:
            x = layer(x, memory)
        x = self.norm(x[:, 0] if self.first_alone else x)
        return self.projection(x if self.first_alone else x.mean(dim=1))  # type: ignore[no-any-return]
