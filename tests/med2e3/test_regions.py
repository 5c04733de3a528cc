"""Statistics of a region equal those of the pixels that an independent rule finds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from med2e3.geometry import Geometry, Plane
from med2e3.measures import SlicePlane, point
from med2e3.regions import (
    MOST_BARS,
    Region,
    Shape,
    histogram,
    interpolate,
    samples,
    statistics,
    window_of,
)
from med2e3.volume import Volume
from tests.med2e3.test_measures import GRIDS, grid, turned


def noise(geometry: Geometry) -> Volume:
    voxels = np.random.default_rng(3).integers(-1024, 3072, geometry.shape).astype(np.int16)
    return Volume(voxels, geometry)


@pytest.fixture(params=GRIDS.values(), ids=GRIDS)
def volume(request: pytest.FixtureRequest) -> Volume:
    return noise(request.param)


def winding(points: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """Whether the sides of an outline turn around each point: another rule than the product's."""
    spokes = outline[None] - points[:, None]
    angles = np.arctan2(spokes[..., 1], spokes[..., 0])
    steps = np.diff(np.concatenate([angles, angles[:, :1]], axis=1), axis=1)
    turns = ((steps + np.pi) % (2 * np.pi) - np.pi).sum(axis=1)
    return np.abs(turns) > np.pi


def expected(volume: Volume, plane: Plane, k: int, inside: object) -> np.ndarray:
    """Values of the voxels of a slice whose place in patient mm passes `inside(xy)`."""
    seen = volume.in_plane(plane)
    _, rows, columns = seen.shape
    rc = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), -1)
    index = np.concatenate([np.full((rows, columns, 1), k), rc], axis=-1)
    mm = seen.geometry.to_patient_mm(index.reshape(-1, 3).astype(float))
    here = SlicePlane.of_slice(seen.geometry, k)
    xy = np.stack([(mm - here.origin_mm) @ axis for axis in (here.right, here.down)], -1)
    return np.sort(seen.voxels[k].reshape(-1)[inside(xy)])  # type: ignore[operator]


def region(volume: Volume, plane: Plane, k: int, shape: Shape, rc: list) -> Region:
    seen = volume.in_plane(plane).geometry
    points = seen.to_patient_mm([(k, *at) for at in rc])
    return Region(SlicePlane.of_slice(seen, k), shape, tuple(point(p) for p in points))


@pytest.mark.parametrize("plane", list(Plane))
@pytest.mark.parametrize("shape", [Shape.RECTANGLE, Shape.ELLIPSE])
def test_a_box_or_ellipse_holds_the_voxels_whose_centres_it_holds(
    volume: Volume, plane: Plane, shape: Shape
) -> None:
    drawn = region(volume, plane, 9, shape, [(6.3, 8.2), (29.7, 31.4)])
    (x0, y0), (x1, y1) = drawn.corners

    def inside(xy: np.ndarray) -> np.ndarray:
        off = (xy - ((x0 + x1) / 2, (y0 + y1) / 2)) / (abs(x1 - x0) / 2, abs(y1 - y0) / 2)
        if shape is Shape.RECTANGLE:
            return np.abs(off).max(axis=1) <= 1
        return np.hypot(*off.T) <= 1

    found = samples(volume, drawn)
    np.testing.assert_array_equal(np.sort(found.values), expected(volume, plane, 9, inside))
    assert not found.interpolated
    _, dr, dc = volume.in_plane(plane).geometry.spacing_mm
    assert found.pixel_area_mm2 == pytest.approx(dr * dc)
    width, height = 23.2 * dc, 23.4 * dr
    factor = 1 if shape is Shape.RECTANGLE else math.pi / 4
    assert drawn.area_mm2 == pytest.approx(width * height * factor)


@pytest.mark.parametrize("plane", list(Plane))
@pytest.mark.parametrize("seed", range(3))
def test_a_freehand_region_holds_the_voxels_that_its_outline_winds_around(
    volume: Volume, plane: Plane, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 60))
    away = rng.uniform(5, 16, 60)
    rc = [(18 + r * np.sin(a), 20 + r * np.cos(a)) for a, r in zip(angles, away, strict=True)]
    drawn = region(volume, plane, 9, Shape.POLYGON, rc)
    outline = drawn.corners
    found = samples(volume, drawn)
    picked = expected(volume, plane, 9, lambda xy: winding(xy, outline))
    np.testing.assert_array_equal(np.sort(found.values), picked)
    numbers = statistics(drawn, found)
    assert numbers is not None
    assert numbers.count == len(picked) > 200
    assert numbers.mean == pytest.approx(picked.mean())
    assert numbers.sd == pytest.approx(picked.std())
    assert (numbers.minimum, numbers.maximum) == (picked.min(), picked.max())


def test_neighbouring_polygons_share_no_pixel_and_lose_none() -> None:
    volume = noise(grid((5, 0.8, 0.6)))
    halves = [
        region(volume, Plane.AXIAL, 3, Shape.POLYGON, corners)
        for corners in (
            [(4, 4), (4, 20), (20, 20), (20, 4)],
            [(4, 20), (4, 36), (20, 36), (20, 20)],
        )
    ]
    whole = region(volume, Plane.AXIAL, 3, Shape.POLYGON, [(4, 4), (4, 36), (20, 36), (20, 4)])
    parts = [samples(volume, half).values for half in halves]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.sort(samples(volume, whole).values))
    assert len(parts[0]) == len(parts[1]) == 256


def test_beyond_the_image_there_are_no_pixels() -> None:
    volume = noise(grid((5, 0.8, 0.6)))
    over = region(volume, Plane.AXIAL, 0, Shape.RECTANGLE, [(-10, -10), (3, 4)])
    assert samples(volume, over).values.size == 4 * 5
    beside = region(volume, Plane.AXIAL, 0, Shape.RECTANGLE, [(-10, -10), (-3, -4)])
    assert statistics(beside, samples(volume, beside)) is None


