"""Overlays on a slice: every pixel at its own millimetres, whatever the two grids are."""

from __future__ import annotations

import numpy as np
import pytest

from app.imaging.colour_names import ColourMap
from app.imaging.plane import PlaneState
from app.rendering.overlay_pixels import (
    PixelPlane,
    box_outline,
    label_ids,
    label_pixels,
    outline,
    sample,
    value_pixels,
)
from app.services.overlay_reader import labels_of
from app.viewmodels.images.layers import Label, Layer, overlap
from med2e3.geometry import Geometry, Plane
from med2e3.volume import Volume

SHAPE = (12, 15, 18)


def turn(degrees: float, axis: int) -> np.ndarray:
    a, b = [k for k in range(3) if k != axis]
    matrix, angle = np.eye(4), np.radians(degrees)
    matrix[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
    return matrix


def grid(
    shape=SHAPE, spacing_mm=(4.0, 1.5, 1.0), flips=(), degrees=0.0, axis=2, order=(0, 1, 2)
) -> Geometry:
    affine = Geometry.from_spacing(shape, spacing_mm, origin_mm=(-7, 3, 50)).affine_lps.copy()
    affine[:3, list(flips)] *= -1
    affine[:, :3] = affine[:, list(order)]
    return Geometry(tuple(shape[k] for k in order), turn(degrees, axis) @ affine)


GRIDS = {
    "anisotropic": grid(),
    "flipped slices": grid(flips=(0,)),
    "left-handed": grid(flips=(2,)),
    "all flipped": grid(flips=(0, 1, 2)),
    "stored coronal": grid(order=(1, 0, 2)),
    "stored sagittal": grid(order=(2, 0, 1), flips=(1,)),
    "oblique": grid(degrees=25, axis=2),
    "oblique and flipped": grid(degrees=-18, axis=0, flips=(1,)),
}


def plane_of(state: PlaneState) -> PixelPlane:
    origin = state.mm_at(0, 0)
    steps = state.mm_at(1, 0) - origin, state.mm_at(0, 1) - origin
    return PixelPlane(origin, *steps, state.geometry.shape[1:])


def pixel_mm(plane: PixelPlane) -> np.ndarray:
    rows, columns = np.mgrid[: plane.shape[0], : plane.shape[1]]
    return plane.origin_mm + rows[..., None] * plane.row_mm + columns[..., None] * plane.column_mm


def label_layer(voxels: np.ndarray, geometry: Geometry, values=(1,), **changes) -> Layer:
    labels = tuple(Label(v, f"label {v}", "#e69f00", 0.0) for v in values)
    return Layer("test", voxels, geometry, labels, **changes)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("plane", list(Plane))
def test_a_mask_on_the_volumes_own_grid_lies_on_the_very_same_pixels(
    name: str, plane: Plane
) -> None:
    rng = np.random.default_rng(3)
    mask = rng.integers(0, 2, GRIDS[name].shape).astype(np.int16)
    volume = Volume(mask, GRIDS[name])
    state = PlaneState(plane, volume)
    for point in ((1, 2, 3), (5, 9, 4)):
        state.place(volume.geometry.to_patient_mm(point))
        ids = label_ids(label_layer(mask, GRIDS[name]), plane_of(state))
        assert np.array_equal(ids, state.pixels())


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("plane", list(Plane))
def test_a_ball_on_another_grid_is_the_right_disc(name: str, plane: Plane) -> None:
    """A ball of 8 mm on a fine oblique grid of its own, over a volume that is anything."""
    volume = Volume(np.zeros(GRIDS[name].shape, np.int16), GRIDS[name])
    centre = volume.geometry.centre_mm + np.array([1.3, -0.8, 2.1])
    fine = turn(33, 1) @ Geometry.from_spacing((40, 44, 48), (0.7, 0.6, 0.5)).affine_lps
    fine[:3, 3] += centre - (fine @ (20, 22, 24, 1))[:3]
    geometry = Geometry((40, 44, 48), fine)
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1)
    away = np.linalg.norm(geometry.to_patient_mm(index.astype(float)) - centre, axis=-1)
    state = PlaneState(plane, volume)
    state.place(centre)
    where = plane_of(state)
    ids = label_ids(label_layer((away < 8).astype(np.int16), geometry), where) > 0
    truth = np.linalg.norm(pixel_mm(where) - centre, axis=-1)
    assert ids[truth < 7.5].all()
    assert not ids[truth > 8.5].any()
    assert ids.any()


