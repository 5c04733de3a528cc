"""Boxes and masks land where they belong, in volumes of every geometry."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from med2e3.engine.grounding import parse_boxes, place_mask
from med2e3.geometry import Geometry, Plane
from med2e3.preprocessing import prepare
from med2e3.volume import AIR_HU, Volume, Window

GRID = (32, 64, 64)
WINDOW = Window(40, 400)

#: First and last voxel of the body, as stored; what lies outside is air and is cropped away.
BODY = ((6, 61), (9, 108), (17, 90))


def _oblique_affine() -> NDArray[np.float64]:
    """Anisotropic (2.5, 0.8, 1.1 mm), turned about all three axes, left-handed, off the origin."""
    a, b, c = (math.radians(x) for x in (17.0, -11.0, 23.0))
    turn_x = np.array([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
    turn_y = np.array([[math.cos(b), 0, math.sin(b)], [0, 1, 0], [-math.sin(b), 0, math.cos(b)]])
    turn_z = np.array([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
    axes = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], dtype=float)  # slice z, row y, column x
    affine = np.eye(4)
    affine[:3, :3] = turn_z @ turn_y @ turn_x @ axes @ np.diag([2.5, 0.8, 1.1])
    affine[:3, 3] = (-120.0, -63.5, 410.25)
    return affine


def _volume() -> Volume:
    """A body of soft tissue in air, in an oblique grid."""
    voxels = np.full((70, 120, 100), AIR_HU, dtype=np.int16)
    voxels[tuple(slice(a, b + 1) for a, b in BODY)] = 40
    return Volume(voxels, Geometry(voxels.shape, _oblique_affine()))


#: A ball at a known place: middle in LPS mm (oblique to every grid), radius in mm.
BALL_MM, RADIUS_MM = _oblique_affine()[:3] @ (31.7, 58.2, 49.4, 1.0), 17.0


def _ball(geometry: Geometry) -> NDArray[np.float64]:
    """How deep each voxel centre of a grid lies inside the ball, in mm; negative outside."""
    cells = np.stack(np.meshgrid(*(np.arange(n) for n in geometry.shape), indexing="ij"), axis=-1)
    distances = np.linalg.norm(geometry.to_patient_mm(cells) - BALL_MM, axis=-1)
    return np.asarray(RADIUS_MM - distances)


def _box_text(inside: torch.Tensor) -> str:
    """The published convention: first and last index along each axis over its size, 3 digits."""
    found = (inside[0] > 0).nonzero()
    ends = [found.min(dim=0).values, found.max(dim=0).values]
    numbers = [round(int(e[k]) / GRID[k], 3) for e in ends for k in range(3)]
    return f"It is here: <bx_start>{numbers}<bx_end> in the image."


@pytest.mark.parametrize("plane", [None, *Plane])
def test_a_ball_drawn_in_an_oblique_cropped_volume_lands_within_half_a_voxel(plane: Plane) -> None:
    volume = _volume()
    shown = prepare(volume, GRID, plane=plane, window=WINDOW)
    assert shown.crop_shape != volume.geometry.oriented(shown.plane).shape  # it is cropped
    placed = place_mask(torch.from_numpy(_ball(shown.geometry))[None], shown, volume)
    assert placed.voxels.shape == volume.shape
    off = volume.geometry.to_index(placed.centre_mm) - volume.geometry.to_index(BALL_MM)
    assert np.abs(off).max() < 0.1  # half a voxel is the promise
    truth = _ball(volume.geometry) > 0
    assert (placed.voxels & truth).sum() / (placed.voxels | truth).sum() > 0.98
    assert placed.millilitres == pytest.approx(4 / 3 * math.pi * RADIUS_MM**3 / 1000, rel=0.02)


@pytest.mark.parametrize("plane", [None, *Plane])
def test_a_box_around_the_ball_lands_within_half_a_voxel_of_the_model(plane: Plane) -> None:
    shown = prepare(_volume(), GRID, plane=plane, window=WINDOW)
    inside = torch.from_numpy(_ball(shown.geometry))[None]
    (box,) = parse_boxes(_box_text(inside), shown)
    off = shown.geometry.to_index(box.centre_mm) - shown.geometry.to_index(BALL_MM)
    assert np.abs(off).max() <= 0.5
    steps = np.asarray(shown.geometry.spacing_mm)
    assert (np.abs(np.asarray(box.size_mm) - 2 * RADIUS_MM) <= steps).all()


def test_a_box_at_the_grid_of_the_volume_is_exact_to_the_voxel() -> None:
    voxels = np.zeros((32, 64, 64), dtype=np.int16)
    volume = Volume(voxels, Geometry(voxels.shape, _oblique_affine()))
    voxels[:] = np.arange(64, dtype=np.int16)  # something to scale; nothing is cropped
    stored = volume.geometry.orientation(volume.geometry.plane)
    shown = prepare(volume, GRID, window=Window(32, 2000))
    assert shown.crop_shape == GRID
    first, last = (5, 10, 30), (16, 24, 32)
    numbers = [
        *(round(a / n, 3) for a, n in zip(first, GRID, strict=True)),
        *(round(b / n, 3) for b, n in zip(last, GRID, strict=True)),
    ]
    (box,) = parse_boxes(f"<bx_start>{numbers}<bx_end>", shown)
    # The same box in stored indices: model axes are the stored ones, some turned around.
    ends = []
    for axis, flip, a, b in zip(stored.axes, stored.flips, first, last, strict=True):
        n = volume.shape[axis]
        ends.append((axis, (n - 1 - b, n - 1 - a) if flip else (a, b)))
    low = np.array([span[0] for _, span in sorted(ends)]) - 0.5
    high = np.array([span[1] for _, span in sorted(ends)]) + 0.5
    corners = volume.geometry.to_index(box.corners_mm)
    np.testing.assert_allclose(corners.min(axis=0), low, atol=1e-9)
    np.testing.assert_allclose(corners.max(axis=0), high, atol=1e-9)


def test_a_mask_never_reaches_into_what_was_cropped_away() -> None:
    volume = _volume()
    shown = prepare(volume, GRID, window=WINDOW)
    placed = place_mask(torch.ones(1, *GRID), shown, volume)
    np.testing.assert_array_equal(placed.voxels, volume.voxels > AIR_HU)
    cell_ml = 2.5 * 0.8 * 1.1 / 1000
    assert placed.millilitres == pytest.approx(56 * 100 * 74 * cell_ml)


def test_an_empty_mask_has_no_centre() -> None:
    volume = _volume()
    placed = place_mask(-torch.ones(1, *GRID), prepare(volume, GRID, window=WINDOW), volume)
    assert placed.millilitres == 0
    assert placed.centre_mm is None


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("<bx_start>[0.156, 0.156, 0.469, 0.5, 0.383, 0.508]<bx_end>", 1),
        ("<bx_start> [0,0,0,1,1,1] <bx_end> and <bx_start>[.1, .2, .3, .4, .5, .6]<bx_end>", 2),
        ("[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]", 0),  # not marked as a box
        ("<bx_start>[0.1, 0.2, 0.3, 0.4, 0.5]<bx_end>", 0),  # five numbers
        ("<bx_start>[0.5, 0.2, 0.3, 0.4, 0.5, 0.6]<bx_end>", 0),  # ends swapped
        ("<bx_start>[0.1, 0.2, 0.3, 0.4, 0.5, 1.6]<bx_end>", 0),  # outside
        ("<bx_start>[0.1, 0.2, x, 0.4, 0.5, 0.6]<bx_end>", 0),
        ("<bx_start>[0.1, 0.2, 0.3, 0.4, 0.5, 0.6", 0),  # the answer ended
        ("", 0),
    ],
)
def test_only_what_is_a_box_is_read_as_one(text: str, count: int) -> None:
    shown = prepare(_volume(), GRID, window=WINDOW)
    assert len(parse_boxes(text, shown)) == count
