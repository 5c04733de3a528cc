"""Labels of overlays in the 3D view: where they are, in their colours, only while it is seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.services.solids import MOST_VOXELS
from app.viewmodels.images.layers import Label, Layer
from app.viewmodels.images.solids import Solid
from app.views.images.scene_masks import SceneMasks, facing
from med2e3.errors import InputError
from med2e3.geometry import Geometry
from med2e3.surfaces import coarsened, surface_of
from tests.app.bodies import MARK, phantom


def mark_layer() -> Layer:
    voxels = np.zeros(phantom().shape, np.int16)
    voxels[MARK] = 1
    ml = float((voxels > 0).sum() * phantom().geometry.voxel_ml)
    return Layer("mark", voxels, phantom().geometry, (Label(1, "mark", "#009e73", ml),))


def test_a_mask_is_seen_in_3d_at_its_place_and_hidden_with_its_label(open_gui: Any) -> None:
    gui, overlays = open_gui, open_gui.workspace.overlays
    solids = gui.workspace.solids
    gui.do(lambda: overlays.lay(mark_layer()))
    assert not solids.solids  # nobody looks at 3D
    gui.do(gui.workspace.layouts.toggle_scene)
    cell = gui.window.centre.cell("3d")
    gui.until(lambda: cell.view.scene.frame is not None and solids.solids)
    sheet = cell.view.findChild(SceneMasks)
    gui.until(sheet.isVisible)
    pixels = gui.pixels(cell.view).astype(int)
    green = (pixels[..., 1] - pixels[..., 0] > 40) & (pixels[..., 1] > pixels[..., 2] + 10)
    assert green.sum() > 30
    projection = cell.view.scene.projection(cell.view.width(), cell.view.height())
    middle = phantom().geometry.to_patient_mm([(s.start + s.stop - 1) / 2 for s in MARK])
    x, y = projection.to_screen(middle)[:2]
    rows, columns = np.nonzero(green)
    assert columns.mean() == pytest.approx(x, abs=4)
    assert rows.mean() == pytest.approx(y, abs=4)
    assert "masks" in "\n".join(cell.view.corner_texts().values())
    gui.do(lambda: overlays.toggle_label(overlays.layers[0], 1))
    assert not sheet.isVisible()
    assert gui.workspace.notices.message is None


def test_a_coarse_mask_keeps_its_place_size_and_thin_parts() -> None:
    grid = Geometry.from_spacing((80, 100, 120), (2.0, 1.0, 0.5), origin_mm=(5, 6, 7))
    mask = np.zeros(grid.shape, bool)
    mask[10:70, 20:90, 11:111] = True
    coarse, its = coarsened(mask, grid, MOST_VOXELS)
    assert max(coarse.shape) <= MOST_VOXELS
    whole, small = surface_of(mask, grid), surface_of(coarse, its)
    assert small.points.mean(axis=0) == pytest.approx(whole.points.mean(axis=0), abs=4.0)
    assert small.millilitres == pytest.approx(whole.millilitres, rel=0.15)
    line = np.zeros(grid.shape, bool)
    line[40, 50, :] = True
    thin, _ = coarsened(line, grid, MOST_VOXELS)
    assert thin.all()
    with pytest.raises(InputError, match="empty"):
        coarsened(np.zeros(grid.shape, bool), grid, MOST_VOXELS)


def test_only_faces_towards_the_reader_are_drawn_the_nearest_last() -> None:
    surface = surface_of(np.ones((4, 5, 6), bool), Geometry.from_spacing((4, 5, 6), (1, 1, 1)))
    solid = Solid(surface.points, surface.triangles)
    axes = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])
    triangles, lights = facing(solid, axes)
    assert 0 < len(triangles) < len(surface.triangles)
    depth = surface.points[triangles].mean(axis=1) @ axes[2]
    assert (np.diff(depth) >= -1e-6).all()
    assert lights.min() >= 0.35 - 1e-9
    assert lights.max() <= 1.0 + 1e-9
