"""Questions and answers as token batches, and the loss of the answers.

Knows nothing of where questions come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DynamicCache

from med2e3.model import Med2E3Processor
from med2e3.model.follow_ups import guide_of
from med2e3.model.language import token_logits
from med2e3.model.prompts import IGNORE
from med2e3.training.data.dataset import padded
from med2e3.training.precision import CPU

#: What an answer's first token counts beside the others: the letter, or the yes or no, decides.
FIRST_TOKEN = 4.0

#: What the first word after a heading of a report counts: normal, or which finding. A report is
#: mostly the same words; counted alike, they drowned these, and nearly every section said "normal".
SECTION_NORMAL, SECTION_FINDING = 6.0, 15.0

#: What a report counts beside an answer: it answers for all sections.
REPORT_ROW = 2.0

#: Rows that pass the language model at a time, those of like length together: a report among short
#: answers would pad them all, and attention over 48 long rows took half as long again a row. A GPU
#: waits for calls, not for products of this size: there, all at once.
ROWS_AT_ONCE = {"cpu": 12, "cuda": 64}


#: (question, answer) turns; all answers are learned.
Conversation = tuple[tuple[str, str], ...]


class AnswerCollator:
    """Questions and answers as token ids and labels; rows that come again are kept."""

    def __init__(self, processor: Med2E3Processor) -> None:
        self.processor = processor
        self.openers = self._ends(": ;")
        self.nothing = self._ends("normal")
        self.row = lru_cache(maxsize=20_000)(self._row)
        self.question = lru_cache(maxsize=20_000)(processor.question_ids)

    def _ends(self, words: str) -> Tensor:
        """The last token of each word, as it stands after another word and alone."""
        forms = [form for word in words.split() for form in (word, f" {word}")]
        read = self.processor.tokenizer
        return torch.tensor([read(f, add_special_tokens=False)["input_ids"][-1] for f in forms])

    def _row(self, turns: Conversation, image: bool) -> tuple[list[int], list[int]]:
        return self.processor.answered_ids(turns, image=image)

    def batch(
        self, rows: Sequence[Conversation], device: torch.device = CPU, *, image: bool
    ) -> dict[str, Tensor]:
        """Padded on the right: `input_ids`, `labels`, `attention_mask`, and what scores follow."""
        pairs = [self.row(turns, image) for turns in rows]
        labels = padded([labels for _, labels in pairs], IGNORE)
        batch = {
            "input_ids": padded([ids for ids, _ in pairs], 0),
            "labels": labels,
            "attention_mask": padded([[1] * len(ids) for ids, _ in pairs], 0),
            "weights": self.weigh(labels),
        }
        if image:
            asked = [self.question(guide_of([text for text, _ in turns])) for turns in rows]
            batch["question_ids"] = padded(asked, 0)
            batch["question_mask"] = padded([[1] * len(ids) for ids in asked], 0)
        return {name: values.to(device) for name, values in batch.items()}

    def weigh(self, labels: Tensor) -> Tensor:
        """(B, T): what each token of an answer counts; a report's row sums to `REPORT_ROW`, others
        to 1, and what is no answer counts nothing.
        """
        answer = labels != IGNORE
        weights = answer.float()
        first = first_of(answer)
        opens = torch.isin(F.pad(labels, (1, 0), value=IGNORE)[:, :-1], self.openers) & answer
        reports = opens.any(dim=1)
        weights[first] = FIRST_TOKEN
        weights[opens] = SECTION_FINDING
        weights[opens & torch.isin(labels, self.nothing)] = SECTION_NORMAL
        total = weights.sum(dim=1, keepdim=True).clamp(min=1)
        return weights / total * torch.where(reports, REPORT_ROW, 1.0)[:, None]


def first_of(answer: Tensor) -> Tensor:
    """(B, T) bool: of each run of answer tokens, the first."""
    return answer & ~F.pad(answer, (1, 0))[:, :-1]


@dataclass(frozen=True, eq=False)
class Opening:
    """How rows begin alike: the first `rows` positions of every row about one volume are the same
    (text before the volume, and its 3D tokens); `volume_index` (B,) says which volume that is.
    """

    rows: int
    volume_index: Tensor


def answer_loss(
    language_model: Any, embedded: Tensor, batch: dict[str, Tensor], opening: Opening | None = None
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Cross entropy of the answers' tokens as the batch weighs them, mean over answers; also of
    each answer (B,) whether its tokens are all the most likely ones.

    The opening, where it is told, is computed once a volume instead of once a question.
    """
    lengths = batch["attention_mask"].sum(dim=1)
    at_once = ROWS_AT_ONCE[embedded.device.type]
    loss = embedded.new_zeros((), dtype=torch.float32)
    right = embedded.new_zeros(len(embedded), dtype=torch.float32)
    opened = _Opened(language_model, embedded, opening) if opening else None
    skipped = opening.rows if opening else 0
    order = lengths.argsort()
    for start in range(0, len(order), at_once):
        rows = order[start : start + at_once]
        end = int(lengths[rows].max())
        hidden = language_model.model(
            inputs_embeds=embedded[rows, skipped:end],
            attention_mask=batch["attention_mask"][rows, :end],
            past_key_values=opened.cache(rows) if opened else None,
            use_cache=opened is not None,
        ).last_hidden_state
        target = batch["labels"][rows, skipped + 1 : end]
        counted = target != IGNORE
        logits = token_logits(language_model, hidden[:, :-1][counted])
        each = F.cross_entropy(logits, target[counted], reduction="none")
        loss = loss + (each * batch["weights"][rows, skipped + 1 : end][counted]).sum()
        wrong = (logits.argmax(-1) != target[counted]).float()
        missed = wrong.new_zeros(len(target)).index_add(0, counted.nonzero()[:, 0], wrong)
        right[rows] = (missed == 0).float()
    return loss / len(embedded), right


class _Opened:
    """The language model's keys and values of the openings, once a volume; gradients flow back."""

    def __init__(self, language_model: Any, embedded: Tensor, opening: Opening) -> None:
        self.volume_index = opening.volume_index
        volumes = int(self.volume_index.max()) + 1
        first = [int((self.volume_index == k).nonzero()[0]) for k in range(volumes)]
        cache = DynamicCache()
        language_model.model(
            inputs_embeds=embedded[first, : opening.rows], past_key_values=cache, use_cache=True
        )
        self.layers = [(layer.keys, layer.values) for layer in cache.layers]

    def cache(self, rows: Tensor) -> DynamicCache:
        """What these rows begin with."""
        owner, cache = self.volume_index[rows], DynamicCache()
        for layer, (keys, values) in enumerate(self.layers):
            cache.update(keys[owner], values[owner], layer)
        return cache
