"""Surfaces of masks, checked against balls and boxes whose volume, area and place are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import pyvista

from med2e3 import surfaces
from med2e3.errors import InputError
from med2e3.geometry import Geometry
from med2e3.surfaces import Surface, save_surface, surface_of

#: Voxel sizes in mm: a CT of thick slices.
SPACING = (2.0, 0.7, 0.9)
CENTRE_MM = np.array([40.0, -25.0, 310.0])
SHAPE = (44, 120, 100)


def turned(*, mirrored: bool = False, sheared: bool = False) -> Geometry:
    """A grid whose every axis is oblique, about `CENTRE_MM`."""
    turn, _ = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))
    turn[:, 0] *= np.sign(np.linalg.det(turn)) * (-1 if mirrored else 1)
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(SPACING)
    if sheared:
        affine[:3, 0] += 0.3 * affine[:3, 1]
    affine[:3, 3] = CENTRE_MM - affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    return Geometry(SHAPE, affine)


GRIDS = {
    "straight": Geometry(SHAPE, Geometry.from_spacing(SHAPE, SPACING).affine_lps),
    "turned": turned(),
    "mirrored": turned(mirrored=True),
    "sheared": turned(sheared=True),
}


@pytest.fixture(params=GRIDS, name="grid")
def grid_fixture(request: pytest.FixtureRequest) -> Geometry:
    return GRIDS[request.param]


def offsets(grid: Geometry) -> np.ndarray:
    """(slice, row, column, 3) mm of every voxel from the middle of the grid."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    return grid.to_patient_mm(index) - grid.centre_mm


def ball(grid: Geometry, radius_mm: float) -> np.ndarray:
    return np.linalg.norm(offsets(grid), axis=-1) < radius_mm


def normals(surface: Surface) -> tuple[np.ndarray, np.ndarray]:
    """The middles of the triangles, and their normals by the right hand."""
    a, b, c = np.moveaxis(surface.points.astype(float)[surface.triangles], 1, 0)
    return (a + b + c) / 3, np.cross(b - a, c - a)


