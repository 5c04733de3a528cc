"""`med2e3 evaluate --figure` as its users meet it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from med2e3.cli import evaluating
from med2e3.evaluation.calibration import Bin
from med2e3.evaluation.figures import Results


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`counted(bins)`: a recount whose closed questions have these bins."""

    def put(*bins: Bin) -> None:
        results = Results("tiny", "6 phantoms", {}, {}, (), bins={"closed": bins})
        monkeypatch.setitem(evaluating.TASKS, "recount", lambda *_: results)

    return put


def test_an_evaluation_draws_its_calibration(
    run: Callable, counted: Callable, tmp_path: Path
) -> None:
    counted(Bin(0.5, 0.6, 4, 0.55, 0.5), Bin(0.9, 1.0, 9, 0.95, 1.0))
    file = tmp_path / "predictions.jsonl"
    file.write_text("")
    ran = run("evaluate", "--recount", file, "--figure", tmp_path / "calibration.pdf")
    assert ran.code == 0, ran.err
    assert (tmp_path / "calibration.pdf").read_bytes().startswith(b"%PDF")
    assert "Reliability, closed" in ran.out


def test_without_probabilities_the_tables_are_printed_and_no_figure_is_left(
    run: Callable, counted: Callable, tmp_path: Path
) -> None:
    counted()
    file = tmp_path / "predictions.jsonl"
    file.write_text("")
    ran = run("evaluate", "--recount", file, "--figure", tmp_path / "calibration.pdf")
    assert ran.code != 0
    assert "6 phantoms" in ran.out
    assert "no answer that is right or wrong has a probability" in ran.err
    assert [p.name for p in tmp_path.iterdir()] == ["predictions.jsonl"]


def test_a_figure_is_refused_where_nothing_would_be_drawn(run: Callable, tmp_path: Path) -> None:
    file = tmp_path / "captions.json"
    file.write_text("{}")
    ran = run("evaluate", "--retrieval", file, "--figure", tmp_path / "calibration.png")
    assert ran.code != 0
    assert "--figure would change nothing with --retrieval" in ran.err
