"""Asks a model the questions of a file and writes every answer down: no figure is computed here.

Every volume is read once and asked all its questions. A run that was stopped goes on where it was;
processes may share the volumes. Knows nothing of file layouts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from med2e3.engine import Model, ModelInfo, Reply, Session
from med2e3.errors import InputError
from med2e3.evaluation.examiner import Progress
from med2e3.evaluation.m3d_files import Item
from med2e3.evaluation.metrics import closed_right_strict, dice, soft_dice
from med2e3.evaluation.parallel import ModelChoice, in_processes
from med2e3.evaluation.predictions import whole_lines, writing
from med2e3.evaluation.reading import Reading, load_array
from med2e3.evidence.answer_words import confidence
from med2e3.model.requests import Requests

#: Longest answer, to a question or a report, in tokens: M3D-Bench bounds both alike.
MAX_NEW_TOKENS = 256

#: From which probability a voxel belongs to a mask, as in the published demo.
MASK_THRESHOLD = 0.5

#: Fields of a line that say which question it answers; they must be the same when a run goes on.
ASKED = (
    "record", "task", "number", "row", "image", "topic", "prompt", "truth", "letter", "history",
    "scored_by", "spaced", "max_new_tokens",
)  # fmt: skip

Line = dict[str, Any]


@dataclass(frozen=True)
class FileTask:
    """What to ask: `items` of `what`; no more than `limit` of them, drawn by `seed`.

    `skipped` names the rows of the list that were none. `workers` processes share the volumes.
    `resume` goes on with what `predictions` holds. `settings` are told with the results.
    """

    what: str
    items: Sequence[Item]
    seed: int = 0
    limit: int | None = None
    predictions: Path | None = None
    max_new_tokens: int | None = None
    notes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    workers: int = 1
    resume: bool = False
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """Longest answer in tokens."""
        return self.max_new_tokens or MAX_NEW_TOKENS

    def chosen(self) -> list[Item]:
        """The items to ask, in the order of the file."""
        if self.limit is None or self.limit >= len(self.items):
            return list(self.items)
        rng = np.random.default_rng(self.seed)
        drawn = rng.choice(len(self.items), self.limit, replace=False)
        return [self.items[int(k)] for k in sorted(drawn)]

    def head(self, number: int, item: Item) -> Line:
        """What a line says of its question before it is answered."""
        return {
            "record": "file", "task": self.what, "number": number, "image": str(item.image),
            "row": item.row, "id": item.id, "case": item.case,
            "history": [list(turn) for turn in item.history],
            "topic": item.topic, "prompt": item.prompt, "scored_by": item.scored_by,
            "spaced": item.spaced, "truth": item.truth, "letter": item.letter,
            "choices": item.choices, "labels": list(item.labels), "grid": list(item.grid),
            "max_new_tokens": self.tokens,
        }  # fmt: skip


@dataclass(frozen=True)
class Group:
    """All questions about one volume that are left, with their heads."""

    image: Path
    items: tuple[Item, ...]
    heads: tuple[Line, ...]
    tokens: int


def with_prompts(
    items: Sequence[Item], seed: int, prompt: str | None, requests: Requests | None = None
) -> list[Item]:
    """Items with a request for a report: `prompt`, or one of `requests` drawn by seed and row."""
    drawn = requests or Requests()
    return [replace(i, prompt=prompt or drawn.draw(seed, i.row)) for i in items]


def ask_all(
    model: Model | ModelChoice, task: FileTask, progress: Progress | None = None
) -> tuple[ModelInfo, list[Line]]:
    """A line for every question, in the order of the list; also of those that were answered before.

    Raises `InputError` naming the row whose volume cannot be read, for `predictions` of another
    evaluation, and for workers with a model that is loaded already: they load their own.
    """
    choice = model if isinstance(model, ModelChoice) else None
    if task.workers > 1 and choice is None:
        raise InputError("Several workers load their own model: give its name, not a loaded one.")
    loaded = model if isinstance(model, Model) else model.load()
    chosen = task.chosen()
    heads = [task.head(k, item) for k, item in enumerate(chosen)]
    done = _answered(task, heads, loaded.info) if task.resume else {}
    groups = _groups(chosen, heads, done, task.tokens)
    with writing(task.predictions, loaded.info, task.seed, go_on=task.resume) as writer:
        answered = (
            in_processes(choice, asking, groups, task.workers)
            if task.workers > 1 and choice is not None and groups
            else map(asking(loaded), groups)
        )
        for group, lines in zip(groups, answered, strict=True):
            for line in lines:
                done[line["number"]] = line
                if writer:
                    writer.write(line)
            if progress:
                said = f"{group.image.name}: {len(done)} of {len(chosen)} questions"
                progress(len(done) / len(chosen), said)
    return loaded.info, [done[k] for k in range(len(chosen))]


def asking(model: Model) -> Callable[[Group], list[Line]]:
    """What answers one group after the other with a model."""
    return lambda group: list(_ask(model, group))


def _answered(task: FileTask, heads: Sequence[Line], info: ModelInfo) -> dict[int, Line]:
    """The lines that an earlier run wrote, by their numbers; all of them must be of this run."""
    if task.predictions is None:
        raise InputError("There is nothing to go on with: name the file of --predictions.")
    done: dict[int, Line] = {}
    about = {"seed": task.seed, "weights_sha256": info.weights_sha256}
    for place, line in enumerate(whole_lines(task.predictions), start=1):
        said = line.get("number")
        number = said if isinstance(said, int) and 0 <= said < len(heads) else -1
        wanted = {**{k: heads[number][k] for k in ASKED}, **about} if number >= 0 else {}
        odd = next((k for k, v in wanted.items() if line.get(k) != v), "")
        if odd or number < 0:
            was, now = (line.get(odd), wanted[odd]) if odd else (said, f"0 to {len(heads) - 1}")
            odd = odd or "number"
            raise InputError(
                f"{task.predictions}, line {place}, is of another evaluation: {odd} was {was!r}, "
                f"and is {now!r} now. Ask the same of the same model, or name another file."
            )
        done[number] = line
    return done


def _groups(
    chosen: Sequence[Item], heads: Sequence[Line], done: dict[int, Line], tokens: int
) -> list[Group]:
    """What is left to ask, a group a volume, in the order of the list."""
    left: dict[tuple[Path, Reading], list[int]] = {}
    for number, item in enumerate(chosen):
        if number not in done:
            left.setdefault((item.image, item.reading), []).append(number)
    return [
        Group(image, tuple(chosen[k] for k in rows), tuple(heads[k] for k in rows), tokens)
        for (image, _), rows in left.items()
    ]


def _ask(model: Model, group: Group) -> Iterator[Line]:
    """All questions about one volume."""
    try:
        reading = group.items[0].reading
        volume = reading.load(group.image)
        session = model.read(volume, window=reading.grey(), crop=reading.crop)
    except InputError as error:
        raise InputError(f"Row {group.items[0].row}, {group.image}: {error}") from error
    plain = [i for i in group.items if not i.history]
    replies = session.ask_many(
        [i.prompt for i in plain],
        max_new_tokens=group.tokens,
        scored_by=[i.scored_by for i in plain],
        spaced=[i.spaced for i in plain],
    )
    found = {id(i): r for i, r in zip(plain, replies, strict=True)}
    for item, head in zip(group.items, group.heads, strict=True):
        if item.history:
            yield _asked_after(session, item, head, group.tokens)
            continue
        reply = found[id(item)]
        sure = confidence(
            reply.token_ids, reply.token_probabilities,
            model.backend.processor.decode, whole=not item.letter,
        )  # fmt: skip
        line = _line(head, reply.text, sure, reply.token_probabilities, reply.scores)
        if item.mask is not None:
            line |= _drawn(session, item, reply)
        yield line


def _drawn(session: Session, item: Item, reply: Reply) -> Line:
    """How near the mask of an answer is to the wanted one, by both rules; 0 for no mask at all."""
    where = f"Row {item.row}, {item.mask}"
    stored = load_array(item.mask) if item.mask is not None else np.zeros(1)
    target = np.squeeze(stored == item.mask_id if item.mask_id else stored != 0)
    grid = session.input.grid.shape[-3:]
    if stored.size == 1:  # how an empty class is stored
        target = np.zeros(grid, bool)
    if target.shape != grid:
        raise InputError(f"{where}: the mask is {target.shape}, the model's grid {tuple(grid)}.")
    logits = session.mask_logits(item.prompt, reply.token_ids, spaced=item.spaced)
    if logits is None:
        drawn = {"mask": False, "soft_dice": 0.0, "dice": 0.0 if target.any() else 1.0}
    else:
        shares = logits[0].float().sigmoid().cpu().numpy()
        drawn = {
            "mask": True, "soft_dice": soft_dice(shares, target),
            "dice": dice(shares > MASK_THRESHOLD, target),
        }  # fmt: skip
    return {**drawn, "voxels": int(target.sum())}


def _asked_after(session: Session, item: Item, head: Line, tokens: int) -> Line:
    """One question after earlier turns: those with their right answers, as published."""
    answer = session.ask(
        item.prompt, history=item.history, max_new_tokens=tokens, scored_by=item.scored_by
    )
    text = answer.complete()
    decode: Callable[[Sequence[int]], str] = session.model.backend.processor.decode
    sure = confidence(answer.token_ids, answer.token_probabilities, decode, whole=not item.letter)
    scores = () if answer.scores is None else tuple(float(s) for s in answer.scores.values)
    return _line(head, text, sure, answer.token_probabilities, scores)


def _line(
    head: Line, text: str, sure: float, shares: Sequence[float], scores: Sequence[float]
) -> Line:
    """A question with its answer."""
    letter = head["letter"]
    right = closed_right_strict(text, letter, head["truth"]) if letter else None
    return {
        **head, "answer": text, "confidence": sure,
        "probabilities": [round(p, 6) for p in shares],
        "scores": [round(s, 7) for s in scores], "correct": right,
    }  # fmt: skip
