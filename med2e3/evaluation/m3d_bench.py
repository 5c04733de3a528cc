"""M3D-Bench on files: reports and questions about volumes on disk, judged as published.

Every volume is read once and asked all its questions. Knows nothing of file layouts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from med2e3.engine import Model, Session
from med2e3.errors import InputError
from med2e3.evaluation.calibration import calibration_error, reliability
from med2e3.evaluation.examiner import Progress
from med2e3.evaluation.figures import Results, Section
from med2e3.evaluation.intervals import Estimate, estimate
from med2e3.evaluation.m3d_files import TYPES, Item, load_image
from med2e3.evaluation.metrics import closed_right_strict
from med2e3.evaluation.predictions import writing
from med2e3.evaluation.records import Prediction
from med2e3.evaluation.scoring import (
    CALIBRATION_COLUMNS,
    closed_columns,
    estimate_closed,
    estimate_texts,
    text_columns,
)
from med2e3.evaluation.texts import TextMetrics
from med2e3.evidence.answer_words import confidence
from med2e3.phantoms.questions import WORDINGS

#: Longest answer, to a question or a report, in tokens: M3D-Bench bounds both alike.
MAX_NEW_TOKENS = 256

ROWS = (*TYPES.values(), "all", "report", "macro", "micro")

#: How intervals were made; also of retrieval.
NOTE = (
    "Intervals: 95 %, bootstrap over cases (2,000 resamplings). The series of a case have one text "
    "and are drawn together; a volume whose case is not known counts as one."
)
PROMPT_NOTE = (
    "Reports were asked for in wordings of our own, drawn by the seed: figures may differ from "
    "those of the published prompts, which are not part of this package. --prompt sets one."
)


@dataclass(frozen=True)
class FileTask:
    """What to ask: `items` of `what`; no more than `limit` of them, drawn by `seed`."""

    what: str
    items: Sequence[Item]
    seed: int = 0
    limit: int | None = None
    predictions: Path | None = None
    max_new_tokens: int | None = None
    notes: tuple[str, ...] = ()

    def chosen(self) -> list[Item]:
        """The items to ask, in the order of the file."""
        if self.limit is None or self.limit >= len(self.items):
            return list(self.items)
        rng = np.random.default_rng(self.seed)
        drawn = rng.choice(len(self.items), self.limit, replace=False)
        return [self.items[int(k)] for k in sorted(drawn)]


def with_prompts(items: Sequence[Item], seed: int, prompt: str | None) -> list[Item]:
    """Items with a request for a report: `prompt`, or a wording of our own drawn by the seed."""
    rng = np.random.default_rng(seed)
    words = WORDINGS["report"]
    drawn = [words[int(k)] for k in rng.integers(len(words), size=len(items))]
    return [replace(i, prompt=prompt or w) for i, w in zip(items, drawn, strict=True)]


def run(
    model: Model, task: FileTask, metrics: TextMetrics, progress: Progress | None = None
) -> Results:
    """Asks and counts. Raises `InputError` naming the row whose volume cannot be read."""
    chosen = task.chosen()
    groups: dict[Path, list[Item]] = {}
    for item in chosen:
        groups.setdefault(item.image, []).append(item)
    cases: dict[str, list[Prediction]] = {}
    done = 0
    with writing(task.predictions, model.info, task.seed) as writer:
        for image, items in groups.items():
            rows = list(_ask(model, image, items, task))
            for item, (a, line) in zip(items, rows, strict=True):
                cases.setdefault(item.cluster, []).append(a)
                if writer:
                    line = {"record": "file", "image": str(image), **line, "correct": _strict(a)}
                    writer.write(line)
            done += len(items)
            if progress:
                progress(done / len(chosen), f"{image.name}: {done} of {len(chosen)} questions")
    return count(model, task, list(cases.values()), len(groups), metrics)


def _ask(
    model: Model, image: Path, items: Sequence[Item], task: FileTask
) -> Iterator[tuple[Prediction, dict[str, Any]]]:
    """All questions about one volume, and what else a prediction's line says."""
    try:
        session = model.read(load_image(image))
    except InputError as error:
        raise InputError(f"Row {items[0].row}, {image}: {error}") from error
    tokens = task.max_new_tokens or MAX_NEW_TOKENS
    plain = [i for i in items if not i.history]
    replies = session.ask_many(
        [i.prompt for i in plain],
        max_new_tokens=tokens,
        scored_by=[i.scored_by for i in plain],
        spaced=[i.spaced for i in plain],
    )
    found = {id(i): r for i, r in zip(plain, replies, strict=True)}
    for item in items:
        if item.history:
            yield _asked_after(session, item, tokens)
            continue
        reply = found[id(item)]
        sure = confidence(
            reply.token_ids, reply.token_probabilities,
            model.backend.processor.decode, whole=not item.letter,
        )  # fmt: skip
        yield _record(item, reply.text, sure, reply.token_probabilities, reply.scores)


