"""Encoder pretraining: what is in which patch (kind and place), and what scan it is.

Direct supervision is what teaches a small encoder small findings in minutes; the heads are thrown
away afterwards. Knows nothing of language.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from med2e3.errors import InputError
from med2e3.fields import Count
from med2e3.geometry import Plane
from med2e3.model import Med2E3ForConditionalGeneration
from med2e3.model.connector import pool_tokens
from med2e3.model.placing import device_of
from med2e3.phantoms import KINDS, PHASES, Region
from med2e3.phantoms.facts import Facts
from med2e3.training.data.pool import KIND_NAMES, Example
from med2e3.training.precision import half_precision
from med2e3.training.stage_recipe import StageRecipe
from med2e3.training.stages.base import PhantomStage, Reads, StageData

#: What a finding of one patch weighs against a patch without. One of n patches weighs √n as much in
#: all, so that a nodule is not drowned by an effusion.
POSITIVE_WEIGHT = 10.0
#: Weight of the scan's classes (plane, phase, region) beside the findings; of slices, of volumes.
#: At a quarter of that of slices phase was still at chance when the findings' loss had halved.
CLASS_WEIGHT_2D, CLASS_WEIGHT_3D = 4.0, 3.0

#: Every place that a finding may have, in any region.
PLACE_NAMES = tuple(dict.fromkeys(p for kind in KINDS.values() for p in kind.all_places))

CLASSES: tuple[tuple[str, ...], ...] = (
    tuple(p.value for p in Plane),
    tuple(p.value for p in PHASES),
    tuple(r.value for r in Region),
)


class Heads(nn.Module):
    """What is asked of the tokens: kinds and places a token, classes of their mean."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.kinds = nn.Linear(width, len(KIND_NAMES) + len(PLACE_NAMES))
        self.classes = nn.Linear(width, sum(len(names) for names in CLASSES))
        nn.init.constant_(self.kinds.bias, -3.0)  # findings are rare

    def loss(self, tokens: Tensor, kinds: Tensor) -> Tensor:
        """Tokens (N, P, D) against (N, P, K + L) of 0 and 1: sum over these, mean over tokens."""
        logits, kinds = self.kinds(tokens).float(), kinds.float()
        each = F.binary_cross_entropy_with_logits(logits, kinds, reduction="none")
        patches = kinds.sum(dim=1, keepdim=True).clamp(min=1)
        each = each * (1 + kinds * (POSITIVE_WEIGHT / patches.sqrt() - 1))
        return each.sum(-1).mean() * 10

    def class_loss(self, mean: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Mean tokens (B, D) against (B, 3) class numbers; also how many are right (3,)."""
        logits = self.classes(mean).float().split([len(names) for names in CLASSES], dim=-1)
        losses = [F.cross_entropy(part, truth[:, k]) for k, part in enumerate(logits)]
        right = [(part.argmax(-1) == truth[:, k]).float().mean() for k, part in enumerate(logits)]
        return torch.stack(losses).sum(), torch.stack(right)


def with_places(patches: NDArray[np.bool_], facts: Facts) -> NDArray[np.bool_]:
    """Kinds (K, ...) → kinds and then places (K + L, ...): which patch holds a finding of which
    place. Without it tokens say what is there, and the language model has to learn anatomy in
    three planes from the answers alone: places stayed at chance.
    """
    places = np.zeros((len(PLACE_NAMES), *patches.shape[1:]), bool)
    for fact in facts.findings:
        places[PLACE_NAMES.index(fact.place)] |= patches[KIND_NAMES.index(fact.name)]
    return np.concatenate([patches, places])


def class_numbers(examples: Sequence[Example]) -> Tensor:
    """(B, 3): plane, phase and region of each."""
    rows = []
    for example in examples:
        said = (example.facts.plane.value, example.facts.phase.value, example.facts.region.value)
        rows.append([names.index(word) for names, word in zip(CLASSES, said, strict=True)])
    return torch.tensor(rows)


def draw(pool: Sequence[Example], count: int, rng: np.random.Generator) -> list[Example]:
    """Examples at random, each at most once."""
    return [pool[int(k)] for k in rng.choice(len(pool), min(count, len(pool)), replace=False)]


def to_memory_format(module: nn.Module, layout: torch.memory_format) -> None:
    """Lays out convolution weights so that the CPU's convolutions need no reordering."""
    axes = 5 if layout is torch.channels_last_3d else 4
    for parameter in module.parameters():
        if parameter.ndim == axes:
            parameter.data = parameter.data.contiguous(memory_format=layout)


def _present(encoder: nn.Module | None) -> nn.Module:
    if encoder is None:
        raise InputError("The recipe's model lacks the encoder that a stage of it trains.")
    return encoder


@dataclass(frozen=True)
class Encoder2DRecipe(StageRecipe):
    """A micro-batch has `slices` slices of each of `volumes`."""

    volumes: Count
    slices: Count

    def smoke(self) -> Self:
        """Three steps of two volumes."""
        return replace(super().smoke(), volumes=2)

    def micro_batch(self) -> str:
        """How many volumes, and how many slices of each."""
        return f"{self.volumes} volumes × {self.slices} slices"


class Encoder2DStage(PhantomStage[Encoder2DRecipe]):
    """Slices, those with findings first."""

    recipe_class = Encoder2DRecipe
    reads = Reads.PHANTOMS
    modules = {"encoder": "vision2d"}  # noqa: RUF012 - a constant of the class

    def __init__(
        self,
        recipe: Encoder2DRecipe,
        model: Med2E3ForConditionalGeneration,
        pool: Sequence[Example],
    ) -> None:
        self.name = recipe.name
        width = model.config.vision2d_config.hidden_size
        self.encoder, self.heads = _present(model.vision2d), Heads(width)
        self.module: nn.Module = nn.ModuleDict({"encoder": self.encoder, "heads": self.heads})
        to_memory_format(self.module, torch.channels_last)  # 1.2× on the stem
        self.pool, self.volumes, self.slices = pool, recipe.volumes, recipe.slices

    @classmethod
    def build(cls, recipe: Encoder2DRecipe, data: StageData) -> Self:
        """The 2D encoder on all phantoms."""
        return cls(recipe, data.model(), data.phantoms())

    def loss(self, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """Patch findings and scan classes of a batch of slices."""
        images, kinds, truth = [], [], []
        for example in draw(self.pool, self.volumes, rng):
            for k in self._choose(example, rng):
                images.append(example.grid[k])
                kinds.append(with_places(example.patches[:, k], example.facts))
                truth.append(example)
        device = device_of(self.encoder)
        grids = torch.from_numpy(np.stack(images)).to(device).float()[:, None] / 255
        hit = torch.from_numpy(np.stack(kinds)).to(device).flatten(2).transpose(1, 2)  # (N, P, K)
        said = class_numbers(truth).to(device)
        with half_precision(device):
            tokens = self.encoder(grids)  # (N, P, D)
            finding = self.heads.loss(tokens, hit)
            classes, right = self.heads.class_loss(tokens.mean(1), said)
        numbers = {
            "findings": float(finding.detach()),
            "plane": float(right[0]),
            "phase": float(right[1]),
        }
        return finding + CLASS_WEIGHT_2D * classes, numbers

    def _choose(self, example: Example, rng: np.random.Generator) -> list[int]:
        """Mostly slices that hold a finding, each finding alike; the rest at random."""
        count = len(example.grid)
        chosen = []
        present = np.flatnonzero(example.slices.any(axis=1))
        for _ in range(self.slices * 5 // 8 if len(present) else 0):
            kind = present[int(rng.integers(len(present)))]
            held = np.flatnonzero(example.slices[kind])
            chosen.append(int(held[int(rng.integers(len(held)))]))
        while len(chosen) < self.slices:
            chosen.append(int(rng.integers(count)))
        return chosen


@dataclass(frozen=True)
class Encoder3DRecipe(StageRecipe):
    """A micro-batch has `volumes` whole volumes."""

    volumes: Count

    def smoke(self) -> Self:
        """Three steps of two volumes."""
        return replace(super().smoke(), volumes=2)

    def micro_batch(self) -> str:
        """How many volumes."""
        return f"{self.volumes} volumes"


class Encoder3DStage(PhantomStage[Encoder3DRecipe]):
    """Whole volumes: findings by token, and by the pooled tokens that the language model reads."""

    recipe_class = Encoder3DRecipe
    reads = Reads.PHANTOMS
    modules = {"encoder": "vision3d"}  # noqa: RUF012 - a constant of the class

    def __init__(
        self,
        recipe: Encoder3DRecipe,
        model: Med2E3ForConditionalGeneration,
        pool: Sequence[Example],
    ) -> None:
        self.name, self.config = recipe.name, model.config
        width = model.config.vision3d_config.hidden_size
        self.encoder = _present(model.vision3d)
        self.heads, self.pooled = Heads(width), Heads(width)
        self.module: nn.Module = nn.ModuleDict(
            {"encoder": self.encoder, "heads": self.heads, "pooled": self.pooled}
        )
        to_memory_format(self.module, torch.channels_last_3d)
        self.pool, self.volumes = pool, recipe.volumes

    @classmethod
    def build(cls, recipe: Encoder3DRecipe, data: StageData) -> Self:
        """The 3D encoder on all phantoms."""
        return cls(recipe, data.model(), data.phantoms())

    def loss(self, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """Findings and scan classes of a batch of volumes."""
        examples = draw(self.pool, self.volumes, rng)
        device = device_of(self.encoder)
        grids = torch.from_numpy(np.stack([e.grid for e in examples])).to(device)
        grids = grids.float()[:, None] / 255
        held = np.stack([with_places(e.patches, e.facts) for e in examples])
        patches = torch.from_numpy(held).to(device).float()  # (B, K + L, S, r, c)
        said = class_numbers(examples).to(device)
        step = self.config.vision3d_config.patch_size[0]
        pool, grid = self.config.pool3d, self.config.vision3d_config.patch_grid
        cells = F.max_pool3d(patches, (step, 1, 1))
        coarse = F.max_pool3d(cells, pool)
        with half_precision(device):
            output = self.encoder(grids)
            tokens = output.tokens if output.normed is None else output.normed
            pooled = pool_tokens(tokens, grid, pool)
            finding = self.heads.loss(tokens, cells.flatten(2).transpose(1, 2))
            finding = finding + self.pooled.loss(pooled, coarse.flatten(2).transpose(1, 2))
            classes, right = self.pooled.class_loss(pooled.mean(1), said)
        numbers = {
            "findings": float(finding.detach()),
            "plane": float(right[0]),
            "phase": float(right[1]),
        }
        return finding + CLASS_WEIGHT_3D * classes, numbers
