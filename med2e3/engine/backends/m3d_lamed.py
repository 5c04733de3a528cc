"""M3D-LaMed behind the engine: start token and image rows are the prefix, the question the suffix.

It has no slice scores. What its answers name, boxes and masks, is placed in the patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from med2e3.engine.backends.backend import Prompt, Suffix
from med2e3.engine.decoding import shared_copy
from med2e3.engine.grounding import Grounding, Mask, parse_boxes, place_mask
from med2e3.engine.volume_cache import VolumeCache
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

    def __init__(self, network: Any, processor: Any) -> None:
        self.network = network
        self.processor = processor

    @property
    def context_length(self) -> int:
        """Rows that prompt and answer may take together."""
        return int(self.network.config.max_context)

    def vision_blocks(self) -> Sequence[nn.Module]:
        """The blocks of the vision tower."""
        blocks: Sequence[nn.Module] = self.network.vision3d.blocks
        return blocks

    def tokenise(self, turns: Sequence[Turn], *, spaced: bool = False) -> Prompt:
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
        return LaMedFeatures(self.network.encode_images(grid.unsqueeze(0).to(self.network.dtype)))

    def prefix(self, features: LaMedFeatures) -> Tensor:
        """What stands before the image, and the image."""
        ids = self.processor.prompt_ids("")
        before = self._embed(ids[: ids.index(self.network.config.image_token_id)])
        return torch.cat([before, features.tokens.to(before)], dim=1)

    def suffix(
        self, features: LaMedFeatures, prompt: Prompt, keep: Tensor | None, seed: int
    ) -> Suffix:
        """The question."""
        return Suffix(self._question(prompt), None)

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
        """The boxes that the answer names, and the mask that its `[SEG]` asks for."""
        features: LaMedFeatures = cache.features
        text = self.processor.decode(token_ids, skip_special_tokens=False)
        masks: tuple[Mask, ...] = ()
        if self.network.config.seg_token_id in token_ids and self.network.segvol is not None:
            if features.mask_features is None:
                features.mask_features = self._encode_for_masks(model_input)
            tokens = torch.tensor([list(token_ids)], device=device_of(self.network))
            states = self._answer_states(cache.prefix, prompt, token_ids)
            (logits,) = self.network.segment(features.mask_features, tokens, states)
            masks = (place_mask(logits, model_input, volume),)
        return Grounding(parse_boxes(text, model_input), masks)

    def _encode_for_masks(self, model_input: ModelInput) -> Tensor:
        segvol = self.network.segvol  # `encode` is no forward pass, which would move its input
        grid = model_input.grid.unsqueeze(0).to(device_of(segvol), self.network.dtype)
        features: Tensor = segvol.encode(grid)
        return features

    def _answer_states(self, prefix: Any, prompt: Prompt, token_ids: Sequence[int]) -> Tensor:
        """What predicted each token of the answer: (1, T, C), by one pass after the prefix."""
        question = self._question(prompt)
        rows = torch.cat([question, self._embed(token_ids[:-1])], dim=1)
        output = self.network.language_model(
            inputs_embeds=rows,
            past_key_values=shared_copy(prefix),
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
