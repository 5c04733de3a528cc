"""Lengths, angles, areas and volumes are those of the patient, whatever the grid."""

from __future__ import annotations

import math

import numpy as np
import pytest

from med2e3.errors import GeometryError
from med2e3.geometry import Geometry, Plane
from med2e3.measures import (
    SlicePlane,
    angle_degrees,
    cobb_degrees,
    crosses_itself,
    length_mm,
    mask_volume_ml,
    point,
    polygon_area,
)


def turned(degrees: tuple[float, float, float]) -> np.ndarray:
    """A rotation about x, then y, then z."""
    total = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        a, b = [k for k in range(3) if k != axis]
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        total = turn @ total
    return total


def grid(
    spacing: tuple[float, float, float],
    *,
    degrees: tuple[float, float, float] = (0, 0, 0),
    flip: tuple[int, int, int] = (1, 1, 1),
    shape: tuple[int, int, int] = (40, 50, 60),
) -> Geometry:
    affine = np.eye(4)
    affine[:3, :3] = turned(degrees) @ np.eye(3)[:, ::-1] @ np.diag(np.multiply(spacing, flip))
    affine[:3, 3] = (-31.0, 47.5, 205.25)
    return Geometry(shape, affine)


GRIDS = {
    "cubic": grid((1, 1, 1)),
    "anisotropic": grid((5, 0.8, 0.6)),
    "flipped": grid((5, 0.8, 0.6), flip=(-1, 1, -1)),
    "left-handed": grid((2.5, 0.7, 0.7), flip=(1, -1, 1)),
    "oblique": grid((3, 0.9, 0.5), degrees=(12, -20, 33)),
    "oblique and flipped": grid((3, 0.9, 0.5), degrees=(12, -20, 33), flip=(-1, -1, 1)),
}


@pytest.fixture(params=GRIDS.values(), ids=GRIDS)
def geometry(request: pytest.FixtureRequest) -> Geometry:
    return request.param


def test_a_box_has_its_edges_and_its_diagonal(geometry: Geometry) -> None:
    ds, dr, dc = geometry.spacing_mm
    a, b = geometry.to_patient_mm([(3, 4, 5), (13, 24, 45)])
    assert length_mm(a, b) == pytest.approx(math.hypot(10 * ds, 20 * dr, 40 * dc))


def test_edges_of_a_grid_meet_at_right_angles(geometry: Geometry) -> None:
    corner, along, across = geometry.to_patient_mm([(3, 4, 5), (3, 30, 5), (3, 4, 50)])
    assert angle_degrees(along, corner, point(across)) == pytest.approx(90)
    _, dr, dc = geometry.spacing_mm
    diagonal = geometry.to_patient_mm((3, 24, 25))
    expected = math.degrees(math.atan2(20 * dr, 20 * dc))
    assert angle_degrees(diagonal, corner, point(across)) == pytest.approx(expected)


def test_small_angles_keep_their_digits() -> None:
    arm = (math.cos(1e-6), math.sin(1e-6), 0.0)
    assert angle_degrees(arm, (0, 0, 0), (1, 0, 0)) == pytest.approx(math.degrees(1e-6), rel=1e-9)


@pytest.mark.parametrize("tilt", [0.0, 12.5, 45.0, 89.0])
@pytest.mark.parametrize("backwards", [False, True])
def test_cobb_angle_does_not_ask_which_end_came_first(tilt: float, backwards: bool) -> None:
    radians = math.radians(tilt)
    second = [(10.0, 5.0, 1.0), (10 + 7 * math.cos(radians), 5 + 7 * math.sin(radians), 1.0)]
    if backwards:
        second.reverse()
    assert cobb_degrees([(0, 0, 1), (30, 0, 1)], second) == pytest.approx(tilt, abs=1e-9)


def test_an_arm_without_length_has_no_angle() -> None:
    assert math.isnan(angle_degrees((1, 2, 3), (1, 2, 3), (4, 5, 6)))
    assert math.isnan(cobb_degrees([(0, 0, 0), (0, 0, 0)], [(0, 0, 0), (1, 0, 0)]))


def test_area_of_an_l_shape_and_of_its_mirror_image() -> None:
    outline = np.array([(0, 0), (4, 0), (4, 1), (1, 1), (1, 3), (0, 3)], float)
    assert polygon_area(outline) == pytest.approx(6)
    assert polygon_area(outline[::-1] * (-1, 1)) == pytest.approx(6)
    assert not crosses_itself(outline)


