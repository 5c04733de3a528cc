"""The interface of a kind of model; `engine.loading.BACKENDS` names the class for each kind.

A prompt becomes rows of the language model's width. The prefix, its first rows, depends on the
volume alone: its keys and values are computed once. The suffix, the other rows, has the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from med2e3.engine.grounding import Grounding
from med2e3.engine.volume_cache import Features, VolumeCache
from med2e3.model.prompts import Turn
from med2e3.preprocessing import ModelInput
from med2e3.volume import Volume

#: Said where something about slice scores is asked of a model that has none.
NO_SCORES = (
    "This model has no slice scores, so no slice can be left out or weighed otherwise. "
    "Choose a model that has them (`med2e3 models` says which)."
)


@dataclass(frozen=True)
class Prompt:
    """A tokenised conversation: its turns, the whole prompt's token ids, and the rows it takes.

    `question_tokens` are those of the last question alone. `scored_by` is the text that the slice
    scores follow where it is not the last question.
    """

    turns: tuple[Turn, ...]
    ids: tuple[int, ...]
    rows: int
    question_tokens: int
    scored_by: str = ""

    @property
    def question(self) -> str:
        """The last question."""
        return self.turns[-1][0]

    @property
    def guide(self) -> str:
        """The text that the slice scores follow."""
        return self.scored_by or self.question


@dataclass(frozen=True, eq=False)
class Suffix:
    """The prompt's rows (1, T, D) after the prefix, and the slice scores (S,), None without any.

    `logits` (S,) are the scores before the softmax, of all slices, also of those left out.
    """

    rows: Tensor
    scores: NDArray[np.float32] | None
    logits: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class VisualRows:
    """Where the volume's tokens stand in the prompt of any question, and in which part of it.

    `first3d` and `first2d` are rows of the prompt, counted from 0. `cells3d` (slice, row, column)
    and `cells2d` (row, column) divide the model's grid, or each of its slices, into equal cells in
    the order of the tokens; None where there are no such tokens, or where they have no one cell.
    """

    first3d: int = 0
    cells3d: tuple[int, int, int] | None = None
    first2d: int = 0
    cells2d: tuple[int, int] | None = None


class Backend(Protocol):
    """What the engine needs of one kind of model."""

    network: Any
    processor: Any
    #: The dataclass of what `encode` returns: tensors, or None.
    features_class: Any

    @property
    def has_scores(self) -> bool:
        """Whether the model weighs slices by the question."""
        ...

    @property
    def context_length(self) -> int:
        """Most rows that prompt and answer may take together."""
        ...

    def vision_blocks(self) -> Sequence[nn.Module]:
        """The blocks that reading a volume passes through, in order."""
        ...

    def tokenise(self, turns: Sequence[Turn], *, spaced: bool = False) -> Prompt:
        """The prompt of a conversation, whose last turn has no answer yet; its length is unchecked.

        `spaced` says that it is a question of M3D-VQA (see `M3DLaMedProcessor`).
        """
        ...

    def encode(self, grid: Tensor) -> Features:
        """Image features of a grid (1, S, H, W) in 0..1 on the model's device."""
        ...

    def prefix(self, features: Any) -> Tensor:
        """The prompt's first rows (1, T, D), the same for every question; T may be 0."""
        ...

    def suffix(self, features: Any, prompt: Prompt, keep: Tensor | None, seed: int) -> Suffix:
        """The prompt's rows after the prefix; slices where `keep` (S,) is False have no weight.

        `seed` is for draws other than those of tokens: the "random" aggregation of slices.
        """
        ...

    def weighted_rows(self, features: Any, prompt: Prompt, weights: Tensor) -> Tensor:
        """The prompt's rows (B, T, D) after the prefix under other slice weights (B, S).

        Differentiable in `weights`. Raises `QuestionError` for a model without slice scores.
        """
        ...

    def visual_rows(self) -> VisualRows:
        """Where the volume's tokens stand in a prompt."""
        ...

    def drawing_blocks(self) -> Sequence[nn.Module]:
        """The blocks that `ground` passes through, in order; none where it computes nothing."""
        ...

    def ground(
        self,
        cache: VolumeCache,
        prompt: Prompt,
        token_ids: Sequence[int],
        model_input: ModelInput,
        volume: Volume,
    ) -> Grounding:
        """What a complete answer names, placed in `volume`, of which the model saw `model_input`.

        May change nothing in `cache` but its features.
        """
        ...


def language_blocks(network: Any) -> Sequence[nn.Module]:
    """The layers of the language model, in order."""
    blocks: Sequence[nn.Module] = network.language_model.model.layers
    return blocks


@torch.inference_mode()
def advance(network: Any, rows: Tensor, cache: Any) -> Tensor:
    """Pass rows (1, T, D) through the language model; the logits (V,) after the last row.

    The keys and values of the rows are added to `cache`.
    """
    output = network.language_model(
        inputs_embeds=rows, past_key_values=cache, use_cache=True, logits_to_keep=1
    )
    logits: Tensor = output.logits[0, -1].float()
    return logits
