"""A study's report: one HTML page that asks for nothing else, with figures and all answers.

Knows nothing of how the table came about.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from med2e3.files import write_whole
from med2e3.study.charts import (
    answer_figure,
    certainty_figure,
    inline_svg,
    score_map,
    time_figure,
)
from med2e3.study.columns import Row, writing
from med2e3.study.plan import Plan
from med2e3.words import counted

#: The page around the body.
TEMPLATE = Path(__file__).with_name("report.html")

#: Questions whose figures are drawn, and rows that are listed: a page of more is slow to open. The
#: table has them all.
MOST_QUESTIONS, MOST_ROWS = 24, 2000

NOTICE = (
    "Answers of a research model: drafts, not findings. Slice scores are weights of the slices’ "
    "2D features, fixed before the first word; they do not prove what an answer rests on. No "
    "answer here was compared with a truth."
)

#: Columns that the report reads.
READ = (
    "volume", "model", "question_name", "answer", "probability", "error", "scores",
    "volume_sha256", "weights_sha256", "kind", "dtype", "processor", "seconds_reading",
    "seconds_encoding", "seconds", "worker", "med2e3", "torch", "transformers",
)  # fmt: skip


def write_report(plan: Plan, table: Any, path: Path) -> None:
    """Write the report of a study's table. Raises `ResourceError` where it cannot be written."""
    rows: list[Row] = table.select(READ).to_pylist()
    title = plan.title or "Study"
    page = string.Template(TEMPLATE.read_text(encoding="utf-8"))
    text = page.substitute(title=escape(title), body="\n".join(_body(title, plan, rows)))
    with writing(path):
        write_whole(path, text)


def _body(title: str, plan: Plan, rows: Sequence[Row]) -> Iterable[str]:
    answered = [row for row in rows if not row["error"]]
    yield f"<h1>{escape(title)}</h1>"
    yield f'<p class="notice">{escape(NOTICE)}</p>'
    yield _counts(plan, answered, len(rows) - len(answered))
    for number, model in enumerate(plan.models):
        of_model = [row for row in answered if row["model"] == model.name]
        if len(plan.models) > 1:
            yield f"<h2>{escape(model.name)}</h2>"
        yield from _figures(f"m{number}", plan, of_model)
    yield from _errors(rows)
    yield from _same_voxels(rows)
    yield from _listing(rows)
    yield from _provenance(plan, rows)


def _counts(plan: Plan, answered: Sequence[Row], failed: int) -> str:
    numbers = {
        "volumes": len(plan.volumes), "questions": len(plan.questions),
        "models": len(plan.models), "answers": len(answered), "not answered": failed,
    }  # fmt: skip
    each = (f"<div><dt>{name}</dt><dd>{count:,}</dd></div>" for name, count in numbers.items())
    return f'<dl class="counts">{"".join(each)}</dl>'


def _figures(prefix: str, plan: Plan, rows: Sequence[Row]) -> Iterable[str]:
    if not rows:
        yield "<p>There is no answer to draw.</p>"
        return
    names = [question.name for question in plan.questions][:MOST_QUESTIONS]
    held = {name: [row for row in rows if row["question_name"] == name] for name in names}
    by_name = {name: of_name for name, of_name in held.items() if of_name}
    if len(plan.questions) > MOST_QUESTIONS:
        more = len(plan.questions) - MOST_QUESTIONS
        yield f'<p class="dim">The first {MOST_QUESTIONS} questions are drawn, {more} are not.</p>'
    yield "<h2>How sure the model was</h2>"
    sure = {name: [row["probability"] for row in of] for name, of in by_name.items()}
    yield inline_svg(certainty_figure(sure), f"{prefix}-sure", "Probabilities of the answers")
    yield from _score_maps(prefix, by_name)
    yield "<h2>Answers</h2>"
    for k, (name, of) in enumerate(by_name.items()):
        yield f"<h3>{escape(name)}</h3>"
        given = Counter(row["answer"] or "(no words)" for row in of)
        yield inline_svg(answer_figure(given, len(of)), f"{prefix}-a{k}", "Answers by number")
    yield "<h2>Time</h2>"
    yield inline_svg(time_figure(_times(rows)), f"{prefix}-time", "Seconds of each part")


