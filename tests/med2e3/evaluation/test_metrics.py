"""Metrics: equal to the recorded ones, and right on cases counted by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from med2e3.evaluation.metrics import (
    closed_right_published,
    closed_right_strict,
    jensen_shannon_bits,
    same_words,
    says_yes,
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
        ("A or B", False),
        ("A, B", False),
        ("A. a type B dissection", True),  # no choice is named, only a letter
        ("A. axial (not B.)", False),
        ("B. axial", False),
        ("axial", False),
        ("Axial", False),
        ("A lung nodule in the right lobe.", False),  # an article
        ("A large mass is seen, most likely choice C", False),
        ("", False),
    ],
)
def test_the_strict_rule_takes_only_one_clear_letter(answer: str, right: bool) -> None:
    assert closed_right_strict(answer, "A") is right


def test_the_wanted_words_are_right_though_they_end_in_a_letter() -> None:
    assert not closed_right_strict("A. hepatitis B.", "A")
    assert closed_right_strict("A. hepatitis B.", "A", "A. hepatitis B")
    assert not closed_right_strict("", "A", "")


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
