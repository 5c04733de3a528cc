"""Arrays of M3D-Seg and M3D-RefSeg equal the recorded ones; boxes are as published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from med2e3.errors import PreprocessingError
from med2e3.evaluation.metrics import enclosing_overlap
from med2e3.model.regions import mask_to_box
from med2e3.training.data.m3d_arrays import refseg_arrays, seg_arrays

GRID = (32, 256, 256)


@pytest.fixture(scope="module")
def recorded(fixtures: Path) -> Any:
    return np.load(fixtures / "preprocessing" / "m3d_seg.npz")


def test_m3d_seg_is_equal_bit_for_bit(recorded: Any) -> None:
    stored = recorded["seg.in_u8"]
    values = stored.astype(np.float32)
    image, label = seg_arrays((values - values.mean()) / values.std(), stored > 140, GRID)
    np.testing.assert_array_equal(image[:, ::3, ::7, ::7], recorded["seg.image_sub"])
    assert label.sum() == recorded["seg.label_sum"]
    packed = np.packbits(label[:, ::2, ::2, ::2])
    np.testing.assert_array_equal(packed, recorded["seg.label_packed"])


def test_m3d_refseg_is_equal_bit_for_bit(recorded: Any) -> None:
    values = recorded["refseg.in_u8"].astype(np.float64) * 8 - 1000
    image, label = refseg_arrays(values, values > 100, GRID)
    np.testing.assert_array_equal(image[:, ::3, ::7, ::7], recorded["refseg.image_sub"])
    assert label.sum() == recorded["refseg.seg_sum"]


def test_the_two_data_sets_swap_rows_and_columns() -> None:
    mark = np.zeros((8, 9, 10), np.float32)
    mark[1:7, 2, 3] = 1.0  # a line along X
    mark[0, 0, 0] = mark[-1, -1, -1] = 0.5  # keeps the crop as large as the volume
    seg, _ = seg_arrays(mark[None], mark[None] > 0.7, (10, 9, 8))
    ref, _ = refseg_arrays(mark, mark > 0.7, (10, 8, 9))
    assert (seg[0, 3, 2, 1:7] == 1).all(), "M3D-Seg: (Z, Y, X)"
    assert (ref[0, 3, 1:7, 2] == 1).all(), "M3D-RefSeg: (Z, X, Y)"


def test_a_box_holds_first_and_last_index_over_the_size(recorded: Any) -> None:
    d0, d1, h0, h1, w0, w1 = recorded["mask2box.range"]
    mask = np.zeros(GRID, bool)
    mask[d0 : d1 + 1, h0 : h1 + 1, w0 : w1 + 1] = True
    assert mask_to_box(mask) == tuple(recorded["mask2box.box"])


def test_the_published_overlap_divides_by_the_enclosing_box(recorded: Any) -> None:
    overlap = enclosing_overlap(recorded["iou.b1"], recorded["iou.b2"])
    assert overlap == pytest.approx(float(recorded["iou.official"]), abs=1e-12)
    assert enclosing_overlap((0, 0, 0, 0.1, 0.1, 0.1), (0.5, 0.5, 0.5, 1, 1, 1)) == 0


def test_a_constant_image_is_refused() -> None:
    flat = np.zeros((4, 5, 6), np.float32)
    with pytest.raises(PreprocessingError, match="constant"):
        refseg_arrays(flat, flat, GRID)
    with pytest.raises(PreprocessingError, match="constant"):
        seg_arrays(flat[None], flat[None], GRID)


def test_image_and_label_of_different_shapes_are_refused() -> None:
    flat = np.zeros((4, 5, 6), np.float32)
    with pytest.raises(PreprocessingError, match=r"\(1, 4, 5, 6\)"):
        seg_arrays(flat[None], flat, GRID)


def test_an_empty_mask_has_no_box() -> None:
    with pytest.raises(PreprocessingError, match="empty"):
        mask_to_box(np.zeros((4, 5, 6), bool))