def _score_maps(prefix: str, by_name: dict[str, list[Row]]) -> Iterable[str]:
    """Mean slice scores by question; models without scores have none."""
    scored = {
        name: np.array([row["scores"] for row in held if row["scores"]], dtype=np.float64)
        for name, held in by_name.items()
    }
    means = {
        n: values.mean(axis=0) * values.shape[1] for n, values in scored.items() if len(values)
    }
    if means:
        yield "<h2>Which slices were weighted</h2>"
        yield (
            '<p class="dim">Mean over the volumes, in multiples of an equal share, on the fixed '
            "scale. Where rows look alike, the weights follow the scan and not the question.</p>"
        )
        yield inline_svg(score_map(means), f"{prefix}-map", "Mean slice scores by question")


def _times(rows: Sequence[Row]) -> dict[str, list[float]]:
    """Seconds of each part of the work; reading and encoding are of a volume, not of a question."""
    first = {row["volume"]: row for row in reversed(rows)}.values()
    return {
        "reading a volume": [row["seconds_reading"] for row in first],
        "encoding it": [row["seconds_encoding"] for row in first],
        "one answer": [row["seconds"] for row in rows],
    }


def _errors(rows: Sequence[Row]) -> Iterable[str]:
    reasons: dict[tuple[str, str, str], int] = Counter(
        (row["volume"], row["model"], row["error"]) for row in rows if row["error"]
    )
    if not reasons:
        return
    yield "<h2>Not answered</h2>"
    listed = [[*key, str(count)] for key, count in reasons.items()]
    yield _table(["volume", "model", "reason", "questions"], listed)


def _same_voxels(rows: Sequence[Row]) -> Iterable[str]:
    """Volumes that hold the same: counted twice in every figure, though their paths differ."""
    by_hash: dict[str, list[str]] = {}
    for row in rows:
        if row["volume_sha256"]:
            names = by_hash.setdefault(row["volume_sha256"], [])
            if row["volume"] not in names:
                names.append(row["volume"])
    for names in by_hash.values():
        if len(names) > 1:
            said = ", ".join(escape(name) for name in names)
            yield f'<p class="notice">These volumes hold the same voxels: {said}.</p>'


def _listing(rows: Sequence[Row]) -> Iterable[str]:
    yield "<h2>All answers</h2>"
    shown = rows[:MOST_ROWS]
    if len(rows) > MOST_ROWS:
        yield f'<p class="dim">The first {MOST_ROWS:,} of {len(rows):,}; table.parquet has all.</p>'
    listed = [
        [
            row["volume"], row["model"], row["question_name"], row["answer"] or row["error"] or "",
            "" if row["probability"] is None else f"{row['probability']:.3f}",
        ]
        for row in shown
    ]  # fmt: skip
    head = ["volume", "model", "question", "answer", "probability"]
    summary = f"<summary>{counted(len(shown), 'row')}</summary>"
    yield f"<details>{summary}{_table(head, listed)}</details>"


def _provenance(plan: Plan, rows: Sequence[Row]) -> Iterable[str]:
    yield "<h2>Where it comes from</h2>"
    of: list[list[str]] = []
    for model in plan.models:
        row = next((r for r in rows if r["model"] == model.name and r["dtype"]), None)
        if row is not None:
            weights = row["weights_sha256"]
            of.append([model.name, row["kind"], row["dtype"], row["processor"], weights])
    yield _table(["model", "kind", "precision", "processor", "SHA-256 of the weights"], of)
    first, decoding = rows[0], plan.decoding
    how = "the likeliest token" if not decoding.temperature else "drawn"
    said = [
        f"med2e3 {first['med2e3']}, torch {first['torch']}, transformers {first['transformers']}",
        f"plane: {plan.plane or 'the model’s own'}; window: {plan.window or 'the model’s own'}",
        f"decoding: {how}, temperature {decoding.temperature:g}, top p {decoding.top_p:g}, "
        f"seed {decoding.seed}, at most {decoding.max_new_tokens or 'all that fit'} tokens",
        counted(len({row["worker"] for row in rows if row["worker"]}), "worker")
        + f", {counted(plan.threads, 'thread')} each",
    ]
    yield "".join(f'<p class="dim">{escape(line)}</p>' for line in said)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = "".join(f"<tr>{_cells('td', row)}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{_cells("th", head)}</tr>{body}</table></div>'


def _cells(tag: str, values: Sequence[str]) -> str:
    return "".join(f"<{tag}>{escape(value)}</{tag}>" for value in values)
