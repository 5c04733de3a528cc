"""The backend of M3D-LaMed: the prefix is start token and image, the suffix the question.

The model has no slice scores. Boxes and masks of its answers are placed in the patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from med2e3.engine.backends.backend import NO_SCORES, Prompt, Suffix, VisualRows
from med2e3.engine.finite import check_finite
from med2e3.engine.grounding import Grounding, Mask, parse_boxes, place_mask
from med2e3.engine.volume_cache import VolumeCache
from med2e3.errors import QuestionError
from med2e3.model.placing import device_of
from med2e3.model.prompts import Turn
from med2e3.preprocessing import ModelInput
from med2e3.volume import Volume


@dataclass(eq=False)
class LaMedFeatures:
    """Image rows (1, N, C) of the prompt, and the mask head's features once a mask was drawn."""

    tokens: Tensor
    mask_features: Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Memory that the tensors take."""
        return sum(t.nbytes for t in (self.tokens, self.mask_features) if t is not None)


class M3DLaMedBackend:
    """Wraps `M3DLaMedForConditionalGeneration` and its processor."""

    has_scores = False
    features_class = LaMedFeatures

    def __init__(self, network: Any, processor: Any) -> None:
        self.network = network
        self.processor = processor

    @property
    def context_length(self) -> int:
        """Most rows that prompt and answer may take together."""
        return int(self.network.config.max_context)

    def vision_blocks(self) -> Sequence[nn.Module]:
        """The blocks of the vision tower."""
        blocks: Sequence[nn.Module] = self.network.vision3d.blocks
        return blocks

    def tokenise(self, turns: Sequence[Turn], *, spaced: bool = False) -> Prompt:
        """The published prompt of one question. Raises `QuestionError` for earlier turns."""
        if len(turns) > 1:
            raise QuestionError(
                "M3D-LaMed was trained on single questions and cannot take earlier turns. Ask "
                "again without them, with everything it must know in one question."
            )
        question = turns[0][0]
        ids = self.processor.prompt_ids(question, spaced=spaced)
        own = self.processor.tokenizer(question, add_special_tokens=False)["input_ids"]
        return Prompt(tuple(turns), tuple(ids), len(ids), len(own))

    def encode(self, grid: Tensor) -> LaMedFeatures:
        """Image rows of the vision tower, after the projector."""
        return LaMedFeatures(self.network.encode_images(grid.unsqueeze(0).to(self.network.dtype)))

    def prefix(self, features: LaMedFeatures) -> Tensor:
        """Rows of the start token and of the image."""
        ids = self.processor.prompt_ids("")
        before = self._embed(ids[: ids.index(self.network.config.image_token_id)])
        return torch.cat([before, features.tokens.to(before)], dim=1)

    def suffix(
        self, features: LaMedFeatures, prompt: Prompt, keep: Tensor | None, seed: int
    ) -> Suffix:
        """Rows of the question; no scores."""
        return Suffix(self._question(prompt), None)

    def weighted_rows(self, features: LaMedFeatures, prompt: Prompt, weights: Tensor) -> Tensor:
        """Raises `QuestionError`: this model weighs no slices."""
        raise QuestionError(NO_SCORES)

    def visual_rows(self) -> VisualRows:
        """The image's tokens; those averaged along the sequence have no one cell."""
        config = self.network.config
        first = self.processor.prompt_ids("").index(config.image_token_id)
        return VisualRows(first3d=first, cells3d=config.cells3d)

    def drawing_blocks(self) -> Sequence[nn.Module]:
        """The blocks of the mask head's own encoder."""
        segvol = self.network.segvol
        blocks: Sequence[nn.Module] = () if segvol is None else segvol.image_encoder.blocks
        return blocks

    def ground(
        self,
        cache: VolumeCache,
        prompt: Prompt,
        token_ids: Sequence[int],
        model_input: ModelInput,
        volume: Volume,
    ) -> Grounding:
        """Boxes in the answer's text, and the mask that its token `[SEG]` asks for."""
        text = self.processor.decode(token_ids, skip_special_tokens=False)
        masks: tuple[Mask, ...] = ()
        logits = self.mask_logits(cache, prompt, token_ids, model_input)
        if logits is not None:
            masks = (place_mask(logits, model_input, volume),)
        return Grounding(parse_boxes(text, model_input), masks)

    def mask_logits(
        self, cache: VolumeCache, prompt: Prompt, token_ids: Sequence[int], model_input: ModelInput
    ) -> Tensor | None:
        """Logits (1, S, H, W) on the model's grid of the mask that `[SEG]` asks for; None without
        that token.
        """
        features: LaMedFeatures = cache.features
        if self.network.config.seg_token_id not in token_ids or self.network.segvol is None:
            return None
        if features.mask_features is None:
            features.mask_features = self._encode_for_masks(model_input)
        tokens = torch.tensor([list(token_ids)], device=device_of(self.network))
        states = self._answer_states(cache, prompt, token_ids)
        logits: Tensor
        (logits,) = self.network.segment(features.mask_features, tokens, states)
        check_finite(logits, "values of the mask")
        return logits

    def _encode_for_masks(self, model_input: ModelInput) -> Tensor:
        segvol = self.network.segvol  # `encode` is no forward pass, which would move its input
        grid = model_input.grid.unsqueeze(0).to(device_of(segvol), self.network.dtype)
        features: Tensor = segvol.encode(grid)
        return features

    def _answer_states(
        self, cache: VolumeCache, prompt: Prompt, token_ids: Sequence[int]
    ) -> Tensor:
        """Last hidden states (1, T, C) that predict the answer's tokens, by one more pass."""
        question = self._question(prompt)
        rows = torch.cat([question, self._embed(token_ids[:-1])], dim=1)
        output = self.network.language_model(
            inputs_embeds=rows,
            past_key_values=cache.copy_prefix(),
            use_cache=True,
            output_hidden_states=True,
            logits_to_keep=1,
        )
        states: Tensor = output.hidden_states[-1][:, question.shape[1] - 1 :]
        return states

    def _question(self, prompt: Prompt) -> Tensor:
        """Rows of the text after the image."""
        ids = list(prompt.ids)
        first = ids.index(self.network.config.image_token_id) + self.processor.num_visual_tokens
        return self._embed(ids[first:])

    def _embed(self, ids: Sequence[int]) -> Tensor:
        tokens = torch.tensor([list(ids)], dtype=torch.long, device=device_of(self.network))
        rows: Tensor = self.network.get_input_embeddings()(tokens)
        return rows
