"""The backend of Med-2E3: system text and 3D tokens are the prefix of its prompts.

The suffix has the 2D tokens and the question: slice scores mix the 2D tokens by the question.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from med2e3.engine.backends.backend import NO_SCORES, Prompt, Suffix, VisualRows
from med2e3.engine.finite import check_finite
from med2e3.engine.grounding import Grounding
from med2e3.engine.volume_cache import VolumeCache
from med2e3.errors import QuestionError
from med2e3.model.modeling import ImageFeatures
from med2e3.model.placing import device_of
from med2e3.model.prompts import Turn
from med2e3.preprocessing import ModelInput
from med2e3.volume import Volume


class Med2E3Backend:
    """Wraps `Med2E3ForConditionalGeneration` and its processor."""

    features_class = ImageFeatures

    def __init__(self, network: Any, processor: Any) -> None:
        self.network = network
        self.processor = processor

    @property
    def has_scores(self) -> bool:
        """True but for the aggregation "max" and models without a 2D encoder."""
        config = self.network.config
        return "2d" in config.encoders and config.aggregation != "max"

    @property
    def context_length(self) -> int:
        """Most rows that prompt and answer may take together."""
        return int(self.network.config.max_context)

    def vision_blocks(self) -> Sequence[nn.Module]:
        """The 3D encoder's blocks, then the 2D encoder's layers."""
        blocks: list[nn.Module] = []
        if self.network.vision3d is not None:
            blocks += self.network.vision3d.blocks
        if self.network.vision2d is not None:
            blocks += self.network.vision2d.siglip.encoder.layers
        return blocks

    def tokenise(self, turns: Sequence[Turn], *, spaced: bool = False) -> Prompt:
        """The prompt by the processor's template; `spaced` changes nothing."""
        ids = self.processor.prompt_ids(turns)
        question = self.processor.question_ids(turns[-1][0])
        return Prompt(tuple(turns), tuple(ids), len(ids), len(question))

    def encode(self, grid: Tensor) -> ImageFeatures:
        """Features of both encoders, after the connectors, with the slices' keys."""
        features: ImageFeatures = self.network.encode_images(
            grid.unsqueeze(0).to(self.network.dtype)
        )
        return features

    def prefix(self, features: ImageFeatures) -> Tensor:
        """Rows of the text before the volume, and of the 3D tokens."""
        ids = self.processor.prompt_ids([("", None)])
        before = self._embed(ids[: ids.index(self.network.config.image_token_id)])
        if features.tokens3d is None:
            return before
        return torch.cat([before, features.tokens3d.to(before)], dim=1)

    def suffix(
        self,
        features: ImageFeatures,
        prompt: Prompt,
        keep: Tensor | None,
        seed: int,
    ) -> Suffix:
        """2D tokens mixed by the question's scores, and the text after the volume.

        Raises `CheckpointError` for scores that are no numbers.
        """
        rows = [self._question_rows(prompt)]
        scores = logits = None
        if features.tokens2d is not None:
            mask = None if keep is None else keep.unsqueeze(0)
            text = self._text(prompt.guide)
            with torch.random.fork_rng(devices=[]):  # "random" aggregation draws on the CPU
                torch.manual_seed(seed)
                scores, logits = self.network.weigh_slices(features, text, 1, mask)
            mixed = self.network.mixed_tokens(features, scores, keep=mask)
            rows.insert(0, mixed.to(rows[0]))
        if scores is None or logits is None:
            return Suffix(torch.cat(rows, dim=1), None)
        check_finite(scores, "slice scores")
        values, raw = (t[0].float().cpu().numpy() for t in (scores, logits))
        return Suffix(torch.cat(rows, dim=1), values, raw)

    def weighted_rows(self, features: ImageFeatures, prompt: Prompt, weights: Tensor) -> Tensor:
        """2D tokens mixed by `weights` in place of the scores, and the text after the volume."""
        if not self.has_scores:
            raise QuestionError(NO_SCORES)
        text = self._question_rows(prompt)
        first = torch.zeros(len(weights), dtype=torch.long, device=weights.device)
        mixed = self.network.mixed_tokens(features, weights, volume_index=first)
        return torch.cat([mixed.to(text), text.expand(len(weights), -1, -1)], dim=1)

    def visual_rows(self) -> VisualRows:
        """3D tokens first, then the mixed 2D tokens; both after the text before the volume."""
        config = self.network.config
        first = self.processor.prompt_ids([("", None)]).index(config.image_token_id)
        side = math.isqrt(config.tokens_per_slice)
        return VisualRows(
            first3d=first,
            cells3d=config.grid3d if "3d" in config.encoders else None,
            first2d=first + config.num_tokens3d,
            cells2d=(side, side) if "2d" in config.encoders else None,
        )

    def _question_rows(self, prompt: Prompt) -> Tensor:
        """Rows (1, T, D) of the text after the volume."""
        ids = list(prompt.ids)
        first = ids.index(self.network.config.image_token_id) + self.processor.num_visual_tokens
        return self._embed(ids[first:])

    def drawing_blocks(self) -> Sequence[nn.Module]:
        """No blocks: this model draws nothing."""
        return ()

    def ground(
        self,
        cache: VolumeCache,
        prompt: Prompt,
        token_ids: Sequence[int],
        model_input: ModelInput,
        volume: Volume,
    ) -> Grounding:
        """No boxes and no masks: this model names none."""
        return Grounding()

    def _text(self, question: str) -> Tensor | None:
        if self.network.scorer is None:
            return None
        ids = torch.tensor([self.processor.question_ids(question)], device=device_of(self.network))
        vector: Tensor = self.network.encode_question(ids)
        return vector

    def _embed(self, ids: Sequence[int]) -> Tensor:
        tokens = torch.tensor([ids], dtype=torch.long, device=device_of(self.network))
        rows: Tensor = self.network.get_input_embeddings()(tokens)
        return rows
