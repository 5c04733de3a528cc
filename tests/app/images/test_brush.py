"""The brush with real events of the mouse: disc, ball, wiping, size, undo, and what it measures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt

from app.viewmodels.images.brush import BRUSH, stamp
from app.viewmodels.images.layers import Overlaid, layer_of
from app.views.images.overlay_panel import OverlayPanel
from med2e3.geometry import Geometry, Plane
from tests.app.bodies import SPACING_MM, phantom
from tests.app.images.test_overlays import mark_labels

CONTROL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def brush(open_gui: Any) -> Any:
    """The brush in the hand, over the middle of the phantom."""
    middle = phantom().geometry.to_patient_mm([12.0, 20.0, 28.0])
    open_gui.do(lambda: open_gui.viewer.move_crosshair(middle))
    open_gui.do(open_gui.window.actions_by_name["brush_tool"].trigger)
    return open_gui.workspace.brush


def at(gui: Any, plane: Plane, row: float, column: float) -> tuple[float, float]:
    """The place of a pixel of a plane's slice in its view."""
    return tuple(gui.view(plane).viewport().to_screen(row, column))


def paint(gui: Any, plane: Plane, *places: tuple[float, float], held: Any = None) -> None:
    """A stroke between pixels of a plane's slice."""
    start, end = (at(gui, plane, *place) for place in (places[0], places[-1]))
    modifiers = Qt.KeyboardModifier.NoModifier if held is None else held
    gui.drag(gui.view(plane), start, end, modifiers=modifiers)


def painted(gui: Any) -> np.ndarray:
    return gui.workspace.overlays.layers[-1].voxels


def test_a_disc_paints_one_slice_in_true_millimetres(open_gui: Any, brush: Any) -> None:
    brush.set(size_mm=16.0)
    paint(open_gui, Plane.AXIAL, (20, 28), (20, 28))
    slices, rows, columns = np.nonzero(painted(open_gui))
    assert set(slices) == {12}
    _, row_mm, column_mm = SPACING_MM
    assert (np.ptp(rows) + 1) * row_mm == pytest.approx(16, abs=row_mm)
    assert (np.ptp(columns) + 1) * column_mm == pytest.approx(16, abs=column_mm)


@pytest.mark.parametrize("plane", list(Plane))
def test_a_disc_in_any_plane_is_one_voxel_deep(open_gui: Any, brush: Any, plane: Plane) -> None:
    brush.set(size_mm=14.0)
    state = open_gui.view(plane).state
    paint(open_gui, plane, state.crosshair, state.crosshair)
    places = np.argwhere(painted(open_gui))
    extents = np.ptp(places, axis=0)
    deep = {Plane.AXIAL: 0, Plane.CORONAL: 1, Plane.SAGITTAL: 2}[plane]
    assert extents[deep] == 0
    assert (np.delete(extents, deep) > 0).all()


def test_a_ball_reaches_over_slices(open_gui: Any, brush: Any) -> None:
    brush.set(size_mm=30.0, is_ball=True)
    paint(open_gui, Plane.AXIAL, (20, 28), (20, 28))
    there = painted(open_gui) > 0
    ml = there.sum() * phantom().geometry.voxel_ml
    assert ml == pytest.approx(4 / 3 * np.pi * 1.5**3, rel=0.08)
    assert len(np.unique(np.nonzero(there)[0])) == 7  # 30 mm of slices 5 mm apart, from the middle


def test_a_stroke_has_no_gaps_and_is_undone_as_one(open_gui: Any, brush: Any) -> None:
    brush.set(size_mm=4.0)
    paint(open_gui, Plane.AXIAL, (20, 10), (20, 45))
    row = painted(open_gui)[12, 20]
    assert row[10:46].all()
    steps = open_gui.workspace.steps
    assert steps.undo_name == "paint painted 1"
    layer = open_gui.workspace.overlays.layers[-1]
    assert layer.labels[0].millilitres == pytest.approx(
        (painted(open_gui) > 0).sum() * phantom().geometry.voxel_ml
    )
    open_gui.do(steps.undo)
    assert not painted(open_gui).any()
    assert open_gui.workspace.overlays.layers[-1].labels[0].millilitres == 0
    open_gui.do(steps.redo)
    assert painted(open_gui)[12, 20, 10:46].all()
    open_gui.do(steps.undo)
    open_gui.do(steps.undo)
    assert not open_gui.workspace.overlays.layers


