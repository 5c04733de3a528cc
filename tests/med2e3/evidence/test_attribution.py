"""Measures of faithfulness give what their definitions say, and what Quantus gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from med2e3.evidence import attribution as measure

#: Float32 arithmetic of the recorded function.
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


@pytest.fixture(scope="module")
def recorded(fixtures: Path) -> dict[str, Any]:
    return json.loads((fixtures / "quantus" / "golden.json").read_text(encoding="utf-8"))


def predictor(recorded: dict[str, Any], row: int) -> measure.Predict:
    """The recorded function of the kept values of a row; removed ones are 0."""
    x, first, second = (np.array(recorded[k]) for k in ("x", "W", "V"))

    def predict(kept: np.ndarray) -> np.ndarray:
        values = x[row] * kept
        return 1 / (1 + np.exp(-(values @ first + 0.3 * np.tanh(values @ second))))

    return predict


def test_localisation_is_that_of_quantus(recorded: dict[str, Any]) -> None:
    for row, (weights, mask) in enumerate(zip(recorded["weights"], recorded["masks"], strict=True)):
        held = np.array(mask)
        values = np.array(weights)
        assert measure.pointing_game(values, held) == recorded["pointing_game"][row]
        assert measure.mass_accuracy(values, held) == pytest.approx(recorded["mass"][row], 1e-5)
        assert measure.rank_accuracy(values, held) == pytest.approx(recorded["rank"][row])
        assert measure.top_k_hits(values, held, 3) == pytest.approx(recorded["top3"][row])


def test_deletion_is_the_pixel_flipping_of_quantus(recorded: dict[str, Any]) -> None:
    for row, weights in enumerate(recorded["weights"]):
        curve = measure.deletion_curve(
            predictor(recorded, row), measure.descending(np.array(weights))
        )
        np.testing.assert_allclose(curve[1:], recorded["pixel_flipping"][row][:-1], **CLOSE)


def test_faithfulness_correlation_is_that_of_quantus(recorded: dict[str, Any]) -> None:
    runs = len(recorded["subsets"]) // len(recorded["weights"])
    for row, weights in enumerate(recorded["weights"]):
        drawn = recorded["subsets"][row * runs : (row + 1) * runs]
        subsets = np.zeros((runs, len(weights)), dtype=bool)
        for number, members in enumerate(drawn):
            subsets[number, members] = True
        found = measure.faithfulness_correlation(
            np.array(weights), predictor(recorded, row), subsets
        )
        assert found == pytest.approx(recorded["faithfulness_correlation"][row], abs=1e-4)


def test_rank_correlation_is_that_of_quantus(recorded: dict[str, Any]) -> None:
    first, *others = (np.array(w) for w in recorded["weights"])
    found = [measure.rank_correlation(first, other) for other in others]
    np.testing.assert_allclose(found, recorded["spearman"], rtol=1e-6)


def linear(parts: np.ndarray) -> measure.Predict:
    """An output that is the sum of what each kept slice gives: its own true attribution."""
    return lambda kept: kept @ parts


def test_of_a_sum_its_own_parts_are_wholly_faithful() -> None:
    rng = np.random.default_rng(0)
    parts = rng.random(12)
    predict = linear(parts)
    for size in (1, 3, 6):
        subsets = measure.random_subsets(12, size, 30, rng)
        assert subsets.sum(axis=1).tolist() == [size] * 30
        assert measure.faithfulness_correlation(parts, predict, subsets) == pytest.approx(1)
        assert measure.faithfulness_correlation(-parts, predict, subsets) == pytest.approx(-1)
    best = measure.aopc(measure.deletion_curve(predict, measure.descending(parts)))
    worst = measure.aopc(measure.deletion_curve(predict, measure.descending(-parts)))
    drawn = [measure.aopc(measure.deletion_curve(predict, rng.permutation(12))) for _ in range(50)]
    assert worst <= min(drawn) < max(drawn) <= best
    falls = np.concatenate([[0], np.cumsum(np.sort(parts)[::-1])[:-1]])
    assert best == pytest.approx(falls.mean())


def test_sensitivity_n_of_quantus_is_another_measure() -> None:
    """On a sum of features both are 1 at the first step; its version is not from the second on."""
    rng = np.random.default_rng(4)
    inputs = rng.random((30, 12))  # weights that are the parts of the output: wholly faithful
    order = np.argsort(-inputs, axis=1)
    steps = np.take_along_axis(inputs, order, axis=1)
    theirs = [
        measure.correlation(steps[:, k], steps[:, : k + 1].sum(axis=1))  # last step, all steps
        for k in range(4)
    ]
    assert theirs[0] == pytest.approx(1)
    assert max(theirs[1:]) < 0.99
    for parts in inputs[:3]:
        by_size = [measure.random_subsets(12, n, 40, rng) for n in (1, 2, 3, 4)]
        ours = measure.sensitivity_n(parts, linear(parts), by_size)
        assert ours == pytest.approx([1, 1, 1, 1])


def test_insertion_begins_with_one_slice_and_ends_with_all() -> None:
    parts = np.array([1.0, 4.0, 2.0])
    curve = measure.insertion_curve(linear(parts), measure.descending(parts))
    assert curve.tolist() == [4, 6, 7]
    assert measure.area(curve) == pytest.approx(17 / 3)
    assert measure.deletion_curve(linear(parts), [0, 1, 2]).tolist() == [7, 6, 2]


def test_what_does_not_vary_has_no_correlation() -> None:
    subsets = measure.random_subsets(8, 3, 10, np.random.default_rng(0))
    constant = measure.faithfulness_correlation(
        np.random.default_rng(1).random(8), lambda kept: np.full(len(kept), 0.7), subsets
    )
    assert np.isnan(constant)
    assert np.isnan(measure.rank_correlation(np.ones(4), np.arange(4.0)))


def test_distances_of_scores() -> None:
    one, other = np.array([1.0, 0, 0]), np.array([0, 0.5, 0.5])
    assert measure.total_variation(one, other) == 1
    assert measure.total_variation(one, one) == 0
    assert np.isnan(measure.mass_accuracy(np.zeros(3), np.array([True, False, False])))
