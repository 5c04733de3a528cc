"""Chooses tokens by their logits, and makes text of tokens. Knows no volumes and no threads."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from med2e3.errors import QuestionError

#: What a decoder writes for bytes that are not yet a whole character.
UNFINISHED = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class SamplingParams:
    """How tokens are chosen: the likeliest at temperature 0, else drawn, repeatably by a seed.

    `top_p` is the share of probability, likeliest tokens first, that is drawn from.
    """

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
        """The same parameters with a seed, drawn now where sampling has none, for the record."""
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
        probabilities = (logits.double().cpu() / self.sampling.temperature).softmax(0)
        if self.sampling.top_p < 1:
            probabilities = _nucleus(probabilities, self.sampling.top_p)
        return int(torch.multinomial(probabilities, 1, generator=self.generator))


def probability(logits: Tensor, token: int) -> float:
    """Probability of a token, 0 to 1, by the model's own logits (V,), at temperature 1."""
    return float(logits.float().softmax(0)[token])


def _nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Probabilities of the smallest set of tokens that holds at least `top_p`, 0 elsewhere."""
    ordered, order = probabilities.sort(descending=True)
    before = ordered.cumsum(0) - ordered
    kept = torch.zeros_like(probabilities)
    kept[order[before < top_p]] = ordered[before < top_p]
    return kept


class TextStream:
    """Makes pieces of text of token ids; together they are the whole answer, stripped.

    Incomplete characters and trailing white space are held back until the next token.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self.text = ""

    def push(self, ids: Sequence[int]) -> str:
        """The text that the last of `ids`, all tokens so far, adds; "" where it is held back."""
        whole = self._decode(ids).strip()
        if whole.endswith(UNFINISHED) or not whole.startswith(self.text):
            return ""
        return self._add(whole)

    def flush(self, ids: Sequence[int]) -> str:
        """The text that was held back, at the end of the answer."""
        whole = self._decode(ids).strip()
        return self._add(whole) if whole.startswith(self.text) else ""

    def _add(self, whole: str) -> str:
        piece = whole[len(self.text) :]
        self.text = whole
        return piece
