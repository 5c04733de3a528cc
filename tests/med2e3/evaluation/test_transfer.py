"""Figures of transfer against cases counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from med2e3.evaluation import transfer
from med2e3.evaluation.transfer import (
    PRETRAINED,
    SCRATCH,
    Setting,
    auc_estimates,
    auc_tables,
    dice,
    difference,
    hausdorff95,
    macro_auc,
    mean_estimate,
    overlap,
    transfer_results,
)


def block(*spans: tuple[int, int]) -> np.ndarray:
    mask = np.zeros((6, 6, 6), bool)
    mask[tuple(slice(a, b) for a, b in spans)] = True
    return mask


def test_dice_of_boxes() -> None:
    truth, said = block((0, 2), (0, 2), (0, 2)), block((1, 3), (0, 2), (0, 2))
    assert dice(truth, said) == 0.5
    assert dice(truth, np.zeros_like(truth)) == 0.0
    assert dice(np.zeros_like(truth), said) is None  # nothing to find: the case cannot say


def test_hd95_of_shifted_planes_is_the_shift_in_mm() -> None:
    pytest.importorskip("monai")
    truth, said = block((1, 2), (0, 6), (0, 6)), block((3, 4), (0, 6), (0, 6))
    assert hausdorff95(truth, said, (2.5, 1.0, 1.0)) == pytest.approx(5.0)
    assert hausdorff95(truth, truth, (2.5, 1.0, 1.0)) == 0.0


def test_an_empty_mask_has_no_surface() -> None:
    pytest.importorskip("monai")
    truth, nothing = block((1, 2), (0, 6), (0, 6)), np.zeros((6, 6, 6), bool)
    assert hausdorff95(truth, nothing, (1, 1, 1)) is None
    assert hausdorff95(nothing, truth, (1, 1, 1)) is None


def test_overlap_names_every_class_but_the_background() -> None:
    truth = block((0, 2), (0, 2), (0, 2)).astype(np.uint8)
    found = overlap(truth, truth, (1, 1, 1), ("air", "liver", "lesion"), surfaces=False)
    assert found == {"Dice liver": 1.0, "Dice lesion": None}


def test_auc_counts_pairs_and_halves_ties() -> None:
    scores = np.array([[0.9], [0.4], [0.4], [0.1]])
    truth = np.array([[True], [True], [False], [False]])
    # 0.9 beats both, 0.4 ties with one and beats one: 3.5 of 4.
    found = macro_auc(auc_tables(scores, truth), np.ones((1, 4)))
    assert found.tolist() == [0.875]


def test_a_finding_that_all_have_counts_for_nothing() -> None:
    scores = np.array([[0.9, 0.2], [0.1, 0.3]])
    truth = np.array([[True, True], [False, True]])
    assert macro_auc(auc_tables(scores, truth), np.ones((1, 2))).tolist() == [1.0]


def test_aucs_of_two_models_and_their_difference() -> None:
    truth = np.array([[k % 2 == 0] for k in range(40)])
    right = [{"0": float(yes)} for (yes,) in truth]
    even = [{"0": 0.5} for _ in truth]
    first, second, apart = auc_estimates([even], [right], truth)
    assert first is not None
    assert second is not None
    assert apart is not None
    assert (first.value, second.value, apart.value) == (0.5, 1.0, 0.5)
    assert apart.low == apart.high == 0.5
    assert auc_estimates([even], [right], truth & False) == (None, None, None)


def test_cases_that_cannot_say_are_left_out_of_mean_and_difference() -> None:
    first = [[{"Dice": 0.2}, {"Dice": None}, {"Dice": 0.4}]]
    second = [[{"Dice": 0.6}, {"Dice": 0.9}, {"Dice": 0.6}]]
    mean = mean_estimate(first, "Dice")
    apart = difference(first, second, "Dice")
    assert mean is not None
    assert apart is not None
    assert (mean.value, mean.count) == (pytest.approx(0.3), 2)
    assert (apart.value, apart.count) == (pytest.approx(0.3), 2)


def test_seeds_of_one_case_are_one_case() -> None:
    runs = [[{"Dice": 0.0}, {"Dice": 1.0}], [{"Dice": 0.5}, {"Dice": 1.0}]]
    mean = mean_estimate(runs, "Dice")
    assert mean is not None
    assert mean.value == pytest.approx(0.625)
    assert mean.count == 4


def test_the_table_has_scratch_beside_pretrained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "can_measure_surfaces", lambda: False)
    cases = {SCRATCH: [{"Dice liver": 0.25}] * 3, PRETRAINED: [{"Dice liver": 0.75}] * 3}
    runs = {
        Setting("segmentation", "fine-tuning", start, 0.1, 1): said for start, said in cases.items()
    }
    results = transfer_results("m", "what", {}, runs, None)
    row = "| fine-tuning, 10 % of labels | 0.250 (0.250–0.250) | 0.750 (0.750–0.750) | 0.500"
    assert row in results.table()
    assert "HD95: not computed" in results.table()
    assert "med2e3[insight]" in results.table()


def test_a_class_that_no_case_holds_is_said_to_be_missing() -> None:
    runs = {
        Setting("segmentation", "fine-tuning", start, 1.0, 1): [{"Dice lesion": None}]
        for start in (SCRATCH, PRETRAINED)
    }
    said = transfer_results("m", "what", {}, runs, None).table()
    assert "Dice lesion (fine-tuning, 100 % of labels): not computed." in said
