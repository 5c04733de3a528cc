"""Many questions of one volume at once: what `Session.ask` gives, token for token, in one batch.

For measuring, where nobody reads along: greedy, without streaming, boxes or masks. Every question
starts from the one cache of the prefix; rows that have ended leave the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from med2e3.engine.backends.backend import Prompt, Suffix
from med2e3.engine.decoding import cache_bytes, shared_copy
from med2e3.engine.runtime import Runtime
from med2e3.engine.volume_cache import VolumeCache
from med2e3.model.placing import device_of

#: Keys and values of one batch take at most about this much; a single question may take more.
BATCH_BYTES = 500_000_000
#: More rows at once gain nothing on a CPU, and little on a GPU at the lengths of such prompts.
BATCH_ROWS = 64


@dataclass(frozen=True)
class Reply:
    """One answer; `scores` (S,) is empty for a model without them.

    `token_probabilities` are the model's own, one for each of `token_ids`. `finish_reason` is "end"
    or "length", as an `Answer` has it.
    """

    question: str
    text: str
    token_ids: tuple[int, ...]
    token_probabilities: tuple[float, ...]
    finish_reason: str
    scores: tuple[float, ...]


@torch.inference_mode()
def answer_all(
    model: Runtime, cache: VolumeCache, prompts: Sequence[Prompt], max_new_tokens: int | None
) -> list[Reply]:
    """Replies to checked questions, in their order; the caller holds the model's lock."""
    backend = model.backend
    replies: list[Reply] = []
    for part in _batches(cache, prompts, max_new_tokens):
        suffixes = [backend.suffix(cache.features, prompt, None, 0) for prompt in part]
        rooms = [backend.context_length - prompt.rows for prompt in part]
        limits = [min(room, max_new_tokens or room) for room in rooms]
        batch = _Batch(model, cache, [s.rows for s in suffixes], limits)
        batch.run()
        replies += [
            batch.reply(k, *pair) for k, pair in enumerate(zip(part, suffixes, strict=True))
        ]
    return replies


def _batches(
    cache: VolumeCache, prompts: Sequence[Prompt], max_new_tokens: int | None
) -> Iterator[Sequence[Prompt]]:
    """Questions whose keys and values fit into `BATCH_BYTES` together."""
    row_bytes = cache_bytes(cache.prefix) / max(1, cache.prefix_rows)
    longest = max((prompt.rows for prompt in prompts), default=0) + (max_new_tokens or 0)
    fitting = int(BATCH_BYTES / max(1.0, row_bytes * longest))
    size = max(1, min(BATCH_ROWS, fitting))
    for first in range(0, len(prompts), size):
        yield prompts[first : first + size]


class _Batch:
    """Greedy decoding of suffixes (1, T, D) after one prefix, padded on the left."""

    def __init__(
        self, model: Runtime, cache: VolumeCache, rows: Sequence[Tensor], limits: Sequence[int]
    ) -> None:
        self.model, self.network = model, model.backend.network
        self.device = device_of(self.network)
        self.limits = limits
        self.tokens: list[list[int]] = [[] for _ in rows]
        self.shares: list[list[float]] = [[] for _ in rows]
        self.reasons = [""] * len(rows)
        self.alive = list(range(len(rows)))
        self.cache = shared_copy(cache.prefix)
        if cache.prefix_rows:
            self.cache.batch_repeat_interleave(len(rows))
        longest = max(row.shape[1] for row in rows)
        self.rows = rows[0].new_zeros((len(rows), longest, rows[0].shape[2]))
        self.mask = torch.ones(
            (len(rows), cache.prefix_rows + longest), dtype=torch.long, device=self.rows.device
        )
        for k, row in enumerate(rows):
            gap = longest - row.shape[1]
            self.rows[k, gap:] = row[0]
            self.mask[k, cache.prefix_rows : cache.prefix_rows + gap] = 0
        self.positions = (self.mask.cumsum(1) - 1).clamp_min(0)[:, cache.prefix_rows :]

    def run(self) -> None:
        """Until every row has ended."""
        while self.alive:
            logits = self._advance()
            chosen = logits.argmax(dim=1)
            shares = logits.softmax(dim=1).gather(1, chosen[:, None])[:, 0]
            going = self._take(chosen.tolist(), shares.tolist())
            if len(going) < len(self.alive):
                self._drop(going)
                chosen = chosen[going]
            if self.alive:
                self._prepare(chosen)

    def reply(self, k: int, prompt: Prompt, suffix: Suffix) -> Reply:
        """What row `k` became."""
        text = self.model.backend.processor.decode(self.tokens[k]).strip()
        scores = () if suffix.scores is None else tuple(float(s) for s in suffix.scores)
        return Reply(
            prompt.question, text, tuple(self.tokens[k]), tuple(self.shares[k]),
            self.reasons[k], scores,
        )  # fmt: skip

    def _advance(self) -> Tensor:
        output: Any = self.network.language_model(
            inputs_embeds=self.rows,
            attention_mask=self.mask,
            position_ids=self.positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: Tensor = output.logits[:, -1].float()
        return logits

    def _take(self, chosen: Sequence[int], shares: Sequence[float]) -> list[int]:
        """Notes one token a row; the places in the batch of the rows that go on."""
        going = []
        for place, (row, token) in enumerate(zip(self.alive, chosen, strict=True)):
            if token == self.model.end_token:
                self.reasons[row] = "end"
                continue
            self.tokens[row].append(token)
            self.shares[row].append(shares[place])
            if len(self.tokens[row]) >= self.limits[row]:
                self.reasons[row] = "length"
            else:
                going.append(place)
        return going

    def _drop(self, going: list[int]) -> None:
        self.alive = [self.alive[place] for place in going]
        if going:
            index = torch.tensor(going, device=self.mask.device)
            self.cache.batch_select_indices(index)
            self.mask, self.positions = self.mask[index], self.positions[index]

    def _prepare(self, chosen: Tensor) -> None:
        ids = chosen[:, None].to(self.device)
        self.rows = self.network.get_input_embeddings()(ids)
        self.mask = torch.cat([self.mask, self.mask.new_ones((len(ids), 1))], dim=1)
        self.positions = self.positions[:, -1:] + 1
