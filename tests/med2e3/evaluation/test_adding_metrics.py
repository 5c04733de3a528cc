"""A metric is a function and a row: figures and tables follow from these alone."""

from __future__ import annotations

import dataclasses

import pytest

from med2e3.evaluation.figures import Section
from med2e3.evaluation.intervals import Estimate, estimate
from med2e3.evaluation.metrics import CLOSED_RULES, ClosedRule
from med2e3.evaluation.phantom_benchmark import METRICS, Metric, count
from med2e3.evaluation.records import ANSWER, Examined, Prediction
from med2e3.evaluation.texts import TEXT_METRICS, TextMetrics, one_by_one, open_metrics

CLOSED = Prediction("organ", "Which? Choices: A. x B. y", "A. x", "A", "a. x", choices=2)
OPEN = Prediction("organ", "Which organ?", "Liver.", "", "It is the liver, surely.")
REPORT = Prediction("report", "Report.", "Lungs: normal.", "", "Lungs: all normal.")
EXAMINED = Examined(1, "axial", "arterial", "chest", (), (CLOSED, OPEN, REPORT))


def words_ratio(answer: str, wanted: str) -> float:
    """Words wanted for each word said."""
    return len(wanted.split()) / len(answer.split())


def row_of(table: str, title: str, row: str) -> dict[str, str]:
    """One row of the Markdown table under a title, by its headings."""
    lines = table.split(f"**{title}**\n\n")[1].splitlines()
    headings, cells = ([c.strip() for c in line.strip("|").split("|")] for line in (
        lines[0], next(line for line in lines if line.startswith(f"| {row} |"))
    ))  # fmt: skip
    return dict(zip(headings, cells, strict=True))


def test_a_text_metric_that_is_added_is_in_both_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TEXT_METRICS, "words", lambda _: one_by_one(words_ratio))
    results = count("some model", [EXAMINED], {"seed": 1}, open_metrics())
    assert results.figures["open organ, words"].value == pytest.approx(1 / 5)
    assert results.figures["report words"].value == pytest.approx(2 / 3)
    assert row_of(results.table(), "Open questions", "organ")["words"].startswith("0.200")
    assert row_of(results.table(), "Reports", "words")["value"].startswith("0.667")


def test_one_that_needs_what_is_not_here_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TEXT_METRICS, "words", lambda _: "Words need a dictionary.")
    results = count("some model", [EXAMINED], {"seed": 1}, open_metrics())
    assert "words: not computed. Words need a dictionary." in results.table()
    assert "open organ, words" not in results.figures


def test_a_rule_for_closed_answers_that_is_added_is_a_column(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def right(answer: str, letter: str, truth: str) -> bool:
        return answer.lower() == truth.lower()

    monkeypatch.setitem(CLOSED_RULES, "any case", ClosedRule(right, " (any case)"))
    results = count("some model", [EXAMINED], {"seed": 1}, open_metrics())
    assert results.figures["closed organ (any case)"].value == 1
    assert results.figures["closed organ (published rule)"].value == 0
    row = row_of(results.table(), "Closed questions, accuracy", "organ")
    assert row["any case"].startswith("1.000")


def test_a_metric_of_phantoms_that_is_added_is_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    def count_lengths(examined: list[Examined], _: TextMetrics) -> dict[str, Estimate | None]:
        lengths = [[float(len(a.answer)) for a in e.of_use(ANSWER)] for e in examined]
        return {"letters, answers": estimate(lengths)}

    def section() -> Section:
        return Section("Length", ("answers",), (("letters", "letters, {row}"),))

    monkeypatch.setitem(METRICS, "length", Metric(count_lengths, section))
    longer = dataclasses.replace(EXAMINED, seed=2)
    results = count("some model", [EXAMINED, longer], {"seed": 1}, open_metrics())
    mean = sum(len(a.answer) for a in EXAMINED.asked) / 3
    assert results.figures["letters, answers"].value == pytest.approx(mean)
    assert row_of(results.table(), "Length", "answers")["n"] == "6"
