"""Teaching the language model: on text alone, then on what the frozen encoders see.

Text warm-up puts the true report where the scan would stand. Tuning trains connectors, scores and
language model together; its pointing loss asks the scores to lie on the slices that hold what the
question is about. Knows nothing of how features were made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import DynamicCache

from med2e3.model import ImageFeatures, Med2E3ForConditionalGeneration, Med2E3Processor
from med2e3.model.placing import device_of
from med2e3.model.prompts import IGNORE
from med2e3.phantoms.facts import draw_facts, report
from med2e3.phantoms.questions import LETTERS, TOPICS, Question, draw_question
from med2e3.training.data.pool import KIND_NAMES, Example
from med2e3.training.precision import CPU, half_precision

#: How often a question offers choices, where its topic has them.
CLOSED = 0.6
#: The same on text alone, which is where answering by letter is learned.
CLOSED_TEXT = 0.8

#: What an answer's first token counts beside the others: the letter, or the yes or no, decides.
FIRST_TOKEN = 4.0

#: What the first word after a heading of a report counts: normal, or which finding. A report is
#: mostly the same words; counted alike, they drowned these, and nearly every section said "normal".
SECTION_NORMAL, SECTION_FINDING = 6.0, 15.0

#: What a report counts beside an answer: it answers for all sections.
REPORT_ROW = 2.0

#: Share of text batches that are letter drills, with a loss on letters alone: finding the letter of
#: a given text is a skill of its own; without drills letters stayed at chance for 1000 steps.
DRILL = 0.4

#: Topics of letter drills, all alike whatever the mix: which letter stands before a word has to be
#: learned for every topic's words.
DRILLED: dict[str, float] = dict.fromkeys(TOPICS, 1.0)

#: How often the report in a text question leaves out what is normal: half the length to read.
BRIEF = 0.7

#: Rows that pass the language model at a time, those of like length together: a report among short
#: answers would pad them all, and attention over 48 long rows took half as long again a row. A GPU
#: waits for calls, not for products of this size: there, all at once.
ROWS_AT_ONCE = {"cpu": 12, "cuda": 64}

Mix = dict[str, float]


def draw_topic(mix: Mix, rng: np.random.Generator) -> str:
    """A topic as often as the mix says."""
    names = list(mix)
    shares = np.array([mix[name] for name in names])
    return names[int(rng.choice(len(names), p=shares / shares.sum()))]


class Collator:
    """Questions and answers to token ids and labels, with what was written before kept."""

    def __init__(self, processor: Med2E3Processor) -> None:
        self.processor = processor
        self.openers = self._ends(": ;")
        self.nothing = self._ends("normal")
        self.row = lru_cache(maxsize=200_000)(self._row)
        self.question = lru_cache(maxsize=200_000)(processor.question_ids)

    def _ends(self, words: str) -> Tensor:
        """The last token of each word, as it stands after another word and alone."""
        forms = [form for word in words.split() for form in (word, f" {word}")]
        read = self.processor.tokenizer
        return torch.tensor([read(f, add_special_tokens=False)["input_ids"][-1] for f in forms])

    def _row(self, prompt: str, answer: str, image: bool) -> tuple[list[int], list[int]]:
        return self.processor.answered_ids([(prompt, answer)], image=image)

    def batch(
        self, rows: Sequence[tuple[str, str]], device: torch.device = CPU, *, image: bool
    ) -> dict[str, Tensor]:
        """Padded on the right: `input_ids`, `labels`, `attention_mask`, and bare questions."""
        pairs = [self.row(prompt, answer, image) for prompt, answer in rows]
        labels = _padded([labels for _, labels in pairs], IGNORE)
        batch = {
            "input_ids": _padded([ids for ids, _ in pairs], 0),
            "labels": labels,
            "attention_mask": _padded([[1] * len(ids) for ids, _ in pairs], 0),
            "weights": self.weigh(labels),
        }
        if image:
            asked = [self.question(prompt) for prompt, _ in rows]
            batch["question_ids"] = _padded(asked, 0)
            batch["question_mask"] = _padded([[1] * len(ids) for ids in asked], 0)
        return {name: values.to(device) for name, values in batch.items()}

    def weigh(self, labels: Tensor) -> Tensor:
        """(B, T): what each token of an answer counts; a report's row sums to `REPORT_ROW`, others
        to 1, and what is no answer counts nothing.
        """
        answer = labels != IGNORE
        weights = answer.float()
        first = _first_of(answer)
        opens = torch.isin(F.pad(labels, (1, 0), value=IGNORE)[:, :-1], self.openers) & answer
        reports = opens.any(dim=1)
        weights[first] = FIRST_TOKEN
        weights[opens] = SECTION_FINDING
        weights[opens & torch.isin(labels, self.nothing)] = SECTION_NORMAL
        total = weights.sum(dim=1, keepdim=True).clamp(min=1)
        return weights / total * torch.where(reports, REPORT_ROW, 1.0)[:, None]


def _first_of(answer: Tensor) -> Tensor:
    """(B, T) bool: of each run of answer tokens, the first."""
    return answer & ~F.pad(answer, (1, 0))[:, :-1]


def _padded(rows: Sequence[Sequence[int]], filler: int) -> Tensor:
    length = max(len(row) for row in rows)
    return torch.tensor([[*row, *[filler] * (length - len(row))] for row in rows])


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
        logits = language_model.lm_head(hidden[:, :-1][counted]).float()
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


def letter_drill(question: Question, rng: np.random.Generator) -> tuple[str, str]:
    """The question's choices, and as the answer each of them in random order with its letter."""
    listed = " ".join(f"{a}. {c}" for a, c in zip(LETTERS, question.choices, strict=False))
    order = [int(k) for k in rng.permutation(len(question.choices))]
    said = "; ".join(f"{question.choices[k]}: {LETTERS[k]}" for k in order)
    return f"Choices: {listed}", said


