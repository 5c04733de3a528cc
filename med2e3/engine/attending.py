"""Which rows of a prompt the language model attends to while it predicts given tokens.

Fast attention kernels keep no weights, so one pass over prompt and answer is made with the "eager"
attention of transformers, which computes the same and keeps them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from med2e3.engine.backends.backend import language_blocks
from med2e3.engine.forcing import Forced, force_tokens
from med2e3.engine.runtime import Runtime
from med2e3.engine.volume_cache import VolumeCache
from med2e3.errors import CheckpointError


@dataclass(frozen=True, eq=False)
class Attended:
    """The pass over T given tokens, and its attention.

    `weights` (T, N) float32 on the CPU: of the row that predicts each token, to each of the N rows
    of prompt and answer; the mean over layers and heads. Each row sums to 1.
    """

    forced: Forced
    weights: Tensor


@torch.inference_mode()
def attend(model: Runtime, cache: VolumeCache, rows: Tensor, tokens: Sequence[int]) -> Attended:
    """Feed `tokens` after the prompt's rows (1, R, D) after the prefix; the lock is held.

    Raises `CheckpointError` for a language model whose layers give no attention to every row.
    """
    network = model.backend.network
    total = cache.prefix_rows + rows.shape[1] + len(tokens) - 1
    layers: list[Tensor] = []

    def keep(_module: Any, _inputs: Any, output: Any) -> None:
        weights = output[1] if isinstance(output, tuple) and len(output) > 1 else None
        if weights is None or weights.shape[-1] != total:
            raise CheckpointError(
                "The layers of this language model do not give their attention to all rows of the "
                "prompt, so no attention can be shown. Choose another model for that."
            )
        layers.append(weights[0, :, -len(tokens) :].float().mean(dim=0).cpu())

    attentions: list[Any] = [block.self_attn for block in language_blocks(network)]
    hooks = [attention.register_forward_hook(keep) for attention in attentions]
    try:
        with _eager(network.language_model.config):
            forced = force_tokens(model, cache, rows, tokens)
    finally:
        for hook in hooks:
            hook.remove()
    return Attended(forced, torch.stack(layers).mean(dim=0))


@contextmanager
def _eager(config: Any) -> Iterator[None]:
    """Attention that keeps its weights, for a while."""
    before = config._attn_implementation
    config._attn_implementation = "eager"
    try:
        yield
    finally:
        config._attn_implementation = before
