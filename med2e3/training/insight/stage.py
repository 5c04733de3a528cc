"""The stage that pretrains a 3D encoder: alignment of its slices' embeddings, and reconstruction.

Knows nothing of files or of how the frozen embeddings were made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from med2e3.model.insight import InsightModel
from med2e3.training.insight.alignment import Alignment, PairQueue
from med2e3.training.insight.pairs import Pairs
from med2e3.training.insight.recipe import INSIGHT, InsightStageRecipe
from med2e3.training.precision import half_precision

#: Numbers of the frozen embeddings in the queue.
IMAGE, TEXT = 0, 1


@dataclass(frozen=True, eq=False)
class Frozen:
    """Embeddings (N, E) of all pairs' images, and of the captions that they are trained with."""

    image: Tensor
    text: Tensor


class InsightStage:
    """A 3D encoder and its transformer on pairs; a `Stage`."""

    name = INSIGHT

    def __init__(
        self, recipe: InsightStageRecipe, model: InsightModel, pairs: Pairs, frozen: Frozen
    ) -> None:
        width = frozen.image.shape[1]
        self.recipe, self.model, self.pairs, self.frozen = recipe, model, pairs, frozen
        self.align = nn.ModuleList(Alignment(recipe.alignment, width) for _ in (IMAGE, TEXT))
        self.queue = PairQueue(recipe.alignment.queue, width, 2)
        self.module: nn.Module = nn.ModuleDict(
            {"model": model, "align": self.align, "queue": self.queue}
        )
        self.owned = pairs.of_volume()
        self.captioned = [k for k, owned in enumerate(self.owned) if len(owned)]

    def loss(self, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """The weighted sum of the three losses over a batch of volumes drawn with `rng`."""
        recipe = self.recipe
        chosen, rows, owner = self.draw(rng)
        device = next(self.model.parameters()).device
        volumes = torch.from_numpy(np.stack([self.pairs.volumes[k] for k in chosen])).to(device)
        volumes = volumes.float()[:, None] / 255
        shown = self._masked(volumes, rng) if recipe.mask_ratio else volumes
        with half_precision(device):
            encoded = self.model.encode(shown)
            slices = self.slices_of(rows, device)
            embeds = self.model.embed(encoded, torch.from_numpy(owner).to(device), *slices)
            drawn = self.model.reconstruct(encoded) if recipe.reconstruction else None
        own = F.normalize(embeds.float(), dim=-1)
        targets = torch.stack([self.frozen.image[rows], self.frozen.text[rows]]).to(device)
        numbers, loss = {}, own.new_zeros(())
        for which, (name, weight) in enumerate((("image", recipe.image), ("text", recipe.text))):
            if weight:
                beside = self.queue.beside(own, targets[which], which)
                part = self.align[which](*beside, current=len(own))
                numbers[name] = float(part.detach())
                loss = loss + weight * part
        if drawn is not None:
            part = F.mse_loss(drawn.float(), volumes)
            numbers["reconstruction"] = float(part.detach())
            loss = loss + recipe.reconstruction * part
        self.queue.push(own, targets)
        numbers["R@1"] = share_right(own.detach(), targets[IMAGE])
        return loss, numbers

    def draw(
        self, rng: np.random.Generator
    ) -> tuple[list[int], NDArray[np.int64], NDArray[np.int64]]:
        """Numbers of volumes, of pairs, and for each pair which of the drawn volumes is its own."""
        few = len(self.captioned) < self.recipe.volumes
        chosen = rng.choice(self.captioned, self.recipe.volumes, replace=few)
        rows, owner = [], []
        for place, volume in enumerate(chosen):
            owned = self.owned[int(volume)]
            taken = rng.choice(owned, self.recipe.slices, replace=len(owned) < self.recipe.slices)
            rows += list(taken)
            owner += [place] * len(taken)
        return [int(k) for k in chosen], np.array(rows), np.array(owner)

    def slices_of(
        self, rows: NDArray[np.int64], device: torch.device
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Plane, index and count of these pairs, each (P,)."""
        pairs = [self.pairs.pairs[int(k)] for k in rows]
        said = torch.tensor([[p.plane, p.index, p.count] for p in pairs], device=device)
        return said[:, 0], said[:, 1], said[:, 2]

    def _masked(self, volumes: Tensor, rng: np.random.Generator) -> Tensor:
        """The volumes with a share of their patches at the volume's mean."""
        stride = self.model.encoder.stride
        cells = [n // s for n, s in zip(volumes.shape[2:], stride, strict=True)]
        hidden = rng.random((len(volumes), 1, *cells)) < self.recipe.mask_ratio
        mask = torch.from_numpy(hidden).to(volumes.device)
        for axis, step in enumerate(stride, 2):
            mask = mask.repeat_interleave(step, dim=axis)
        return torch.where(mask, volumes.mean((2, 3, 4), keepdim=True), volumes)


def share_right(own: Tensor, target: Tensor) -> float:
    """How many of the embeddings (n, E), of length 1, are nearest to their own target: R@1."""
    best = (own @ target.T).argmax(1)
    return float((best == torch.arange(len(own), device=own.device)).float().mean())
