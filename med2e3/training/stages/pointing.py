"""The loss that makes slice scores point at the slices which hold what a question is about.

Knows nothing of how these slices are known.
"""

from __future__ import annotations

import torch
from torch import Tensor


def pointing_loss(logits: Tensor | None, held: Tensor) -> tuple[Tensor, Tensor]:
    """−log of the score mass on the slices that hold the answer, (B, S) against (B, S) bool.

    Rows that hold nothing do not count. Also the mean mass itself.
    """
    if logits is None or not bool(held.any()):
        return torch.zeros((), device=held.device), torch.zeros(())
    rows = held.any(dim=1)
    log_scores = logits[rows].float().log_softmax(dim=-1)
    log_mass = log_scores.masked_fill(~held[rows], -torch.inf).logsumexp(dim=-1)
    return -log_mass.mean(), log_mass.detach().exp().mean()
