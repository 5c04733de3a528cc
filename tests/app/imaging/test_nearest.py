"""Moving slabs: inside exactly where the exact ones are, with values of voxels beside the place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.imaging.raster import Raster
from app.imaging.sampler import Sampler
from app.imaging.slab import Mode, combined
from med2e3.geometry import Geometry
from med2e3.volume import Volume
from tests.app.imaging.test_sampler import AFFINES, CT, noise, raster_of

SHAPE = (18, 30, 26)


def ramp(name: str) -> tuple[Volume, float]:
    """A value that grows by a known amount a voxel, and by how much over a voxel and a half."""
    index = np.indices(SHAPE)
    voxels = (index[0] * 3.0 - index[1] * 2.0 + index[2]).astype(np.float32)
    return Volume(voxels, Geometry(SHAPE, AFFINES[name]), CT), 1.5 * (3 + 2 + 1)


@pytest.mark.parametrize("layers", [1, 2, 9])
@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("name", AFFINES)
def test_a_quick_slab_is_near_the_exact_one_everywhere(name: str, mode: Mode, layers: int) -> None:
    volume, most = ramp(name)
    sampler, raster = Sampler(volume), raster_of(volume, layers=layers)
    exact, quick = sampler.image(raster, mode), sampler.quick(raster, mode)
    outside = exact == sampler.outside
    assert np.array_equal(quick == sampler.outside, outside)
    assert 0.1 < outside.mean() < 0.9
    assert np.abs(exact - quick)[~outside].max() <= most
    assert quick.dtype == exact.dtype


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_a_quick_slab_has_only_values_that_voxels_have(dtype: type[np.generic]) -> None:
    volume = noise(AFFINES["oblique"], dtype)
    raster = raster_of(volume, layers=9)
    for mode in (Mode.MAXIMUM, Mode.MINIMUM):
        image = Sampler(volume).quick(raster, mode)
        assert image.dtype == dtype
        assert np.isin(image, [*np.unique(volume.voxels), -1024]).all()


def test_a_quick_slab_along_the_grid_is_the_stored_one() -> None:
    volume = noise(AFFINES["straight"])
    step = volume.geometry.affine_lps[:3, :3]
    origin = volume.geometry.to_patient_mm((9, 0, 0))
    for mode in Mode:
        raster = Raster(origin, step[:, 1], step[:, 2], SHAPE[1:], 5, step[:, 0])
        expected = combined(volume.voxels[7:12], mode)
        assert np.array_equal(Sampler(volume).quick(raster, mode), expected)


def test_a_thick_slab_beside_the_volume_takes_what_is_there() -> None:
    volume = noise(AFFINES["straight"])
    step = volume.geometry.affine_lps[:3, :3]
    origin = volume.geometry.to_patient_mm((0, 0, 0))
    raster = Raster(origin, step[:, 1], step[:, 2], SHAPE[1:], 9, step[:, 0])
    assert np.array_equal(Sampler(volume).quick(raster), volume.voxels[:5].max(axis=0))
    away = replace(raster, origin_mm=origin + 1e4)
    assert (Sampler(volume).quick(away) == -1024).all()


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slabs_in_strips_are_numpys_whatever_lies_beside_what(
    axis: int, dtype: type[np.generic]
) -> None:
    voxels = np.random.default_rng(1).integers(-900, 900, (40, 160, 170)).astype(dtype)
    stack = np.moveaxis(voxels, axis, 0)[5:36]
    assert np.array_equal(combined(stack, Mode.MAXIMUM), stack.max(axis=0))
    assert np.array_equal(combined(stack, Mode.MINIMUM), stack.min(axis=0))
    mean = stack.mean(axis=0, dtype=np.float64)
    half = 0.5 if dtype is np.int16 else 1e-3
    assert np.abs(combined(stack, Mode.MEAN) - mean).max() <= half