@pytest.mark.parametrize("name", GRIDS)
def test_values_between_voxels_follow_the_millimetres(name: str) -> None:
    """An overlay whose values are a plane in mm: every pixel has the value of its own place."""
    geometry = GRIDS[name]
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1)
    slope = np.array([0.7, -1.1, 0.4])
    values = (geometry.to_patient_mm(index.astype(float)) @ slope).astype(np.float32)
    host = Volume(np.zeros((20, 30, 30), np.int16), Geometry.from_spacing(
        (20, 30, 30), (1.3, 0.9, 0.9), origin_mm=geometry.centre_mm - (12, 12, -12)
    ))  # fmt: skip
    for plane in Plane:
        state = PlaneState(plane, host)
        state.place(geometry.centre_mm + 0.3)
        where = plane_of(state)
        sampled = sample(values, geometry, where, smooth=True)
        places = geometry.to_index(pixel_mm(where))
        last = np.asarray(geometry.shape) - 1
        between = ((places >= 0) & (places <= last)).all(axis=-1)
        assert between.sum() > 50
        expected = pixel_mm(where) @ slope
        assert sampled.values[between] == pytest.approx(expected[between], abs=1e-3)
        covered = ((places >= -0.5) & (places < last + 0.5)).all(axis=-1)
        assert np.array_equal(sampled.inside, covered)


def test_nothing_is_drawn_beside_the_overlay() -> None:
    geometry = grid(shape=(4, 4, 4))
    ones = np.ones((4, 4, 4), np.int16)
    far = PixelPlane(np.array([500.0, 0, 0]), np.array([0.0, 1, 0]), np.array([1.0, 0, 0]), (9, 9))
    assert not label_ids(label_layer(ones, geometry), far).any()
    values = Layer("v", ones.astype(np.float32), geometry, low=0, high=1)
    assert not value_pixels(values, far).any()


def test_labels_have_their_colour_at_their_opacity_and_hidden_ones_none() -> None:
    geometry = grid(shape=(1, 2, 3))
    voxels = np.array([[[0, 1, 7], [7, 1, 0]]], np.int16)
    labels = (Label(1, "a", "#ff8000", 0), Label(7, "b", "#0000ff", 0))
    where = PixelPlane(
        geometry.to_patient_mm((0, 0, 0)),
        geometry.affine_lps[:3, 1],
        geometry.affine_lps[:3, 2],
        (2, 3),
    )
    layer = Layer("l", voxels, geometry, labels, opacity=0.5, hidden=frozenset({7}))
    ids = label_ids(layer, where)
    assert ids.tolist() == [[0, 1, 0], [0, 1, 0]]
    assert label_pixels(layer, ids)[0].tolist() == [0, 0x80804000, 0]  # premultiplied


def test_values_below_the_threshold_are_clear_and_the_rest_is_mapped() -> None:
    geometry = grid(shape=(1, 1, 4))
    voxels = np.array([[[0, 10, 20, 40]]], np.float32)
    where = PixelPlane(
        geometry.to_patient_mm((0, 0, 0)),
        geometry.affine_lps[:3, 1],
        geometry.affine_lps[:3, 2],
        (1, 4),
    )
    layer = Layer("v", voxels, geometry, colours=ColourMap.GREY, low=10, high=20, opacity=1.0)
    assert [hex(p) for p in value_pixels(layer, where)[0]] == [
        "0x0", "0xff000000", "0xffffffff", "0xffffffff",
    ]  # fmt: skip


