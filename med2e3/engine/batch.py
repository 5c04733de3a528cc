"""Answers many questions about one volume in batches, token for token as `Session.ask` does.

For evaluation: greedy, without streaming, boxes or masks. Every question starts from the same keys
and values of the prefix, and leaves the batch when its answer has ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from med2e3.engine.backends.backend import Prompt, Suffix
from med2e3.engine.finite import check_finite
from med2e3.engine.runtime import Runtime
from med2e3.engine.token_graph import Rows, TokenGraph
from med2e3.engine.volume_cache import VolumeCache
from med2e3.model.placing import device_of

#: Keys and values of one batch take at most about this much; a single question may take more.
BATCH_BYTES = 500_000_000
#: More questions at once gain nothing on a CPU, and little on a GPU at the length of such prompts.
BATCH_ROWS = 64
#: A graph's length is a multiple of this, so that batches of like lengths share one.
GRAPH_ROWS = 64


@dataclass(frozen=True)
class Reply:
    """The answer to one question of a batch; `scores` (S,) is empty for a model without them.

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
    row_bytes = cache.prefix_bytes / max(1, cache.prefix_rows)
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
        self.probabilities: list[list[float]] = [[] for _ in rows]
        self.reasons = [""] * len(rows)
        self.active = list(range(len(rows)))
        self.cache = cache.copy_prefix(max(row.shape[1] for row in rows) + max(limits))
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
        """Decode until every answer has ended."""
        logits = self._advance()
        graph = self._graph()
        while self.active:
            check_finite(logits, "logits")
            chosen = logits.argmax(dim=1)
            probabilities = logits.softmax(dim=1).gather(1, chosen[:, None])[:, 0]
            going = self._take(chosen.tolist(), probabilities.tolist())
            dropped = len(going) < len(self.active)
            self.active = [self.active[index] for index in going]
            if not self.active:
                return
            if graph is not None:
                logits = self._step(graph, chosen[going].tolist())
                continue
            if dropped:
                self._continue_with(going)
            self._prepare(chosen[going])
            logits = self._advance()

    def reply(self, k: int, prompt: Prompt, suffix: Suffix) -> Reply:
        """The answer to question `k`."""
        text = self.model.backend.processor.decode(self.tokens[k]).strip()
        scores = () if suffix.scores is None else tuple(float(s) for s in suffix.scores)
        return Reply(
            prompt.question, text, tuple(self.tokens[k]), tuple(self.probabilities[k]),
            self.reasons[k], scores,
        )  # fmt: skip

    def _advance(self) -> Tensor:
        """Logits (B, V) of the next token of each answer in the batch."""
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

    def _take(self, chosen: Sequence[int], probabilities: Sequence[float]) -> list[int]:
        """Add a token to each answer; the indices in the batch of the answers that go on."""
        going = []
        for index, (row, token) in enumerate(zip(self.active, chosen, strict=True)):
            if token == self.model.end_token:
                self.reasons[row] = "end"
                continue
            self.tokens[row].append(token)
            self.probabilities[row].append(probabilities[index])
            if len(self.tokens[row]) >= self.limits[row]:
                self.reasons[row] = "length"
            else:
                going.append(index)
        return going

    def _graph(self) -> TokenGraph | None:
        """The recorded step for as many answers at once, with their keys and values in it."""
        if self.model.graphs is None:
            return None
        length = self.mask.shape[1] + max(self.limits)
        length += -length % GRAPH_ROWS
        graph = self.model.graphs.of(self.cache, len(self.rows), length)
        if graph is not None:
            self.held = Rows(self.cache, self.mask, self.positions[:, -1] + 1)
            graph.take(self.held)
        return graph

    def _step(self, graph: TokenGraph, chosen: Sequence[int]) -> Tensor:
        """Logits (B, V) of the next token of the answers that go on; the others go along idle."""
        tokens = [self.model.end_token] * len(self.tokens)
        for row, token in zip(self.active, chosen, strict=True):
            tokens[row] = token
        return graph.step(tokens)[self.active]

    def _continue_with(self, going: list[int]) -> None:
        """Keep the answers at the indices `going` in the batch."""
        rows = torch.tensor(going, device=self.mask.device)
        self.cache.batch_select_indices(rows)
        self.mask, self.positions = self.mask[rows], self.positions[rows]

    def _prepare(self, chosen: Tensor) -> None:
        """Make the next pass's rows (B, 1, D), mask and positions of the chosen tokens (B,)."""
        ids = chosen[:, None].to(self.device)
        self.rows = self.network.get_input_embeddings()(ids)
        self.mask = torch.cat([self.mask, self.mask.new_ones((len(ids), 1))], dim=1)
        self.positions = self.positions[:, -1:] + 1
