"""M3D-LaMed behind the engine: start token and image rows are the prefix, the question the suffix.

It has no slice scores. What its answers name, boxes and masks, is placed in the patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from med2e3.engine.backends.backend import Grounding, Prompt, Suffix
from med2e3.engine.decoding import shared_copy
from med2e3.engine.grounding import Mask, parse_boxes, place_mask
from med2e3.errors import QuestionError
from med2e3.model.placing import device_of
from med2e3.model.prompts import Turn
from med2e3.preprocessing import ModelInput
from med2e3.volume import Volume


@dataclass(eq=False)
class LaMedFeatures:
    """Image rows (1, N, C) of the prompt; the mask head's features once a mask was asked for."""

    tokens: Tensor
    mask_features: Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Memory that the tensors take."""
        return sum(t.nbytes for t in (self.tokens, self.mask_features) if t is not None)


class M3DLaMedBackend:
    """Wraps `M3DLaMedForConditionalGeneration` and its processor."""

    has_scores = False

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model
        self.processor = processor

    @property
    def context_length(self) -> int:
        """Rows that prompt and answer may take together."""
        return int(self.model.config.max_context)

    def vision_blocks(self) -> Sequence[nn.Module]:
        """The blocks of the vision tower."""
        blocks: Sequence[nn.Module] = self.model.vision3d.blocks
        return blocks

    def ask(self, turns: Sequence[Turn], *, spaced: bool = False) -> Prompt:
        """The published prompt. Raises `QuestionError` for a conversation: it knows none."""
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
        """Vision tower and projector."""
        return LaMedFeatures(self.model.encode_images(grid.unsqueeze(0).to(self.model.dtype)))

    def prefix(self, features: LaMedFeatures) -> Tensor:
        """What stands before the image, and the image."""
        ids = self.processor.prompt_ids("")
        before = self._embed(ids[: ids.index(self.model.config.image_token_id)])
        return torch.cat([before, features.tokens.to(before)], dim=1)

    def suffix(
        self, features: LaMedFeatures, asked: Prompt, keep: Tensor | None, seed: int
    ) -> Suffix:
        """The question."""
        return Suffix(self._question(asked), None)

    def drawing_blocks(self) -> Sequence[nn.Module]:
        """The blocks of the mask head's own encoder."""
        segvol = self.model.segvol
        blocks: Sequence[nn.Module] = () if segvol is None else segvol.image_encoder.blocks
        return blocks

    def ground(
        self,
        kept: tuple[LaMedFeatures, Any],
        asked: Prompt,
        token_ids: Sequence[int],
        place: tuple[ModelInput, Volume],
    ) -> Grounding:
        """The boxes that the answer names, and the mask that its `[SEG]` asks for."""
        (features, cache), (given, volume) = kept, place
        text = self.processor.decode(token_ids, skip_special_tokens=False)
        masks: tuple[Mask, ...] = ()
        if self.model.config.seg_token_id in token_ids and self.model.segvol is not None:
            if features.mask_features is None:
                features.mask_features = self._encode_for_masks(given)
            tokens = torch.tensor([list(token_ids)], device=device_of(self.model))
            states = self._answer_states(cache, asked, token_ids)
            (logits,) = self.model.segment(features.mask_features, tokens, states)
            masks = (place_mask(logits, given, volume),)
        return Grounding(parse_boxes(text, given), masks)

    def _encode_for_masks(self, given: ModelInput) -> Tensor:
        segvol = self.model.segvol  # `encode` is no forward pass, which would move its input
        grid = given.grid.unsqueeze(0).to(device_of(segvol), self.model.dtype)
        features: Tensor = segvol.encode(grid)
        return features

    def _answer_states(self, cache: Any, asked: Prompt, token_ids: Sequence[int]) -> Tensor:
        """What predicted each token of the answer: (1, T, C), by one pass after the prefix."""
        question = self._question(asked)
        rows = torch.cat([question, self._embed(token_ids[:-1])], dim=1)
        output = self.model.language_model(
            inputs_embeds=rows,
            past_key_values=shared_copy(cache),
            use_cache=True,
            output_hidden_states=True,
            logits_to_keep=1,
        )
        states: Tensor = output.hidden_states[-1][:, question.shape[1] - 1 :]
        return states

    def _question(self, asked: Prompt) -> Tensor:
        """Rows of the text after the image."""
        ids = list(asked.ids)
        first = ids.index(self.model.config.image_token_id) + self.processor.num_visual_tokens
        return self._embed(ids[first:])

    def _embed(self, ids: Sequence[int]) -> Tensor:
        tokens = torch.tensor([list(ids)], dtype=torch.long, device=device_of(self.model))
        rows: Tensor = self.model.get_input_embeddings()(tokens)
        return rows