def test_an_outline_runs_along_the_edges_of_the_pixels() -> None:
    mask = np.zeros((6, 7), bool)
    mask[2:4, 1:5] = True
    runs = {tuple(run) for run in outline(mask)}
    assert runs == {
        (1.5, 0.5, 1.5, 4.5), (3.5, 0.5, 3.5, 4.5),  # above and below
        (1.5, 0.5, 3.5, 0.5), (1.5, 4.5, 3.5, 4.5),  # left and right
    }  # fmt: skip
    rng = np.random.default_rng(0)
    noise = rng.random((9, 11)) > 0.5
    padded = np.pad(noise, 1).astype(int)
    perimeter = sum(np.abs(np.diff(padded, axis=axis)).sum() for axis in (0, 1))
    lengths = np.abs(outline(noise)[:, 2:] - outline(noise)[:, :2]).sum()
    assert lengths == perimeter


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("plane", list(Plane))
def test_a_box_is_drawn_at_its_millimetres(name: str, plane: Plane) -> None:
    """A box along the grid's own axes, outer voxel edges as its sides: exact in every plane."""
    geometry = GRIDS[name]
    low, high = np.array([2, 3, 4]) - 0.5, np.array([7, 9, 8]) + 0.5
    ends = (low, high)
    corners = [[ends[i][0], ends[j][1], ends[k][2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    corners_mm = geometry.to_patient_mm(np.array(corners))
    state = PlaneState(plane, Volume(np.zeros(geometry.shape, np.int16), geometry))
    state.place(geometry.to_patient_mm((4, 6, 6)))
    found = np.array(box_outline(corners_mm, plane_of(state)))
    assert len(found) == 4
    turned = geometry.oriented(plane).to_index(corners_mm)[:, 1:]
    for axis in (0, 1):
        assert found[:, axis].min() == pytest.approx(turned[:, axis].min(), abs=1e-6)
        assert found[:, axis].max() == pytest.approx(turned[:, axis].max(), abs=1e-6)
    state.place(geometry.to_patient_mm((0, 0, 0)))  # before the box on all three axes
    assert box_outline(corners_mm, plane_of(state)) == []


def test_a_box_across_the_slice_is_cut_as_geometry_says() -> None:
    """A cube of 10 mm on its edge: the plane through its middle cuts it 10 × 14.1 mm."""
    corners = np.array([[x, y, z] for x in (-5, 5) for y in (-5, 5) for z in (-5, 5)], float)
    corners_mm = corners @ turn(45, 0)[:3, :3].T
    plane = PixelPlane(np.zeros(3), np.array([0.0, 1, 0]), np.array([1.0, 0, 0]), (5, 5))
    found = np.array(box_outline(corners_mm, plane))
    assert np.ptp(found[:, 0]) == pytest.approx(10 * 2**0.5)
    assert np.ptp(found[:, 1]) == pytest.approx(10)
    off = PixelPlane(np.array([0, 0, 7.2]), plane.row_mm, plane.column_mm, (5, 5))
    assert box_outline(corners_mm, off) == []


def test_label_maps_are_told_from_images() -> None:
    geometry = grid(shape=(2, 2, 2))

    def found(values, dtype=np.int16):
        return labels_of(Volume(np.array(values, dtype).reshape(2, 2, 2), geometry))

    assert found([0, 0, 1, 1, 1, 5, 0, 0]) == ((1, 3), (5, 1))
    assert found([-1000, 0, 1, 1, 1, 5, 0, 0]) == ()  # HU
    assert found([0.5, 0, 1, 1, 1, 5, 0, 0], np.float32) == ()
    assert found([0] * 8) == ()
    many = np.arange(1000, dtype=np.int16).reshape(10, 10, 10)
    assert labels_of(Volume(many, grid(shape=(10, 10, 10)))) == ()


def test_grids_that_never_meet_are_told() -> None:
    one = grid()
    assert overlap(one, GRIDS["oblique and flipped"]) is overlap(GRIDS["oblique and flipped"], one)
    assert overlap(one, one)
    away = one.affine_lps.copy()
    away[0, 3] += 500
    assert not overlap(one, Geometry(SHAPE, away))