def test_a_figure_of_eight_crosses_itself() -> None:
    assert crosses_itself(np.array([(0, 0), (2, 2), (2, 0), (0, 2)], float))
    assert not crosses_itself(np.array([(0, 0), (2, 0), (2, 2), (0, 2)], float))
    assert not crosses_itself(np.array([(0, 0), (2, 0), (1, 1)], float))


@pytest.mark.parametrize("plane", list(Plane))
def test_a_slice_lies_in_its_plane_and_its_neighbour_a_thickness_away(
    geometry: Geometry, plane: Plane
) -> None:
    turned_grid = geometry.oriented(plane)
    here = SlicePlane.of_slice(turned_grid, 7)
    corners = [(7, 0, 0), (7, 20, 0), (7, 0, 30), (7, 11, 13)]
    points = turned_grid.to_patient_mm(corners)
    np.testing.assert_allclose(here.distance_mm(points), 0, atol=1e-9)
    np.testing.assert_allclose(here.to_patient_mm(here.to_plane(points)), points, atol=1e-9)
    following = turned_grid.to_patient_mm((8, 3, 3))
    assert abs(here.distance_mm(following)) == pytest.approx(turned_grid.spacing_mm[0])
    assert here.thickness_mm == pytest.approx(turned_grid.spacing_mm[0])
    across = np.linalg.norm(here.to_plane(points[2]) - here.to_plane(points[0]))
    assert across == pytest.approx(30 * turned_grid.spacing_mm[2])


def test_on_a_sheared_grid_the_thickness_is_along_the_normal() -> None:
    affine = np.eye(4)
    affine[:3, 0] = (0, 5 * math.sin(math.radians(20)), 5 * math.cos(math.radians(20)))
    affine[:3, 1], affine[:3, 2] = (0, 1, 0), (1, 0, 0)
    sheared = Geometry((10, 20, 30), affine)
    assert SlicePlane.of_slice(sheared, 2).thickness_mm == pytest.approx(5 * math.cos(0.349066))
    coronal = SlicePlane.of_slice(sheared.oriented(Plane.CORONAL), 2)
    assert np.dot(coronal.right, coronal.down) == pytest.approx(0)


def test_planes_of_one_grid_are_parallel_and_crossing_ones_are_not(geometry: Geometry) -> None:
    slices = [SlicePlane.of_slice(geometry.oriented(plane), 3) for plane in Plane]
    assert slices[0].is_parallel(SlicePlane.of_slice(geometry.oriented(Plane.AXIAL), 30))
    assert not any(a.is_parallel(b) for k, a in enumerate(slices) for b in slices[:k])


def test_axes_that_are_no_axes_are_refused() -> None:
    with pytest.raises(GeometryError, match="not perpendicular"):
        SlicePlane((0, 0, 0), (1, 0, 0), (1, 0, 0), 1)
    with pytest.raises(GeometryError, match="not perpendicular"):
        SlicePlane((0, 0, math.nan), (1, 0, 0), (0, 1, 0), 1)
    with pytest.raises(GeometryError, match="above 0"):
        SlicePlane((0, 0, 0), (1, 0, 0), (0, 1, 0), 0)


def test_volume_of_a_box_is_its_edges_multiplied(geometry: Geometry) -> None:
    mask = np.zeros(geometry.shape, np.uint8)
    mask[2:12, 3:23, 5:35] = 7
    expected = 10 * 20 * 30 * math.prod(geometry.spacing_mm) / 1000
    assert mask_volume_ml(mask, geometry) == pytest.approx(expected)


def test_volume_of_a_sphere_is_within_its_discretisation() -> None:
    geometry = grid((1.0, 0.8, 0.6), degrees=(12, -20, 33), flip=(-1, 1, 1), shape=(60, 75, 100))
    index = np.moveaxis(np.indices(geometry.shape), 0, -1).astype(float)
    away = np.linalg.norm(geometry.to_patient_mm(index) - geometry.centre_mm, axis=-1)
    measured = mask_volume_ml(away <= 25, geometry)
    assert measured == pytest.approx(4 / 3 * math.pi * 25**3 / 1000, rel=0.002)


def test_volume_on_a_sheared_grid_counts_the_cell_and_not_its_edges() -> None:
    affine = np.diag([1.0, 1.0, 2.0, 1.0])[:, [2, 1, 0, 3]]
    affine[1, 0] = 1.0
    geometry = Geometry((2, 10, 10), affine)
    assert mask_volume_ml(np.ones(geometry.shape), geometry) == pytest.approx(0.4)


def test_a_mask_of_another_grid_is_refused() -> None:
    with pytest.raises(GeometryError, match="its own grid"):
        mask_volume_ml(np.ones((2, 2, 2)), grid((1, 1, 1)))
