"""The shipped demo model on phantoms that it never saw: it answers, and its scores point."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from med2e3.engine import Model, load
from med2e3.evaluation import evaluate_phantoms
from med2e3.evaluation.asking import ask_all, stack_grids
from med2e3.evaluation.examining import FIRST_SEED
from med2e3.evaluation.figures import Results
from med2e3.evaluation.records import Examined, Pointed
from med2e3.evaluation.subjects import subject_of
from med2e3.phantoms import make_phantom
from med2e3.preprocessing import prepare

#: Seed of a set that neither training nor the model card used.
SEED = 77


@pytest.fixture(scope="module")
def demo() -> Model:
    return load("demo", device="cpu")


@pytest.fixture(scope="module")
def results(demo: Model) -> Results:
    return evaluate_phantoms(demo, 24, SEED)


def test_it_tells_plane_and_phase(results: Results) -> None:
    assert results.figures["closed plane"].value >= 0.9
    assert results.figures["closed phase"].value >= 0.85  # two of 24 may go wrong


def test_its_scores_peak_on_the_finding_far_more_often_than_chance(results: Results) -> None:
    pointing = results.figures["pointing"]
    assert pointing.count >= 30
    assert pointing.chance is not None
    assert pointing.value >= 3 * pointing.chance


def test_its_scores_follow_the_question(results: Results) -> None:
    asked = results.figures["pairs: mass on the asked finding"].value
    other = results.figures["pairs: mass on the other finding"].value
    assert asked > 3 * other


def test_without_a_volume_it_can_only_guess(results: Results) -> None:
    assert results.figures["closed plane, blank volume"].value < 0.7
    assert results.figures["closed phase, blank volume"].value < 0.6


def test_a_batch_gives_what_the_engine_gives(demo: Model) -> None:
    phantom = make_phantom(FIRST_SEED + 5)
    subject = subject_of(demo)
    questions = ["In which plane is this CT shown?", "Is there a pleural effusion?"]
    session = demo.read(phantom.volume, plane=phantom.plane)
    read = prepare(phantom.volume, demo.info.grid_shape, plane=phantom.plane, window=subject.window)
    features = subject.model.encode_images(stack_grids([read.grid], subject.model))
    replies = ask_all(subject.model, subject.processor, features, [(0, q) for q in questions], 24)
    for question, reply in zip(questions, replies, strict=True):
        answer = session.ask(question, max_new_tokens=24)
        assert answer.complete().strip() == reply.text
        assert answer.scores is not None
        assert np.allclose(answer.scores.values, reply.scores, atol=1e-5)


def test_the_same_seed_gives_the_same_results(demo: Model) -> None:
    first, second = (evaluate_phantoms(demo, 2, 5) for _ in range(2))
    assert first.as_dict() == second.as_dict()
    assert first.examined == second.examined


def test_records_survive_json(results: Results) -> None:
    import json

    for examined in results.examined[:3]:
        assert Examined.from_dict(json.loads(json.dumps(examined.as_dict()))) == examined


def test_a_peak_counts_only_on_a_slice_that_holds_the_finding() -> None:
    row = Pointed("lung nodule", "Where?", (0.1, 0.6, 0.3, 0.0), (1, 2))
    assert row.hit
    assert row.mass == pytest.approx(0.9)
    assert row.chance == 0.5
    assert not Pointed("lung nodule", "Where?", (0.7, 0.2, 0.1, 0.0), (1, 2)).hit


def test_progress_reaches_the_end(demo: Model) -> None:
    told: list[float] = []
    report: Callable[[float, str], None] = lambda fraction, what: told.append(fraction)  # noqa: E731
    evaluate_phantoms(demo, 2, 6, progress=report)
    assert told[-1] == 1
