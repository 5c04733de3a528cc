"""Text-guided inter-slice scoring: which slices the question is about (arXiv 2411.12783, §3.2).

Key of slice j: the mean over its local features, z^j = AvgPool([z_3D^j ; z_2D^j]). Score: the
softmax over slices of z^j · z_T. Result: z_2D = Σ_j s^j z_2D^j. Knows nothing of encoders.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from med2e3.model.config import Med2E3Config


def slice_keys(tokens3d: Tensor | None, tokens2d: Tensor, depth: int) -> Tensor:
    """(B, N, D) and (B, S, P, D) → keys (B, S, D): plain mean over a slice's local features.

    Algorithm 1 of the paper: the 3D tokens are `depth` layers of N / `depth` tokens; each layer
    belongs to S / `depth` neighbouring slices. Without 3D tokens the mean is over 2D tokens alone.
    """
    slices, patches = tokens2d.shape[1:3]
    mean2d = tokens2d.mean(dim=2)  # (B, S, D)
    if tokens3d is None:
        return mean2d
    share = patches / (patches + tokens3d.shape[1] // depth)  # of the 2D tokens in the mean
    return mean2d * share + slice_keys_3d(tokens3d, depth, slices) * (1 - share)


def slice_keys_3d(tokens3d: Tensor, depth: int, slices: int) -> Tensor:
    """Keys (B, S, D) from 3D tokens (B, N, D) alone: the mean of a slice's depth layer."""
    batch, count, width = tokens3d.shape
    layers = tokens3d.view(batch, depth, count // depth, width).mean(dim=2)
    return layers.repeat_interleave(slices // depth, dim=1)


class SliceScorer(nn.Module):
    """Keys (B, S, D) and text (B, D) → logits (B, S), before the softmax.

    `learned_text` (D,) stands for every question's text where the config has no text guidance.
    """

    def __init__(self, config: Med2E3Config, width: int) -> None:
        super().__init__()
        self.normalise = config.score_norm == "layer_norm"
        self.temperature = float(config.score_temperature)
        if self.normalise:
            self.key_norm = nn.LayerNorm(width)
            self.text_norm = nn.LayerNorm(width)
        self.learned_text = (
            nn.Parameter(torch.empty(width)) if config.text_source == "none" else None
        )
        self.log_temperature = (
            nn.Parameter(torch.empty(())) if config.learnable_temperature else None
        )

    def forward(self, keys: Tensor, text: Tensor) -> Tensor:
        """In float32 whatever the inputs: a softmax over raw products needs the range."""
        if self.normalise:
            keys, text = self.key_norm(keys), self.text_norm(text)
        with torch.autocast(keys.device.type, enabled=False):
            logits = torch.einsum("bsd,bd->bs", keys.float(), text.float())
            if self.normalise:
                logits = logits / math.sqrt(keys.shape[-1])
            if self.log_temperature is not None:
                return logits * torch.exp(-self.log_temperature.float())
            return logits / self.temperature


def normalise_scores(logits: Tensor, keep: Tensor | None = None) -> Tensor:
    """Softmax over slices (B, S); slices where `keep` is False get exactly 0, the rest sum to 1."""
    if keep is not None:
        logits = logits.masked_fill(~keep, -torch.inf)
    return logits.softmax(dim=-1)


def mix_slices(tokens2d: Tensor, scores: Tensor, volume_index: Tensor | None) -> Tensor:
    """Σ_j s^j z_2D^j: tokens (V, S, P, D) and scores (B, S) → (B, P, D).

    `volume_index` (B,) says which volume each row of scores is about; None means row b is about
    volume b. With an index one product over all volumes replaces copying tokens for each question.
    """
    volumes, slices, patches, width = tokens2d.shape
    scores = scores.to(tokens2d.dtype)
    flat = tokens2d.reshape(volumes, slices, patches * width)
    if volume_index is None:
        mixed = torch.bmm(scores.unsqueeze(1), flat).squeeze(1)
    else:
        spread = scores.new_zeros(len(scores), volumes, slices)
        rows = torch.arange(len(scores), device=scores.device)
        spread[rows, volume_index] = scores
        mixed = spread.view(len(scores), -1) @ flat.view(volumes * slices, -1)
    return mixed.view(len(scores), patches, width)


def max_slices(tokens2d: Tensor, keep: Tensor | None, volume_index: Tensor | None) -> Tensor:
    """Elementwise maximum over slices: (V, S, P, D) → (B, P, D)."""
    if volume_index is not None:
        tokens2d = tokens2d[volume_index]
    if keep is not None:
        tokens2d = tokens2d.masked_fill(~keep[:, :, None, None], -torch.inf)
    return tokens2d.amax(dim=1)