def test_a_region_between_centres_holds_none_and_says_nothing() -> None:
    volume = noise(grid((5, 0.8, 0.6)))
    small = region(volume, Plane.AXIAL, 0, Shape.ELLIPSE, [(3.2, 3.2), (3.7, 3.7)])
    assert statistics(small, samples(volume, small)) is None


def test_a_crossing_outline_gives_the_area_that_it_counted() -> None:
    volume = noise(grid((5, 0.5, 0.5)))
    eight = region(
        volume, Plane.AXIAL, 0, Shape.POLYGON, [(4.1, 4.1), (30.2, 30.2), (30.2, 4.1), (4.1, 30.2)]
    )
    assert eight.area_mm2 is None
    numbers = statistics(eight, samples(volume, eight))
    assert numbers is not None
    assert numbers.area_is_counted
    assert numbers.area_mm2 == pytest.approx(2 * 26.1 * 26.1 / 4 * 0.25, rel=0.05)


def linear(geometry: Geometry, slope: tuple[float, float, float]) -> Volume:
    """Values that grow evenly through the patient: interpolation gives them back exactly."""
    index = np.moveaxis(np.indices(geometry.shape), 0, -1).astype(float)
    return Volume((geometry.to_patient_mm(index) @ slope).astype(np.float32), geometry)


def test_an_oblique_region_reads_between_the_voxels() -> None:
    slope = (2.0, -3.0, 1.5)
    volume = linear(grid((3, 0.9, 0.5), degrees=(5, 8, 0), shape=(40, 120, 160)), slope)
    axes = turned((31, -17, 45))
    plane = SlicePlane(point(volume.geometry.centre_mm), point(axes[0]), point(axes[1]), 0.5)
    corners = plane.to_patient_mm([(-10.0, -8.0), (10.0, 8.0)])
    drawn = Region(plane, Shape.ELLIPSE, tuple(point(c) for c in corners))
    found = samples(volume, drawn)
    numbers = statistics(drawn, found)
    assert numbers is not None
    assert numbers.interpolated
    assert numbers.area_mm2 == pytest.approx(math.pi * 80)
    assert found.pixel_area_mm2 * numbers.count == pytest.approx(math.pi * 80, rel=0.02)
    # The mean over an ellipse of a linear function is its value at the middle.
    assert numbers.mean == pytest.approx(volume.geometry.centre_mm @ slope, abs=1e-2)
    gradient = np.array([axes[0] @ slope, axes[1] @ slope])
    reach = math.hypot(10 * gradient[0], 8 * gradient[1])
    assert numbers.maximum - numbers.minimum == pytest.approx(2 * reach, rel=0.05)


def test_between_two_slices_the_values_are_interpolated_too() -> None:
    volume = linear(grid((4, 1, 1)), (0, 0, 1))
    seen = volume.geometry.oriented(Plane.AXIAL)
    plane = SlicePlane.of_slice(seen, 6.5)
    corners = seen.to_patient_mm([(6.5, 10.0, 10.0), (6.5, 20.0, 20.0)])
    drawn = Region(plane, Shape.RECTANGLE, tuple(point(c) for c in corners))
    numbers = statistics(drawn, samples(volume, drawn))
    assert numbers is not None
    assert numbers.interpolated
    assert numbers.mean == pytest.approx(plane.origin_mm[2], abs=1e-3)


def test_interpolation_meets_the_voxels_at_their_centres() -> None:
    volume = noise(grid((5, 0.8, 0.6), shape=(4, 5, 6)))
    index = np.moveaxis(np.indices(volume.shape), 0, -1).reshape(-1, 3).astype(float)
    np.testing.assert_array_equal(interpolate(volume, index), volume.voxels.reshape(-1))


def test_a_volume_of_one_slice_can_be_measured() -> None:
    volume = noise(grid((5, 0.8, 0.6), shape=(1, 20, 30)))
    drawn = region(volume, Plane.AXIAL, 0, Shape.RECTANGLE, [(1.5, 1.5), (4.5, 9.5)])
    assert samples(volume, drawn).values.size == 3 * 8
    assert interpolate(volume, np.array([[0.0, 1.0, 2.0]])) == volume.voxels[0, 1, 2]


class TestHistogram:
    def test_every_pixel_is_in_one_bar(self) -> None:
        values = np.random.default_rng(0).integers(-1000, 400, 5000).astype(float)
        counts, edges = histogram(values)
        assert counts.sum() == 5000
        assert len(counts) <= MOST_BARS
        assert len(edges) == len(counts) + 1

    def test_bars_of_whole_values_hold_equally_many_possible_values(self) -> None:
        values = np.repeat(np.arange(-50, 151), 3).astype(float)
        counts, edges = histogram(values)
        width = edges[1] - edges[0]
        assert width == round(width)
        assert set(counts[:-1]) == {3 * width}

    def test_one_value_is_one_bar(self) -> None:
        counts, edges = histogram(np.full(7, 40.0))
        assert list(counts) == [7]
        assert list(edges) == [39.5, 40.5]

    def test_fractions_spread_evenly(self) -> None:
        counts, edges = histogram(np.linspace(0, 1, 4801))
        assert len(counts) == MOST_BARS
        assert counts.min() >= 99
        assert (edges[0], edges[-1]) == (0, 1)


def test_the_window_of_a_region_runs_between_its_percentiles() -> None:
    window = window_of(np.arange(-100.0, 301.0))
    assert (window.low, window.high) == pytest.approx((-96, 296))
    assert window_of(np.full(5, 40.0)).width == 1
