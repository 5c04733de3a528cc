"""Augmentations against arrays worked out by hand, and against what the generator draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from med2e3.errors import InputError
from med2e3.training.data.augment import Augmentation

#: Two slices of 2 × 2; every voxel is its own number.
CUBE = torch.arange(8.0).reshape(1, 2, 2, 2)


class Dice(np.random.Generator):
    """A generator that gives the numbers it was made with."""

    def __init__(self, random: list[float], integer: int = 1, uniform: list[float] | None = None):
        super().__init__(np.random.PCG64(0))
        self.left, self.integer, self.drawn = list(random), integer, list(uniform or [])

    def random(self, *_: object, **__: object) -> float:  # type: ignore[override]
        return self.left.pop(0)

    def integers(self, low: int, high: int, **__: object) -> int:  # type: ignore[override]
        assert (low, high) == (1, 4), "one, two or three quarter turns"
        return self.integer

    def uniform(self, low: float, high: float, **__: object) -> float:  # type: ignore[override]
        assert (low, high) == (-0.1, 0.1)
        return self.drawn.pop(0)


NEVER = [0.99, 0.99, 0.99, 0.99, 0.99, 0.99]


def drawn(place: int, **dice: object) -> torch.Tensor:
    """The cube where only the draw at `place` comes true."""
    random = [0.0 if k == place else value for k, value in enumerate(NEVER)]
    return Augmentation()(CUBE, Dice(random, **dice))[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        (1, [[[1, 3], [0, 2]], [[5, 7], [4, 6]]]),
        (2, [[[3, 2], [1, 0]], [[7, 6], [5, 4]]]),
        (3, [[[2, 0], [3, 1]], [[6, 4], [7, 5]]]),
    ],
)
def test_a_turn_is_in_the_plane_of_rows_and_columns(turns: int, expected: list[object]) -> None:
    assert drawn(0, integer=turns)[0].tolist() == expected


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (1, [[[4, 5], [6, 7]], [[0, 1], [2, 3]]]),
        (2, [[[2, 3], [0, 1]], [[6, 7], [4, 5]]]),
        (3, [[[1, 0], [3, 2]], [[5, 4], [7, 6]]]),
    ],
)
def test_flips_turn_slices_rows_and_columns_around(place: int, expected: list[object]) -> None:
    assert drawn(place)[0].tolist() == expected


def test_intensities_are_scaled_then_shifted_and_may_leave_0_to_1() -> None:
    assert torch.allclose(drawn(4, uniform=[0.1]), CUBE * 1.1)
    assert torch.allclose(drawn(5, uniform=[-0.1]), CUBE - 0.1)
    both = Augmentation()(torch.ones(1, 1, 2, 2), Dice([*NEVER[:4], 0, 0], uniform=[0.05, 0.1]))[0]
    assert torch.allclose(both, torch.full((1, 1, 2, 2), 1.15))


def test_probabilities_are_the_published_ones() -> None:
    """0.49 turns and 0.51 does not; 0.09 flips and 0.11 does not."""
    just = [0.49, 0.09, 0.09, 0.09, 0.49, 0.49]
    over = [0.51, 0.11, 0.11, 0.11, 0.51, 0.51]
    assert torch.equal(Augmentation()(CUBE, Dice(over))[0], CUBE)
    moved = Augmentation()(CUBE, Dice(just, 1, [0.0, 0.0]))[0]
    assert torch.equal(moved, torch.rot90(CUBE, 1, (-2, -1)).flip(-3, -2, -1))


def test_a_mask_moves_with_its_volume_and_keeps_its_values() -> None:
    mask = CUBE > 5
    for seed in range(20):
        volume, moved = Augmentation()(CUBE, np.random.default_rng(seed), mask)
        assert moved is not None
        order = volume.flatten().argsort().argsort()  # scaling and shifting keep the order
        assert torch.equal(moved.flatten(), order > 5)


def test_how_often_things_happen() -> None:
    turned = flipped = 0
    for seed in range(2000):
        still = Augmentation(flip_probability=0, scale_probability=0, shift_probability=0)
        turned += not torch.equal(still(CUBE, np.random.default_rng(seed))[0], CUBE)
        only = Augmentation(rotate_probability=0, scale_probability=0, shift_probability=0)
        flipped += not torch.equal(only(CUBE, np.random.default_rng(seed))[0], CUBE)
    assert turned / 2000 == pytest.approx(0.5, abs=0.04)
    assert flipped / 2000 == pytest.approx(1 - 0.9**3, abs=0.04)


def test_slices_that_are_not_square_cannot_be_turned() -> None:
    with pytest.raises(InputError, match="2 × 3"):
        Augmentation(rotate_probability=1)(torch.zeros(1, 2, 2, 3), np.random.default_rng(0))


def test_no_augmentation_leaves_the_volume_alone() -> None:
    assert torch.equal(Augmentation.none()(CUBE, np.random.default_rng(0))[0], CUBE)