def edge_uses(surface: Surface) -> np.ndarray:
    """How many triangles share each edge."""
    pairs = np.sort(surface.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    return np.unique(pairs, axis=0, return_counts=True)[1]


def test_a_ball_has_its_volume_its_area_and_its_place(grid: Geometry) -> None:
    surface = surface_of(ball(grid, 20), grid)
    assert surface.millilitres == pytest.approx(4 / 3 * np.pi * 8, rel=0.02)
    assert surface.area_cm2 == pytest.approx(4 * np.pi * 4, rel=0.08)
    distances = np.linalg.norm(surface.points - grid.centre_mm, axis=1)
    assert abs(distances - 20).max() < max(SPACING)
    assert (edge_uses(surface) == 2).all()


def test_normals_point_outward_on_any_grid(grid: Geometry) -> None:
    middles, outward = normals(surface_of(ball(grid, 20), grid))
    assert (np.einsum("ij,ij->i", middles - grid.centre_mm, outward) > 0).mean() > 0.99


def test_left_is_left(grid: Geometry) -> None:
    away = offsets(grid)
    mask = (np.abs(away) < (15, 6, 6)).all(-1) | (np.linalg.norm(away - (15, 0, 0), axis=-1) < 11)
    low, high = surface_of(mask, grid).points.min(axis=0), surface_of(mask, grid).points.max(axis=0)
    np.testing.assert_allclose(low - grid.centre_mm, (-15, -11, -11), atol=1.6)
    np.testing.assert_allclose(high - grid.centre_mm, (26, 11, 11), atol=1.6)


def test_a_mask_that_fills_the_grid_is_closed_at_its_border() -> None:
    grid = GRIDS["turned"]
    surface = surface_of(np.ones(grid.shape, bool), grid)
    assert (edge_uses(surface) == 2).all()
    assert surface.millilitres == pytest.approx(np.prod(grid.shape) * grid.voxel_ml, rel=0.005)


@pytest.mark.parametrize(
    "part", [np.s_[5, 5, 5], np.s_[5, 5, 2:9], np.s_[5, 2:9, 2:9], np.s_[4:6, 4:6, 4:6]]
)
def test_what_is_thin_keeps_its_volume(part: tuple, grid: Geometry) -> None:
    mask = np.zeros(grid.shape, np.uint8)
    mask[part] = 1
    surface = surface_of(mask, grid)
    assert surface.millilitres == pytest.approx(mask.sum() * grid.voxel_ml, rel=0.021)


def test_one_label_of_many_is_taken() -> None:
    grid = GRIDS["straight"]
    labels = np.zeros(grid.shape, np.int16)
    labels[:20], labels[20:] = 3, 7
    of_seven = surface_of(labels, grid, 7)
    assert of_seven.millilitres == pytest.approx((labels == 7).sum() * grid.voxel_ml, rel=0.01)
    both = surface_of(labels, grid)
    assert both.millilitres == pytest.approx(labels.size * grid.voxel_ml, rel=0.01)


def test_noise_is_closed_too() -> None:
    grid = Geometry.from_spacing((14, 14, 14), (1, 1, 1))
    mask = np.random.default_rng(1).random((14, 14, 14)) > 0.5
    surface = surface_of(mask, grid)
    assert (edge_uses(surface) % 2 == 0).all()
    assert surface.millilitres == pytest.approx(mask.sum() / 1000, rel=0.021)


def test_many_triangles_become_fewer_and_the_volume_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = GRIDS["turned"]
    mask = ball(grid, 20)
    whole = surface_of(mask, grid)
    monkeypatch.setattr(surfaces, "MOST_TRIANGLES", 3000)
    thin = surface_of(mask, grid)
    assert len(whole.triangles) > 10_000
    assert len(thin.triangles) < 3200
    assert thin.millilitres == pytest.approx(whole.millilitres, rel=0.02)
    assert (edge_uses(thin) == 2).all()


@pytest.mark.parametrize("suffix", [".stl", ".ply", ".obj", ".STL"])
def test_files_hold_the_surface_and_say_its_units(suffix: str, tmp_path: Path) -> None:
    grid = GRIDS["mirrored"]
    surface = surface_of(ball(grid, 8), grid)
    path = tmp_path / f"ball{suffix}"
    save_surface(surface, path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    said = path.read_bytes()[:300]
    assert b"millimetres, LPS: x to the left, y to posterior, z to superior" in said
    read = pyvista.read(path)
    assert read.n_cells == len(surface.triangles)
    np.testing.assert_allclose(
        read.points[read.regular_faces], surface.points[surface.triangles], atol=1e-3
    )


def test_an_stl_is_read_without_vtk_as_well(tmp_path: Path) -> None:
    grid = GRIDS["turned"]
    surface = surface_of(ball(grid, 8), grid)
    save_surface(surface, tmp_path / "ball.stl")
    data = (tmp_path / "ball.stl").read_bytes()
    assert not data.startswith(b"solid"), "or readers take it for text"
    record = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    facets = np.frombuffer(data, record, offset=84)
    assert int.from_bytes(data[80:84], "little") == len(facets) == len(surface.triangles)
    np.testing.assert_allclose(facets["corners"], surface.points[surface.triangles], atol=1e-4)


def test_what_has_no_surface_is_said(tmp_path: Path) -> None:
    grid = Geometry.from_spacing((4, 5, 6), (1, 1, 1))
    with pytest.raises(InputError, match="The mask is empty"):
        surface_of(np.zeros((4, 5, 6)), grid)
    with pytest.raises(InputError, match="Label 3 is empty"):
        surface_of(np.ones((4, 5, 6)), grid, 3)
    with pytest.raises(InputError, match=r"shape \(5, 4, 6\)"):
        surface_of(np.ones((5, 4, 6)), grid)
    surface = surface_of(np.ones((4, 5, 6)), grid)
    for name, said in (("a.vtk", r"End it in \.stl, \.ply, \.obj"), ("no/a.stl", "cannot be")):
        with pytest.raises(InputError, match=said):
            save_surface(surface, tmp_path / name)
    assert not list(tmp_path.iterdir())
