"""The 2D encoder: transformers' SigLIP on each slice, with its own patches or a convolutional stem.

Slices go in as they are, 0..1, without SigLIP's mean and deviation, as the published model does it.
Knows nothing of volumes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from transformers import SiglipVisionConfig, SiglipVisionModel

from med2e3.model.stem import Slice2DEmbeddings


class Vision2DModel(nn.Module):
    """Slices (N, 1, H, W) → tokens (N, P, D) of the last SigLIP layer.

    `normed` says whether SigLIP's final layer norm is applied; where it is not, the model has none.
    """

    def __init__(
        self, config: SiglipVisionConfig, stem: Sequence[dict[str, Any]], *, normed: bool
    ) -> None:
        super().__init__()
        self.channels = config.num_channels
        self.siglip = SiglipVisionModel._from_config(config)
        if stem:
            self.siglip.embeddings = Slice2DEmbeddings(stem, config)
        if not normed:
            self.siglip.post_layernorm = nn.Identity()

    def forward(self, slices: Tensor) -> Tensor:
        """A grey slice is repeated over as many channels as the encoder takes."""
        images = slices.expand(-1, self.channels, -1, -1)
        x = self.siglip.embeddings(images)  # (N, P, D)
        x = self.siglip.encoder(inputs_embeds=x).last_hidden_state
        return self.siglip.post_layernorm(x)  # type: ignore[no-any-return]
