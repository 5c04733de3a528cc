"""How probable a given answer is: its tokens are fed to the model, and nothing is drawn.

Many variants of one question (other slice weights, other answers) make one batch that starts from
the keys and values of the volume's prefix, so that only what differs is computed. Differentiable
where autograd is on.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from med2e3.engine.backends.backend import Prompt
from med2e3.engine.batch import BATCH_BYTES, BATCH_ROWS
from med2e3.engine.finite import check_finite
from med2e3.engine.interruption import StopCheck, stop_if
from med2e3.engine.runtime import Runtime
from med2e3.engine.volume_cache import VolumeCache
from med2e3.model.placing import device_of


@dataclass(frozen=True, eq=False)
class Forced:
    """What the model makes of given tokens, T of them in each of B variants.

    `log_probabilities` (B, T) are those of the tokens, at temperature 1; `likeliest` (B, T) are the
    tokens that a greedy answer would have at these places.
    """

    log_probabilities: Tensor
    likeliest: Tensor


def force_tokens(model: Runtime, cache: VolumeCache, rows: Tensor, tokens: Sequence[int]) -> Forced:
    """Feed `tokens` after the prompt's rows (B, T, D); the caller holds the model's lock.

    `rows` are those after the prefix (see `Backend.weighted_rows`), of B variants of one question.
    """
    network = model.backend.network
    if not len(tokens):
        empty = rows.new_zeros((len(rows), 0))
        return Forced(empty, empty.long())
    targets = torch.tensor(list(tokens), device=device_of(network))
    embedded = network.get_input_embeddings()(targets[None, :-1])
    after = embedded.expand(len(rows), -1, -1).to(rows)
    whole = torch.cat([rows, after], dim=1)
    prefix = cache.copy_prefix()
    if cache.prefix_rows:
        prefix.batch_repeat_interleave(len(rows))
    output: Any = network.language_model(
        inputs_embeds=whole, past_key_values=prefix, use_cache=True, logits_to_keep=len(tokens)
    )
    logits = output.logits[:, -len(tokens) :].float()
    check_finite(logits.detach(), "logits")
    wanted = targets.to(logits.device).expand(len(rows), -1)
    chosen = logits.log_softmax(dim=-1).gather(2, wanted[..., None])[..., 0]
    return Forced(chosen, logits.argmax(dim=-1))


@torch.inference_mode()
def force_weights(
    model: Runtime,
    cache: VolumeCache,
    prompt: Prompt,
    weights: Tensor,
    tokens: Sequence[int],
    cancelled: StopCheck | None = None,
) -> Forced:
    """`force_tokens` under slice weights (B, S), in batches that fit the memory of an answer.

    Raises `Cancelled` between batches, and `QuestionError` for a model without slice scores.
    """
    parts = []
    size = _batch_size(cache, prompt.rows + len(tokens))
    for first in range(0, len(weights), size):
        stop_if(cancelled)
        part = weights[first : first + size].to(device_of(model.backend.network))
        with model.lock:
            rows = model.backend.weighted_rows(cache.features, prompt, part)
            parts.append(force_tokens(model, cache, rows, tokens))
    return Forced(
        torch.cat([part.log_probabilities for part in parts]),
        torch.cat([part.likeliest for part in parts]),
    )


def _batch_size(cache: VolumeCache, length: int) -> int:
    """How many variants of `length` rows have keys and values that fit together."""
    row_bytes = cache.prefix_bytes / max(1, cache.prefix_rows)
    return max(1, min(BATCH_ROWS, int(BATCH_BYTES / max(1.0, row_bytes * length))))


def forward_of(
    model: Runtime, cache: VolumeCache, prompt: Prompt, tokens: Sequence[int]
) -> Callable[[Tensor], Tensor]:
    """A function of slice weights (B, S), or (B, 1, S): the answer's log-probability (B, 1).

    Gradients reach the weights, so that libraries of attribution can be used on it.
    """
    features, still = _outside_inference(cache)
    network = model.backend.network

    def forward(weights: Tensor) -> Tensor:
        flat = weights.reshape(len(weights), -1).to(device_of(network))
        with model.lock, torch.set_grad_enabled(weights.requires_grad):
            rows = model.backend.weighted_rows(features, prompt, flat)
            forced = force_tokens(model, still, rows, tokens)
        return forced.log_probabilities.sum(dim=1, keepdim=True)

    return forward


def _outside_inference(cache: VolumeCache) -> tuple[Any, VolumeCache]:
    """The cache with tensors that autograd takes: those of inference mode it does not save."""
    features = copy.copy(cache.features)
    for name, value in vars(features).items():
        if isinstance(value, Tensor):
            object.__setattr__(features, name, value.clone())
    prefix = cache.copy_prefix()
    for layer in prefix.layers:
        for name in ("keys", "values"):
            if isinstance(getattr(layer, name, None), Tensor):
                setattr(layer, name, getattr(layer, name).clone())
    return features, VolumeCache(features, prefix, cache.prefix_rows)