class TextStage:
    """Questions about a report that is given in words."""

    name = "text"

    def __init__(self, language_model: nn.Module, writer: Collator, rows: int, mix: Mix) -> None:
        self.module = language_model
        self.writer, self.rows, self.mix = writer, rows, mix
        words = writer.processor.tokenizer
        self.letters = torch.tensor(
            [words(f" {a}", add_special_tokens=False)["input_ids"][0] for a in LETTERS]
        )

    def loss(self, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """Answer loss of a batch of made-up facts."""
        drill = bool(rng.random() < DRILL)
        rows: list[tuple[str, str]] = []
        closed: list[bool] = []
        while len(rows) < self.rows:
            facts = draw_facts(rng)
            topic = draw_topic(DRILLED if drill else self.mix, rng)
            offered = drill or bool(rng.random() < CLOSED_TEXT)
            question = draw_question(facts, topic, closed=offered, rng=rng)
            if drill and question.is_closed:
                rows.append(letter_drill(question, rng))
            elif not drill:
                said = report(facts, brief=bool(rng.random() < BRIEF))
                rows.append((f"{said} {question.prompt}", question.answer))
                closed.append(question.is_closed)
        device = device_of(self.module)
        batch = self.writer.batch(rows, device, image=False)
        if drill:
            letters = torch.isin(batch["labels"], self.letters.to(device))
            batch["labels"][~letters] = IGNORE
            batch["weights"] = letters.float() / letters.sum(dim=1, keepdim=True)
        with half_precision(device):
            embedded = self.module.get_input_embeddings()(batch["input_ids"])  # type: ignore[operator]
            loss, right = answer_loss(self.module, embedded, batch)
        if drill:
            return loss, {"drill": float(right.mean()), "right": math.nan, "closed": math.nan}
        share = float(right.cpu()[torch.tensor(closed)].mean())
        return loss, {"drill": math.nan, "right": float(right.mean()), "closed": share}


@torch.inference_mode()
def letters_right(
    language_model: nn.Module, writer: Collator, questions: int = 64
) -> dict[str, float]:
    """Of each topic, the share of closed questions about a report in words (always the same ones)
    whose letter is the most likely first word of the answer.

    What is at chance here stays there: tuning repairs no letters, however well the scan is seen.
    """
    device = device_of(language_model)
    model: Any = language_model
    was_training = model.training
    model.eval()
    shares = {}
    for topic in TOPICS:
        rng = np.random.default_rng(0)
        rows: list[tuple[str, str]] = []
        while len(rows) < questions:
            facts = draw_facts(rng)
            question = draw_question(facts, topic, closed=True, rng=rng)
            if question.is_closed:
                rows.append((f"{report(facts, brief=True)} {question.prompt}", question.answer))
        batch = writer.batch(rows, device, image=False)
        target = batch["labels"][:, 1:]
        first = _first_of(target != IGNORE)
        with half_precision(device):
            hidden = model.model(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                use_cache=False,
            ).last_hidden_state
            said = model.lm_head(hidden[:, :-1][first]).argmax(-1)
        shares[topic] = round(float((said == target[first]).float().mean()), 3)
    model.train(was_training)
    return shares


@dataclass(frozen=True, eq=False)
class Features:
    """What frozen encoders made of a pool: 3D (N, D3) and 2D (S, P, D2) of each volume, bfloat16.

    They may be mapped from disk, in several parts of equal size but for the last.
    """

    parts3d: Sequence[Tensor]
    parts2d: Sequence[Tensor]

    def take(self, volumes: Sequence[int] | NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """(V, N, D3) and (V, S, P, D2) of these volumes, float32."""
        size = len(self.parts3d[0])
        where = [(int(v) // size, int(v) % size) for v in volumes]
        return (
            torch.stack([self.parts3d[part][k] for part, k in where]).float(),
            torch.stack([self.parts2d[part][k] for part, k in where]).float(),
        )


def encode_pool(
    model: Med2E3ForConditionalGeneration, pool: Sequence[Example]
) -> tuple[Tensor | None, Tensor | None]:
    """Every example's features: 3D (V, N, D3) and 2D (V, S, P, D2), bfloat16; None of an encoder
    that the model lacks.
    """
    parts: tuple[list[Tensor], list[Tensor]] = ([], [])
    model.eval()
    device = device_of(model)
    with torch.inference_mode(), half_precision(device):
        for start in range(0, len(pool), 4):
            part = pool[start : start + 4]
            grids = torch.from_numpy(np.stack([e.grid for e in part])).to(device)
            found = model.vision_features(grids.float()[:, None] / 255)
            for kept, features in zip(parts, found, strict=True):
                if features is not None:
                    kept.append(features.to("cpu", torch.bfloat16))
    three, two = (torch.cat(kept).clone() if kept else None for kept in parts)
    return three, two


class Tuned(nn.Module):
    """The parts of the model that tuning trains."""

    def __init__(self, model: Med2E3ForConditionalGeneration) -> None:
        super().__init__()
        for name in ("connector3d", "connector2d", "positions", "scorer", "text_projection"):
            setattr(self, name, getattr(model, name))
        self.language_model = model.language_model


class TuneStage:
    """Several questions of each of several volumes in one step.

    Where the language model is trained, now and then a step is on text alone, so that what it
    learned there is not forgotten; where it is not, only connectors and scores learn (alignment).
    """

    def __init__(
        self,
        name: str,
        model: Med2E3ForConditionalGeneration,
        pool: Sequence[Example],
        features: Features,
        writer: Collator,
        options: dict[str, Any],
    ) -> None:
        self.name, self.model = name, model
        self.pool, self.features, self.writer = pool, features, writer
        self.module = Tuned(model)
        model.language_model.requires_grad_(bool(options["language_model"]))
        self.volumes, self.questions = int(options["volumes"]), int(options["questions"])
        self.mix: Mix = options["mix"]
        self.pointing = float(options["pointing"])
        self.text = TextStage(model.language_model, writer, int(options["rows"]), self.mix)
        self.text_share = float(options["text"])

    def loss(self, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """Answer loss, plus the pointing loss where a question has something to point at."""
        if rng.random() < self.text_share:
            loss, said = self.text.loss(rng)
            return loss, {**dict.fromkeys(("answers", "pointing", "mass"), math.nan), **said}
        chosen = rng.choice(len(self.pool), min(self.volumes, len(self.pool)), replace=False)
        rows: list[tuple[int, Question]] = []
        for position, k in enumerate(chosen):
            for _ in range(self.questions):
                closed = bool(rng.random() < CLOSED)
                topic = draw_topic(self.mix, rng)
                facts = self.pool[int(k)].facts
                rows.append((position, draw_question(facts, topic, closed=closed, rng=rng)))
        device = device_of(self.module)
        batch = self.writer.batch([(q.prompt, q.answer) for _, q in rows], device, image=True)
        index = torch.tensor([position for position, _ in rows], device=device)
        with half_precision(device):
            three, two = self.features.take(chosen)
            features = self.model.connect_features(three.to(device), two.to(device))
            embedded, _, logits = self.model.prepare_embeddings(
                batch["input_ids"],
                features,
                (batch["question_ids"], batch["question_mask"]),
                volume_index=index,
            )
            answers, right = answer_loss(
                self.model.language_model, embedded, batch, self._opening(batch, features, index)
            )
        held = torch.stack([self._held(int(chosen[position]), q) for position, q in rows])
        points, mass = pointing_loss(logits, held.to(device))
        closed_rows = torch.tensor([q.is_closed for _, q in rows])
        numbers = {
            "answers": float(answers.detach()),
            "pointing": float(points.detach()),
            "mass": float(mass),
            "drill": math.nan,
            "right": float(right.mean()),
            "closed": float(right.cpu()[closed_rows].mean()),
        }
        return answers + self.pointing * points, numbers

    def _opening(self, batch: dict[str, Tensor], features: ImageFeatures, index: Tensor) -> Opening:
        """The text before the volume, which all prompts share, and the volume's 3D tokens."""
        visual = batch["input_ids"] == self.model.config.image_token_id
        before = int(visual[0].int().argmax())
        three = 0 if features.tokens3d is None else features.tokens3d.shape[1]
        return Opening(before + three, index)

    def _held(self, example: int, question: Question) -> Tensor:
        """(S,): slices that hold what the question is about; none where there is nothing."""
        slices = self.pool[example].slices
        kinds = [KIND_NAMES.index(name) for name in question.about]
        return torch.from_numpy(slices[kinds].any(axis=0))


def pointing_loss(logits: Tensor | None, held: Tensor) -> tuple[Tensor, Tensor]:
    """−log of the score mass on the slices that hold the answer, (B, S) against (B, S) bool.

    Rows that hold nothing do not count. Also the mean mass itself.
    """
    if logits is None or not bool(held.any()):
        return torch.zeros((), device=held.device), torch.zeros(())
    rows = held.any(dim=1)
    log_scores = logits[rows].float().log_softmax(dim=-1)
    log_mass = log_scores.masked_fill(~held[rows], -torch.inf).logsumexp(dim=-1)
    return -log_mass.mean(), log_mass.detach().exp().mean()
