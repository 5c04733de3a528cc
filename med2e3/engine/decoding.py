"""From logits to tokens, and from tokens to pieces of text. Knows nothing of volumes or threads."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from med2e3.errors import QuestionError

#: What a decoder writes for bytes that are not yet a whole character.
UNFINISHED = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class SamplingParams:
    """How tokens are chosen: temperature 0 takes the likeliest; a seed makes it repeatable."""

    max_new_tokens: int | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.max_new_tokens is not None and self.max_new_tokens < 1:
            raise QuestionError(
                f"max_new_tokens is {self.max_new_tokens}; an answer needs at least 1 token."
            )
        if not self.temperature >= 0:
            raise QuestionError(
                f"temperature is {self.temperature}; give 0 (greedy) or a number above 0."
            )
        if not 0 < self.top_p <= 1:
            raise QuestionError(
                f"top_p is {self.top_p}; give a share of probability above 0, at most 1."
            )

    def seeded(self) -> SamplingParams:
        """The same with a seed, drawn now where sampling has none, so that it can be recorded."""
        if self.temperature == 0 or self.seed is not None:
            return self
        return SamplingParams(
            self.max_new_tokens, self.temperature, self.top_p, secrets.randbelow(2**31)
        )


class TokenSampler:
    """Picks one token after the other; draws on the CPU, so that a seed means the same anywhere."""

    def __init__(self, sampling: SamplingParams) -> None:
        self.sampling = sampling
        self.generator = torch.Generator().manual_seed(sampling.seed or 0)

    def choose(self, logits: Tensor) -> int:
        """The next token's id, from logits (V,)."""
        if self.sampling.temperature == 0:
            return int(logits.argmax())
        shares = (logits.double().cpu() / self.sampling.temperature).softmax(0)
        if self.sampling.top_p < 1:
            shares = _nucleus(shares, self.sampling.top_p)
        return int(torch.multinomial(shares, 1, generator=self.generator))


def probability(logits: Tensor, token: int) -> float:
    """What the model itself gives a token, whatever the temperature: logits (V,) → 0..1."""
    return float(logits.float().softmax(0)[token])


def _nucleus(shares: Tensor, top_p: float) -> Tensor:
    """Shares of the smallest set of tokens that holds at least `top_p`, 0 elsewhere."""
    ordered, order = shares.sort(descending=True)
    before = ordered.cumsum(0) - ordered
    kept = torch.zeros_like(shares)
    kept[order[before < top_p]] = ordered[before < top_p]
    return kept


class TextStream:
    """Token ids to pieces of text that together are the whole answer, stripped.

    Half characters and white space wait until what follows shows what they are.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self.text = ""

    def push(self, ids: Sequence[int]) -> str:
        """The new piece after `ids`, all tokens so far; "" while there is nothing to add."""
        whole = self._decode(ids).strip()
        if whole.endswith(UNFINISHED) or not whole.startswith(self.text):
            return ""
        return self._add(whole)

    def flush(self, ids: Sequence[int]) -> str:
        """What was held back, at the end."""
        whole = self._decode(ids).strip()
        return self._add(whole) if whole.startswith(self.text) else ""

    def _add(self, whole: str) -> str:
        piece = whole[len(self.text) :]
        self.text = whole
        return piece


def shared_copy(cache: Any) -> Any:
    """A key/value cache that grows by itself but starts from the same tensors, which stay as is.

    Layers of a dynamic cache replace their tensors when they grow, so a shallow copy suffices.
    """
    twin = copy.copy(cache)
    twin.layers = [copy.copy(layer) for layer in cache.layers]
    return twin


def cache_bytes(cache: Any) -> int:
    """Memory that the keys and values take."""
    return sum(
        tensor.nbytes
        for layer in cache.layers
        for tensor in (layer.keys, layer.values)
        if isinstance(tensor, Tensor)
    )