def test_control_wipes_only_the_label_that_is_painted(open_gui: Any, brush: Any) -> None:
    overlays = open_gui.workspace.overlays
    volume = mark_labels()
    layer = layer_of(Overlaid(volume, ((3, 640), (8, 1)), {}), "")
    open_gui.do(lambda: overlays.lay(layer))
    panel = open_gui.window.findChild(OverlayPanel)
    (paint_on,) = [a for a in panel.rows[-1].labels[0].actions() if a.text() == "Paint on it"]
    open_gui.do(paint_on.trigger)
    assert brush.label.value == 3
    brush.set(size_mm=120.0)
    open_gui.do(lambda: open_gui.viewer.go_to_shown(Plane.AXIAL, 20))
    paint(open_gui, Plane.AXIAL, (20, 28), (20, 28), held=CONTROL)
    assert painted(open_gui)[20, 35, 50] == 8  # another label stays
    open_gui.do(lambda: open_gui.viewer.go_to_shown(Plane.AXIAL, 4))
    before = int((painted(open_gui) == 3).sum())
    paint(open_gui, Plane.AXIAL, (10, 10), (10, 10), held=CONTROL)
    assert int((painted(open_gui) == 3).sum()) < before
    assert (volume.voxels == 3).sum() == before  # what was read from a file is not changed


def test_alt_and_the_wheel_change_the_size_and_nothing_scrolls(open_gui: Any, brush: Any) -> None:
    view, size = open_gui.view(Plane.AXIAL), brush.size_mm
    slice_index = view.state.slice_index
    open_gui.wheel(view, 2, modifiers=Qt.KeyboardModifier.AltModifier)
    assert brush.size_mm == pytest.approx(size * 1.15**2)
    assert view.state.slice_index == slice_index
    open_gui.wheel(view, -1)
    assert view.state.slice_index == slice_index + 1
    dialog = open_gui.window.brush
    assert dialog.millimetres.text() == f"{brush.size_mm:.1f} mm"


def test_what_was_painted_is_measured_and_said(open_gui: Any, brush: Any) -> None:
    brush.set(size_mm=8.0)
    paint(open_gui, Plane.AXIAL, (20, 12), (20, 44))
    open_gui.until(lambda: brush.measured is not None)
    there = painted(open_gui) > 0
    values = phantom().voxels[there].astype(float)
    assert brush.measured.mean == pytest.approx(values.mean())
    assert brush.measured.sd == pytest.approx(values.std())
    assert brush.measured.long_mm == pytest.approx(32 + 8, abs=2.0)
    words = open_gui.window.brush.words.text()
    assert "ml" in words
    assert f"longest {brush.measured.long_mm:.1f} × {brush.measured.short_mm:.1f} mm" in words


def test_another_tool_closes_the_dialog_and_the_ring_is_over_the_view(
    open_gui: Any, brush: Any
) -> None:
    view = open_gui.view(Plane.AXIAL)
    before = open_gui.pixels(view)
    brush.set(size_mm=40.0)
    open_gui.move(view, at(open_gui, Plane.AXIAL, 20, 28))
    assert np.abs(open_gui.pixels(view).astype(int) - before).max() > 60
    assert open_gui.window.brush.isVisible()
    open_gui.do(open_gui.window.actions_by_name["crosshair_tool"].trigger)
    assert not open_gui.window.brush.isVisible()
    assert open_gui.viewer.tool != BRUSH


def test_a_stamp_on_a_sheared_and_turned_grid_is_a_ball_in_the_patient() -> None:
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = [0, 0.6, 2.0], [0.3, 1.0, 0], [0.9, -0.2, 0]
    grid = Geometry((30, 60, 60), affine)
    centre = grid.to_patient_mm([15.0, 30.0, 30.0])
    found = stamp(grid, centre, 9.0, None)
    assert found is not None
    box, inside = found
    every = np.moveaxis(np.indices(grid.shape), 0, -1).reshape(-1, 3).astype(float)
    away = np.linalg.norm(grid.to_patient_mm(every) - centre, axis=1).reshape(grid.shape)
    whole = np.zeros(grid.shape, bool)
    whole[box] = inside
    assert (whole == (away <= 9.0)).all()
    assert stamp(grid, centre + 500, 9.0, None) is None


def test_the_brush_is_never_over_a_window_without_a_volume(gui: Any) -> None:
    gui.do(lambda: gui.viewer.choose_tool(BRUSH))
    assert not gui.workspace.brush.in_hand
    gui.workspace.brush.press(np.zeros(3), np.array([0.0, 0.0, 1.0]))
    assert not gui.workspace.overlays.layers
