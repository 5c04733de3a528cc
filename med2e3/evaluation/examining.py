"""Shows phantoms to a model and writes down what it says: no figure is computed here.

Phantoms go through the app's own preprocessing, with the model's default window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from med2e3.evaluation.asking import Reply, ask_all, score_all, stack_grids
from med2e3.evaluation.records import Asked, Examined, Pointed
from med2e3.evaluation.truth import finding_grid
from med2e3.model import Med2E3ForConditionalGeneration, Med2E3Processor
from med2e3.model.modeling import ImageFeatures
from med2e3.phantoms import Phantom, Wish, make_phantom
from med2e3.phantoms.questions import Question, location
from med2e3.preprocessing import ModelInput, prepare
from med2e3.volume import Window

Progress = Callable[[float, str], None]

#: Evaluation seeds begin here; training seeds lie below ten million.
FIRST_SEED = 20_000_000
#: Seeds of one evaluation lie this far from those of the next.
SEED_STEP = 100_000

#: Phantoms asked about in one batch: about 130 questions.
BATCH = 8

#: Longest answer to a question, and longest report, in tokens.
ANSWER_TOKENS, REPORT_TOKENS = 24, 180


@dataclass(frozen=True, eq=False)
class Subject:
    """The model under test with its processor and default window."""

    model: Med2E3ForConditionalGeneration
    processor: Med2E3Processor
    window: Window | None
    name: str = ""


def phantom_seeds(count: int, seed: int) -> list[int]:
    """The phantoms of an evaluation; never seen in training, another set for each seed."""
    return [FIRST_SEED + seed * SEED_STEP + k for k in range(count)]


def examine(
    subject: Subject, count: int, seed: int, progress: Progress | None = None
) -> list[Examined]:
    """Asks `count` phantoms everything."""
    shape = subject.model.config.grid_shape
    blank = subject.model.encode_images(stack_grids([torch.zeros((1, *shape))], subject.model))
    seeds = phantom_seeds(count, seed)
    examined: list[Examined] = []
    for start in range(0, count, BATCH):
        part = [make_phantom(s, Wish(shape=shape)) for s in seeds[start : start + BATCH]]
        examined += _examine_batch(subject, part, blank)
        if progress:
            progress(len(examined) / count, f"phantom {len(examined)} of {count}")
    return examined


def _examine_batch(
    subject: Subject, phantoms: Sequence[Phantom], blank: ImageFeatures
) -> list[Examined]:
    model, processor = subject.model, subject.processor
    shape = model.config.grid_shape
    reads = [prepare(p.volume, shape, plane=p.plane, window=subject.window) for p in phantoms]
    with torch.inference_mode():
        features = model.encode_images(stack_grids([r.grid for r in reads], model))
    questions = [(k, q) for k, p in enumerate(phantoms) for q in p.questions()]
    short = [(k, q) for k, q in questions if q.topic != "report"]
    long = [(k, q) for k, q in questions if q.topic == "report"]
    blind = [(k, q) for k, q in short if q.is_closed or q.topic == "presence"]
    asked: list[list[Asked]] = [[] for _ in phantoms]
    for rows, tokens in ((short, ANSWER_TOKENS), (long, REPORT_TOKENS)):
        replies = ask_all(model, processor, features, _prompts(rows), tokens)
        for (k, question), reply in zip(rows, replies, strict=True):
            asked[k].append(_asked(question, reply))
    unseen = [(0, q.prompt) for _, q in blind]
    for (k, question), reply in zip(
        blind, ask_all(model, processor, blank, unseen, ANSWER_TOKENS), strict=True
    ):
        asked[k].append(_asked(question, reply, blank=True))
    pointed = _point(subject, phantoms, reads, features)
    return [
        Examined(
            p.seed, p.plane.value, p.phase.value, p.region.value,
            tuple(f.name for f in p.findings), p.report, tuple(asked[k]), tuple(pointed[k]),
        )
        for k, p in enumerate(phantoms)
    ]  # fmt: skip


def _prompts(rows: Sequence[tuple[int, Question]]) -> list[tuple[int, str]]:
    return [(k, question.prompt) for k, question in rows]


def _asked(question: Question, reply: Reply, blank: bool = False) -> Asked:
    return Asked(
        question.topic, question.prompt, question.answer, question.letter, reply.text, blank
    )


def _point(
    subject: Subject,
    phantoms: Sequence[Phantom],
    reads: Sequence[ModelInput],
    features: ImageFeatures,
) -> list[list[Pointed]]:
    """Where the scores lie for "Where is the …?", for every finding of every phantom."""
    rows: list[tuple[int, str, str, NDArray[np.int64]]] = []
    for k, (phantom, read) in enumerate(zip(phantoms, reads, strict=True)):
        rng = np.random.default_rng(phantom.seed)
        for finding in phantom.findings:
            prompt = location(phantom.facts, finding.name, False, rng).prompt
            held = np.flatnonzero(finding_grid(finding.mask, read).any(axis=(1, 2)))
            rows.append((k, finding.name, prompt, held))
    pointed: list[list[Pointed]] = [[] for _ in phantoms]
    if not rows:
        return pointed
    scores = score_all(
        subject.model, subject.processor, features, [(k, prompt) for k, _, prompt, _ in rows]
    )
    for (k, name, prompt, held), row in zip(rows, scores, strict=True):
        if row:
            pointed[k].append(Pointed(name, prompt, row, tuple(int(h) for h in held)))
    return pointed
