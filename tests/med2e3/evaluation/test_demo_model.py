"""The shipped demo model on phantoms that it never saw: it answers, and its scores point."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from med2e3.engine import Model, load
from med2e3.errors import InputError
from med2e3.evaluation import evaluate_phantoms, parallel
from med2e3.evaluation.figures import Results
from med2e3.evaluation.phantom_benchmark import recount
from med2e3.evaluation.records import Pointed
from med2e3.phantoms import make_phantom

#: Seed of a set that neither training nor the model card used.
SEED = 77


@pytest.fixture(scope="module")
def demo() -> Model:
    return load("demo", device="cpu")


@pytest.fixture(scope="module")
def results(demo: Model) -> Results:
    return evaluate_phantoms(demo, 7, SEED)


def test_it_tells_plane_and_phase(results: Results) -> None:
    assert results.figures["closed plane"].value >= 0.9
    assert results.figures["closed phase"].value >= 0.7  # some of 7 may go wrong


def test_its_scores_peak_on_the_finding_far_more_often_than_chance(results: Results) -> None:
    pointing = results.figures["pointing"]
    assert pointing.count >= 10
    assert pointing.chance is not None
    assert pointing.value >= 3 * pointing.chance


def test_its_scores_follow_the_question(results: Results) -> None:
    asked = results.figures["pairs: mass on the asked finding"].value
    other = results.figures["pairs: mass on the other finding"].value
    assert asked > 3 * other


def test_without_a_volume_it_can_only_guess(results: Results) -> None:
    assert results.figures["closed plane, blank volume"].value < 0.7
    assert results.figures["closed phase, blank volume"].value < 0.6


def test_the_same_seed_gives_the_same_results(demo: Model) -> None:
    first, second = (evaluate_phantoms(demo, 1, 5) for _ in range(2))
    assert first.as_dict() == second.as_dict()
    assert first.examined == second.examined


def test_predictions_are_written_as_they_come_and_can_be_counted_again(
    demo: Model, tmp_path: Path
) -> None:
    file = tmp_path / "predictions.jsonl"
    written: list[int] = []
    results = evaluate_phantoms(
        demo, 2, 8, predictions=file,
        progress=lambda _, __: written.append(len(file.read_text().splitlines())),
    )  # fmt: skip
    assert 0 < written[0] < written[1]
    again = recount(file)
    assert again.examined == results.examined
    assert again.figures == results.figures
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    asked = [line for line in lines if line["record"] == "asked"]
    assert all(line["weights_sha256"] == demo.info.weights_sha256 for line in lines)
    assert all(line["seed"] == 8 for line in lines)
    assert {line["use"] for line in asked} == {"answer", "blank", "reworded", "free", "window"}
    for line in asked:
        assert sum(line["scores"]) == pytest.approx(1, abs=1e-4)
        assert len(line["scores"]) == 32
        assert len(line["probabilities"]) >= 1
        assert 0 < line["confidence"] <= 1
        assert (line["correct"] is None) is (line["topic"] == "report")


def test_an_answer_in_a_prediction_is_the_engines_own(demo: Model, results: Results) -> None:
    examined = results.examined[0]
    phantom = make_phantom(examined.seed)
    session = demo.read(phantom.volume, plane=phantom.plane)
    for asked in examined.of_use("answer")[:4]:
        answer = session.ask(asked.prompt, max_new_tokens=24)
        assert answer.complete() == asked.answer
        np.testing.assert_allclose(answer.token_probabilities, asked.probabilities, atol=1e-4)
        assert answer.scores is not None
        np.testing.assert_allclose(answer.scores.values, asked.scores, atol=1e-6)


@pytest.mark.slow
def test_two_workers_give_what_one_gives(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "PORTION", 1)
    two = evaluate_phantoms("demo", 2, SEED, workers=2)
    assert [e.seed for e in two.examined] == [e.seed for e in results.examined[:2]]
    for a, b in zip(results.examined[:2], two.examined, strict=True):
        assert [x.answer for x in a.asked] == [x.answer for x in b.asked]
        # Other batches and thread counts round differently; a product of many tokens shows it most.
        np.testing.assert_allclose(
            [x.confidence for x in a.asked], [x.confidence for x in b.asked], atol=3e-3
        )


def test_workers_need_the_name_of_a_model(demo: Model) -> None:
    with pytest.raises(InputError, match="give its name"):
        evaluate_phantoms(demo, 5, 9, workers=2)


def test_every_table_of_a_card_has_its_figures_with_intervals_and_chance(results: Results) -> None:
    table = results.table()
    for title in (section.title for section in results.sections):
        assert f"**{title}**" in table
    figure = results.figures["closed organ"]
    assert f"{figure.value:.3f} ({figure.low:.3f}–{figure.high:.3f})" in table
    assert figure.chance is not None
    assert 0.25 <= figure.chance <= 0.5
    assert "METEOR: not computed" in table or "METEOR |" in table


def test_a_peak_counts_only_on_a_slice_that_holds_the_finding() -> None:
    row = Pointed("lung nodule", "Where?", (0.1, 0.6, 0.3, 0.0), (1, 2))
    assert row.hit
    assert row.mass == pytest.approx(0.9)
    assert row.chance == 0.5
    assert not Pointed("lung nodule", "Where?", (0.7, 0.2, 0.1, 0.0), (1, 2)).hit


def test_progress_reaches_the_end(demo: Model) -> None:
    told: list[float] = []
    report: Callable[[float, str], None] = lambda fraction, what: told.append(fraction)  # noqa: E731
    evaluate_phantoms(demo, 1, 6, progress=report)
    assert told[-1] == 1
