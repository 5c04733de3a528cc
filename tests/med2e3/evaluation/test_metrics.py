"""Metrics: equal to the recorded ones, and right on cases counted by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from med2e3.evaluation.metrics import (
    balanced_accuracy,
    bleu1,
    closed_right_published,
    closed_right_strict,
    estimate,
    jensen_shannon_bits,
    same_words,
    says_yes,
)


def test_bleu1_equals_the_recorded_values(fixtures: Path) -> None:
    golden = json.loads((fixtures / "metrics" / "golden.json").read_text(encoding="utf-8"))
    for case in golden["text"]:
        assert bleu1(case["prediction"], case["reference"]) == pytest.approx(
            case["bleu1"], abs=1e-9
        )


def test_the_published_rule_equals_the_recorded_verdicts(fixtures: Path) -> None:
    golden = json.loads((fixtures / "metrics" / "golden.json").read_text(encoding="utf-8"))
    for case in golden["closed_ended"]:
        verdict = closed_right_published(case["output"], case["answer_choice"])
        assert verdict is case["official_correct"], case


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("A. axial", True),
        ("A", True),
        ("A) axial", True),
        ("B. CTA. scan", False),  # the published rule takes this for A
        ("A. or B.", False),
        ("axial", False),
        ("", False),
    ],
)
def test_the_strict_rule_takes_only_one_clear_letter(answer: str, right: bool) -> None:
    assert closed_right_strict(answer, "A") is right


def test_yes_and_no_are_read_from_the_first_word() -> None:
    assert says_yes("Yes, on the right side.") is True
    assert says_yes("No.") is False
    assert says_yes("Right upper lobe.") is None
    assert says_yes("") is None


def test_short_answers_are_the_same_whatever_their_case_and_stops() -> None:
    assert same_words("Right upper lobe.", "right upper lobe")
    assert not same_words("right lower lobe", "right upper lobe")


def test_divergence_is_0_for_equal_rows_and_1_bit_for_disjoint_ones() -> None:
    assert jensen_shannon_bits([0.5, 0.5], [0.5, 0.5]) == 0
    assert jensen_shannon_bits([1.0, 0.0], [0.0, 1.0]) == pytest.approx(1.0)


def test_always_yes_has_a_balanced_accuracy_of_one_half() -> None:
    truth = np.array([1, 1, 1, 0])
    assert balanced_accuracy(2.0 * truth + (truth == 1)) == 0.5


def test_an_interval_holds_its_mean_and_narrows_with_count() -> None:
    few = estimate([[1.0], [0.0]] * 10)
    many = estimate([[1.0], [0.0]] * 1000)
    assert few is not None
    assert many is not None
    assert few.low < 0.5 < few.high
    assert many.high - many.low < (few.high - few.low) / 5
    assert many.high - many.low == pytest.approx(2 * 1.96 * math.sqrt(0.25 / 2000), rel=0.2)


def test_questions_of_one_phantom_do_not_narrow_the_interval() -> None:
    alone = estimate([[1.0], [0.0]] * 20)
    repeated = estimate([[1.0] * 10, [0.0] * 10] * 20)
    assert alone is not None
    assert repeated is not None
    assert repeated.high - repeated.low == pytest.approx(alone.high - alone.low, rel=0.3)


def test_no_values_give_no_figure() -> None:
    assert estimate([[], []]) is None