def _asked_after(session: Session, item: Item, tokens: int) -> tuple[Prediction, dict[str, Any]]:
    """One question after earlier turns: those with their right answers, as published."""
    answer = session.ask(
        item.prompt, history=item.history, max_new_tokens=tokens, scored_by=item.scored_by
    )
    text = answer.complete()
    decode: Callable[[Sequence[int]], str] = session.model.backend.processor.decode
    sure = confidence(answer.token_ids, answer.token_probabilities, decode, whole=not item.letter)
    scores = () if answer.scores is None else tuple(float(s) for s in answer.scores.values)
    return _record(item, text, sure, answer.token_probabilities, scores)


def _record(
    item: Item, text: str, sure: float, shares: Sequence[float], scores: Sequence[float]
) -> tuple[Prediction, dict[str, Any]]:
    asked = Prediction(
        item.topic, item.prompt, item.truth, item.letter, text, choices=item.choices,
        confidence=sure, probabilities=tuple(round(p, 6) for p in shares),
        scores=tuple(round(s, 7) for s in scores),
    )  # fmt: skip
    line = {
        "row": item.row, "id": item.id, "case": item.case,
        "history": [list(turn) for turn in item.history],
        "topic": asked.topic, "prompt": asked.prompt, "scored_by": item.scored_by,
        "truth": asked.truth,
        "letter": asked.letter, "answer": asked.answer, "confidence": asked.confidence,
        "probabilities": list(asked.probabilities), "scores": list(asked.scores),
    }  # fmt: skip
    return asked, line


def _strict(a: Prediction) -> bool | None:
    return closed_right_strict(a.answer, a.letter, a.truth) if a.letter else None


def count(
    model: Model,
    task: FileTask,
    asked: Sequence[Sequence[Prediction]],
    volumes: int,
    metrics: TextMetrics,
) -> Results:
    """Every figure that these answers allow; one inner sequence a case."""
    found: dict[str, Estimate | None] = {
        **estimate_closed(_by_topic(asked, True)),
        **estimate_texts(_by_topic(asked, False), metrics),
    }
    said = [[(a.confidence, bool(_strict(a))) for a in g if a.is_closed] for g in asked]
    found["calibration error, closed"] = calibration_error(said)
    found["mean probability, closed"] = estimate([[p for p, _ in g] for g in said])
    info = model.info
    total = sum(len(g) for g in asked)
    about = f"{volumes} volumes of {len(asked)} cases"
    return Results(
        info.name,
        f"{task.what}: {total} questions about {about}, model {info.name}",
        {
            "questions": total, "volumes": volumes, "cases": len(asked), "seed": task.seed,
            "weights_sha256": info.weights_sha256, "dtype": info.dtype, "device": info.device,
        },
        {name: figure for name, figure in found.items() if figure is not None},
        _sections(),
        metrics.missing,
        (NOTE, *task.notes),
        {"closed": reliability(said)} if any(said) else {},
    )  # fmt: skip


def _sections() -> tuple[Section, ...]:
    """The tables of the figures, with a column for every rule and metric."""
    note = "Macro is the mean of the types, micro of the questions."
    return (
        Section("Closed questions, accuracy", ROWS, closed_columns(), note),
        Section("Open questions", ROWS, text_columns()),
        Section("Calibration", ("closed",), CALIBRATION_COLUMNS),
    )


def _by_topic(
    asked: Sequence[Sequence[Prediction]], closed: bool
) -> dict[str, list[list[Prediction]]]:  # fmt: skip
    topics = dict.fromkeys(a.topic for g in asked for a in g if a.is_closed is closed)
    return {
        t: [[a for a in g if a.topic == t and a.is_closed is closed] for g in asked] for t in topics
    }
