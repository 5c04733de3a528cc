"""Intervals: right where they can be computed by hand, and honest where resampling is blind."""

from __future__ import annotations

import math

import numpy as np
import pytest

from med2e3.evaluation.calibration import calibration_error, reliability
from med2e3.evaluation.intervals import (
    balanced_accuracy,
    estimate,
    estimate_by_topic,
    estimate_ratio,
)


def test_always_yes_has_a_balanced_accuracy_of_one_half() -> None:
    found = balanced_accuracy([[True, True], [True, False]] * 5, [[True, True], [True, False]] * 5)
    assert found is not None
    assert found.value == 0.5
    assert found.chance == 0.5
    assert found.count == 20


def test_an_interval_holds_its_mean_and_narrows_with_count() -> None:
    few = estimate([[1.0], [0.0]] * 10)
    many = estimate([[1.0], [0.0]] * 1000)
    assert few is not None
    assert many is not None
    assert few.low < 0.5 < few.high
    assert many.high - many.low < (few.high - few.low) / 5
    assert many.high - many.low == pytest.approx(2 * 1.96 * math.sqrt(0.25 / 2000), rel=0.2)


def test_questions_of_one_volume_do_not_narrow_the_interval() -> None:
    alone = estimate([[1.0], [0.0]] * 20)
    repeated = estimate([[1.0] * 10, [0.0] * 10] * 20)
    assert alone is not None
    assert repeated is not None
    assert repeated.high - repeated.low == pytest.approx(alone.high - alone.low, rel=0.3)


def test_no_values_give_no_figure() -> None:
    assert estimate([[], []]) is None
    assert estimate_ratio([[]], [[]]) is None
    assert balanced_accuracy([[]], [[]]) is None
    assert calibration_error([[]]) is None


def test_all_right_is_not_certain() -> None:
    found = estimate([[1.0, 1.0]] * 36)
    assert found is not None
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(0.9026, abs=1e-4)  # Clopper–Pearson for 36 of 36
    none = estimate([[0.0]] * 36)
    assert none is not None
    assert none.high == pytest.approx(1 - 0.9026, abs=1e-4)


def test_a_ratio_is_of_sums_and_not_the_mean_of_ratios() -> None:
    found = estimate_ratio([[3.0], [1.0, 1.0]], [[1.0], [2.0, 2.0]])
    assert found is not None
    assert found.value == 1.0
    assert found.count == 3


def test_macro_weighs_topics_and_micro_questions() -> None:
    topics = {"plane": [[1.0], [1.0]], "organ": [[0.0, 0.0], [0.0, 1.0]], "phase": [[], []]}
    chances = {"plane": [0.25] * 2, "organ": [0.5] * 4}
    found = estimate_by_topic(topics, chances)
    assert set(found) == {"plane", "organ", "macro", "micro"}
    assert found["macro"].value == pytest.approx((1 + 0.25) / 2)
    assert found["micro"].value == pytest.approx(3 / 6)
    assert found["macro"].chance == pytest.approx(0.375)
    assert found["micro"].chance == pytest.approx((2 * 0.25 + 4 * 0.5) / 6)
    assert found["micro"].count == 6


def test_the_same_numbers_give_the_same_interval() -> None:
    rng = np.random.default_rng(1)
    groups = [list(rng.random(3)) for _ in range(30)]
    assert estimate(groups) == estimate(groups)


def test_calibration_error_is_the_gap_between_sure_and_right() -> None:
    sure_and_wrong = [[(1.0, False)]] * 5 + [[(1.0, True)]] * 5
    found = calibration_error(sure_and_wrong)
    assert found is not None
    assert found.value == pytest.approx(0.5)
    honest = calibration_error([[(0.75, k < 3)] for k in range(4)])
    assert honest is not None
    assert honest.value == pytest.approx(0)
    (only,) = reliability(sure_and_wrong)
    assert (only.low, only.count, only.confidence, only.accuracy) == (0.9, 10, 1.0, 0.5)
