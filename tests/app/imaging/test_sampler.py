"""Values on planes at any angle equal an independent interpolation, whatever the affine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from app.imaging.raster import Raster, StoredVoxels
from app.imaging.sampler import Sampler
from app.imaging.slab import Mode
from med2e3.geometry import Geometry, Plane
from med2e3.volume import SeriesInfo, Volume

SHAPE = (18, 30, 26)
CT = SeriesInfo(modality="CT")


def turned(degrees: float, axis: tuple[float, float, float]) -> np.ndarray:
    """A rotation about an axis, by the quaternion of it."""
    x, y, z = np.asarray(axis) / np.linalg.norm(axis) * np.sin(np.radians(degrees) / 2)
    w = np.cos(np.radians(degrees) / 2)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def affine(columns: Any, origin: tuple[float, float, float] = (-40.0, 15.0, 300.0)) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = np.asarray(columns, float).T
    matrix[:3, 3] = origin
    return matrix


STRAIGHT = affine([(0, 0, -3.0), (0, 0.9, 0), (0.7, 0, 0)])
AFFINES = {
    "straight": STRAIGHT,
    "flipped slices": affine([(0, 0, 3.0), (0, 0.9, 0), (0.7, 0, 0)]),
    "flipped in the plane": affine([(0, 0, 3.0), (0, -0.9, 0), (-0.7, 0, 0)]),
    "sagittal stack": affine([(2.5, 0, 0), (0, 0, -0.8), (0, 0.8, 0)]),
    "oblique": np.block(
        [[turned(25, (1, 2, 3)) @ STRAIGHT[:3, :3], STRAIGHT[:3, 3:]], [np.eye(4)[3:]]]
    ),
    "sheared by a gantry": affine([(0, 1.1, -3.0), (0, 0.9, 0), (0.7, 0, 0)]),
}


def noise(matrix: np.ndarray, dtype: Any = np.int16) -> Volume:
    voxels = np.random.default_rng(3).integers(-900, 1500, SHAPE).astype(dtype)
    return Volume(voxels, Geometry(SHAPE, matrix), CT)


def raster_of(volume: Volume, degrees: float = 33.0, layers: int = 1) -> Raster:
    """A raster through the middle of the volume, tilted about a skew axis."""
    frame = turned(degrees, (2, -1, 0.5))
    row, column = frame[:, 1] * 0.8, frame[:, 2] * 0.6
    origin = volume.geometry.centre_mm - 40 * row - 45 * column
    return Raster(origin, row, column, (80, 90), layers, frame[:, 0] * 1.7)


def expected(volume: Volume, raster: Raster) -> tuple[np.ndarray, np.ndarray]:
    """(layers, rows, columns) by scipy in float64, and which samples lie in the volume."""
    r, c = np.mgrid[: raster.shape[0], : raster.shape[1]]
    k = np.arange(raster.layers) - (raster.layers - 1) / 2
    points = (
        raster.origin_mm
        + k[:, None, None, None] * raster.layer_step_mm
        + r[..., None] * raster.row_step_mm
        + c[..., None] * raster.column_step_mm
    )
    index = volume.geometry.to_index(points)
    last = np.asarray(volume.shape) - 0.5
    inside = ((index >= -0.5) & (index <= last)).all(axis=-1)
    values = map_coordinates(
        volume.voxels.astype(float), np.moveaxis(index, -1, 0), order=1, mode="nearest"
    )
    return values, inside


@pytest.mark.parametrize("name", AFFINES)
def test_an_oblique_plane_has_the_values_of_an_independent_interpolation(name: str) -> None:
    volume = noise(AFFINES[name])
    raster = raster_of(volume)
    image = Sampler(volume).image(raster)
    values, inside = expected(volume, raster)
    assert inside.mean() > 0.1
    assert not inside.all()
    # Rounded to whole HU: a difference of one only where float32 and float64 round apart.
    assert np.abs(image[inside[0]] - values[inside]).max() <= 0.502
    assert (image[~inside[0]] == -1024).all()


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("name", ["straight", "oblique", "flipped in the plane"])
def test_a_slab_combines_only_what_lies_in_the_volume(name: str, mode: Mode) -> None:
    volume = noise(AFFINES[name])
    raster = raster_of(volume, layers=9)
    values, inside = expected(volume, raster)
    known = np.ma.masked_array(values, ~inside)
    reduce = {Mode.MAXIMUM: known.max, Mode.MINIMUM: known.min, Mode.MEAN: known.mean}[mode]
    combined = reduce(axis=0)
    image = Sampler(volume).image(raster, mode)
    there = ~np.ma.getmaskarray(combined)
    assert (there & ~inside.all(axis=0)).any()  # some pixels where only part of the layers counts
    assert np.abs(image[there] - combined[there].data).max() <= 0.502
    assert (image[~there] == -1024).all()


def test_voxel_centres_have_the_voxels_own_values() -> None:
    for name, matrix in AFFINES.items():
        volume = noise(matrix)
        geometry = volume.geometry
        step = geometry.affine_lps[:3, :3]
        raster = Raster(geometry.to_patient_mm((7, 0, 0)), step[:, 1], step[:, 2], SHAPE[1:])
        assert np.array_equal(Sampler(volume).image(raster), volume.voxels[7]), name


def test_float_voxels_stay_floats_and_are_not_rounded() -> None:
    volume = noise(AFFINES["oblique"], np.float32)
    raster = raster_of(volume)
    image = Sampler(volume).image(raster)
    values, inside = expected(volume, raster)
    assert image.dtype == np.float32
    assert np.abs(image[inside[0]] - values[inside]).max() < 2e-3


@pytest.mark.parametrize("plane", list(Plane))
def test_a_view_into_turned_memory_is_read_without_a_copy(plane: Plane) -> None:
    volume = noise(AFFINES["flipped slices"]).in_plane(plane)
    sampler = Sampler(volume)
    assert np.shares_memory(StoredVoxels(volume).array, volume.voxels)
    raster = raster_of(volume)
    values, inside = expected(volume, raster)
    assert np.abs(sampler.image(raster)[inside[0]] - values[inside]).max() <= 0.502


def test_one_point_is_the_pixel_there_and_none_outside() -> None:
    volume = noise(AFFINES["oblique"])
    raster, sampler = raster_of(volume), Sampler(volume)
    image = sampler.image(raster)
    inside = expected(volume, raster)[1][0]
    for row, column in ((40, 45), (30, 50), (45, 40)):
        assert inside[row, column]
        here = raster.origin_mm + row * raster.row_step_mm + column * raster.column_step_mm
        assert sampler.value(replace(raster, origin_mm=here)) == image[row, column]
    assert sampler.value(replace(raster, origin_mm=raster.origin_mm + 1000.0)) is None


def test_a_single_slice_has_values_within_its_thickness_only() -> None:
    geometry = Geometry.from_spacing((1, 12, 12), (4.0, 1.0, 1.0))
    volume = Volume(np.full((1, 12, 12), 70, np.int16), geometry, CT)
    sampler = Sampler(volume)
    middle = geometry.centre_mm

    def value(off_mm: float) -> float | None:
        here = middle + np.array([0, 0, off_mm])
        return sampler.value(Raster(here, np.zeros(3), np.zeros(3), (1, 1)))

    assert value(1.9) == 70
    assert value(2.1) is None
