"""Bands name exactly the source slices that a model slice was made from: by brute force."""

from __future__ import annotations

import numpy as np
import pytest

from med2e3.geometry import Geometry, Plane
from med2e3.preprocessing import ModelInput, prepare
from med2e3.volume import Volume, Window

WINDOW = Window(500, 1000)

#: A model of few slices: what is read depends on the ratio of counts alone.
GRID = (8, 2, 2)

#: Smallest change of a grey in 0..1 that counts: 1/1000 of the change of a source slice.
LEAST = 4e-4

#: Orders of the stored axes and whether each runs backwards: every way to store a box.
TURNS = [
    (axes, flips)
    for axes in ((0, 1, 2), (1, 0, 2), (2, 1, 0), (0, 2, 1))
    for flips in ((0, 0, 0), (1, 0, 0), (1, 1, 1))
]


def stored(shape: tuple[int, int, int], turn: int, tilt: float = 0.0) -> Volume:
    """A volume stored in one of the `TURNS`, with its first column tilted; nothing is black."""
    axes, flips = TURNS[turn]
    directions = np.eye(3)[:, list(axes)] * np.where(flips, -1.0, 1.0)
    angle = np.deg2rad(tilt)
    turned = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turned @ directions * (3.0, 1.5, 1.25)
    affine[:3, 3] = (10.0, -20.0, 30.0)
    voxels = np.full(shape, 500, dtype=np.int16)
    return Volume(voxels, Geometry(shape, affine), source="made by the test")


def changed_slices(volume: Volume, plane: Plane, source: list[int], base: ModelInput) -> set[int]:
    """The model slices that change when these source slices do, which stay inside the window."""
    axis = volume.geometry.orientation(plane).axes[0]
    voxels = np.array(volume.voxels)
    np.moveaxis(voxels, axis, 0)[source] += 400
    other = Volume(voxels, volume.geometry, source=volume.source)
    made = prepare(other, GRID, plane=plane, window=WINDOW)
    assert made.crop_start == base.crop_start
    assert made.crop_shape == base.crop_shape
    moved = (made.grid - base.grid).abs().amax(dim=(0, 2, 3))
    return {int(k) for k in np.flatnonzero(moved.numpy() > LEAST)}


def check(volume: Volume, plane: Plane, source: list[int]) -> None:
    """Each of the source slices changes exactly the model slices whose bands say so."""
    base = prepare(volume, GRID, plane=plane, window=WINDOW)
    for k in source:
        named = {band.model_slice for band in base.bands if k in band.read_slices}
        assert changed_slices(volume, plane, [k], base) == named, (k, plane)
    read = {k for band in base.bands for k in band.read_slices}
    count = volume.shape[volume.geometry.orientation(plane).axes[0]]
    assert sorted(read) == [k for k in range(count) if k not in base.unread_slices]
    assert changed_slices(volume, plane, list(base.unread_slices), base) == set()


@pytest.mark.parametrize("plane", list(Plane))
@pytest.mark.parametrize("turn", range(len(TURNS)))
def test_each_source_slice_changes_the_model_slices_that_name_it(plane: Plane, turn: int) -> None:
    """All planes, stored orders and flips, with black slices that the crop cuts away."""
    volume = stored((7, 9, 11), turn)
    axis = volume.geometry.orientation(plane).axes[0]
    voxels = np.array(volume.voxels)
    np.moveaxis(voxels, axis, 0)[[0, 1, -1]] = -600
    cut = Volume(voxels, volume.geometry, source=volume.source)
    count = volume.shape[axis]
    check(volume, plane, list(range(count)))
    check(cut, plane, list(range(count)))
    used = {k for band in prepare(cut, GRID, plane=plane, window=WINDOW).bands
            for k in band.read_slices}  # fmt: skip
    assert used <= set(range(2, count - 1))


@pytest.mark.parametrize("tilt", [-25.0, 12.0])
@pytest.mark.parametrize("turn", [0, 5, 10])
def test_tilted_series_too(tilt: float, turn: int) -> None:
    volume = stored((9, 4, 5), turn, tilt)
    for plane in Plane:
        count = volume.shape[volume.geometry.orientation(plane).axes[0]]
        check(volume, plane, list(range(count)))


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 8, 9, 12, 15, 16, 17, 23, 24, 25, 40, 64])
def test_every_slice_of_short_series(count: int) -> None:
    volume = stored((count, 2, 2), 0)
    check(volume, volume.geometry.plane, list(range(count)))


@pytest.mark.parametrize("count", [100, 257, 999, 1000, 2048, 3000])
def test_slices_of_long_series(count: int) -> None:
    """Every slice that some band reads, its neighbours, both ends, and all unread ones at once."""
    volume = stored((count, 2, 2), 6)
    plane = volume.geometry.plane
    base = prepare(volume, GRID, plane=plane, window=WINDOW)
    read = {k for band in base.bands for k in band.read_slices}
    near = {k + side for k in read for side in (-1, 0, 1)} | {0, count - 1}
    check(volume, plane, sorted(k for k in near if 0 <= k < count))


@pytest.mark.parametrize("count", [1, 3, 8, 13, 16, 200])
def test_a_band_is_led_by_a_slice_that_was_read(count: int) -> None:
    """What the strip opens for a model slice is something that the model has seen of it."""
    volume = stored((count, 2, 2), 0)
    bands = prepare(volume, GRID, plane=volume.geometry.plane, window=WINDOW).bands
    for band in bands:
        first, last = band.source_slices
        assert any(first <= k <= last for k in band.read_slices)
