"""Slabs: what numpy says they are, in every plane; chosen by keys; said in the view."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.imaging.slab import Mode, Slab, combined, span
from app.viewmodels.images.viewer import Viewer
from med2e3.geometry import Geometry, Plane
from med2e3.volume import SeriesInfo, Volume
from tests.app.bodies import SPACING_MM, phantom

REDUCE = {Mode.MAXIMUM: np.max, Mode.MINIMUM: np.min, Mode.MEAN: np.mean}


def noise() -> Volume:
    shape = (30, 36, 40)
    voxels = np.random.default_rng(5).integers(-900, 900, shape, dtype=np.int16)
    geometry = Geometry.from_spacing(shape, (2.0, 0.5, 1.0))
    return Volume(voxels, geometry, SeriesInfo(modality="CT"))


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("plane", list(Plane))
def test_a_slab_of_stored_slices_is_numpys(plane: Plane, mode: Mode) -> None:
    viewer = Viewer()
    viewer.show(noise())
    viewer.set_slab(Slab(10.0, mode))
    state = viewer.shown[plane]
    layers = {Plane.AXIAL: 5, Plane.CORONAL: 20, Plane.SAGITTAL: 10}[plane]
    assert state.layers == layers
    first = state.slice_index - layers // 2
    stack = state.volume.voxels[first : first + layers]
    expected = REDUCE[mode](stack, axis=0)
    assert np.abs(state.pixels() - expected).max() <= 0.5  # means are rounded to whole HU
    viewer.hover(plane, 7, 9)
    assert viewer.readout is not None
    assert viewer.readout.value == state.pixels()[7, 9]
    assert "10.0 mm" in state.slab_text


@pytest.mark.parametrize("mode", list(Mode))
def test_a_turned_slab_by_a_quarter_is_the_slab_of_the_other_plane(mode: Mode) -> None:
    """Turned by 90° the coronal view stands in sagittal direction: layers fall on voxels."""
    shape = (21, 33, 33)
    voxels = np.random.default_rng(2).integers(-900, 900, shape, dtype=np.int16)
    volume = Volume(voxels, Geometry.from_spacing(shape, (1.0, 1.0, 1.0)), noise().info)
    viewer = Viewer()
    viewer.show(volume)
    viewer.turn(Plane.AXIAL, np.pi / 2)
    viewer.set_slab(Slab(5.0, mode))
    viewer.settle()
    state = viewer.shown[Plane.CORONAL]
    assert state.layers == 5
    expected = np.rint(REDUCE[mode](voxels[:, :, 14:19], axis=2))
    image = state.pixels()
    both = [image, image[:, ::-1]]
    assert any(
        part.shape == expected.shape and np.abs(part - expected).max() <= 0.5 for part in both
    )


def test_a_slab_at_the_end_takes_what_is_there() -> None:
    assert span(0, 5, 30) == slice(0, 3)
    assert span(29, 5, 30) == slice(27, 30)
    assert span(10, 4, 30) == slice(8, 12)


def test_one_layer_is_the_slice_itself() -> None:
    layer = noise().voxels[3:4]
    assert np.shares_memory(combined(layer, Mode.MEAN), layer)


def test_thickness_is_what_the_layers_cover_in_truth() -> None:
    viewer = Viewer()
    viewer.show(phantom())
    viewer.set_slab(Slab(12.0))
    # Slices of 5 mm: two of them are the nearest to 12 mm, and 10 mm is what is shown.
    assert SPACING_MM[0] == 5.0
    assert viewer.shown[Plane.AXIAL].slab_text == "MIP 10.0 mm"


def test_a_slab_cut_off_at_the_edge_says_what_is_left_of_it() -> None:
    viewer = Viewer()
    viewer.show(noise())
    viewer.set_slab(Slab(20.0))
    said = []
    for k in (0, 3, 15, 29):  # slices of 2 mm: five before, this one and four behind
        viewer.go_to_slice(Plane.AXIAL, k)
        said.append(viewer.shown[Plane.AXIAL].slab_text)
    assert said == ["MIP 10.0 mm", "MIP 16.0 mm", "MIP 20.0 mm", "MIP 12.0 mm"]
    viewer.set_slab(Slab(80.0))  # thicker than all 36 rows of 0.5 mm
    viewer.go_to_slice(Plane.CORONAL, 18)
    assert viewer.shown[Plane.CORONAL].slab_text == "MIP 18.0 mm"


def test_a_turned_slab_at_the_edge_says_what_is_left_of_it() -> None:
    shape = (21, 33, 33)
    volume = Volume(np.zeros(shape, np.int16), Geometry.from_spacing(shape, (1, 1, 1)))
    viewer = Viewer()
    viewer.show(volume)
    viewer.turn(Plane.AXIAL, np.pi / 2)  # the coronal view now goes along the 33 columns
    viewer.set_slab(Slab(9.0, Mode.MEAN))
    said = []
    for k in (0, 2, 16, 32):
        viewer.go_to_shown(Plane.CORONAL, k)
        said.append(viewer.shown[Plane.CORONAL].slab_text)
    assert said == ["average 5.0 mm", "average 7.0 mm", "average 9.0 mm", "average 5.0 mm"]


def test_the_corner_says_how_thick_the_slab_is_at_the_last_slice(open_gui: Any) -> None:
    view = open_gui.view(Plane.AXIAL)
    corner = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop
    open_gui.do(lambda: open_gui.viewer.set_slab(Slab(20.0)))
    assert "MIP 20.0 mm" in view.corner_texts(view.state)[corner]
    open_gui.do(lambda: QTest.keyClick(view, Qt.Key.Key_End))
    # Two slices of 5 mm before the last one, and the last one; none behind it.
    assert view.state.slice_index == view.state.count - 1
    assert "MIP 15.0 mm" in view.corner_texts(view.state)[corner]


def test_keys_make_slabs_and_the_corner_says_so(open_gui: Any) -> None:
    view, viewer = open_gui.view(Plane.CORONAL), open_gui.viewer
    corner = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop
    plain = open_gui.pixels(view)
    open_gui.do(lambda: QTest.keyClick(view, Qt.Key.Key_S))
    assert viewer.slab == Slab(10.0)
    assert "MIP 10.0 mm" in view.corner_texts(view.state)[corner]
    assert (open_gui.pixels(view) != plain).any()
    open_gui.do(lambda: QTest.keyClick(view, Qt.Key.Key_BracketRight))
    assert viewer.slab.thickness_mm == 20.0
    shift = Qt.KeyboardModifier.ShiftModifier
    open_gui.do(lambda: QTest.keyClick(view, Qt.Key.Key_S, shift))
    assert viewer.slab.mode is Mode.MINIMUM
    assert "MinIP 20.0 mm" in view.corner_texts(view.state)[corner]
    open_gui.do(lambda: QTest.keyClick(view, Qt.Key.Key_S))
    assert viewer.slab.thickness_mm == 0
    assert "mm" not in view.corner_texts(view.state)[corner]


def test_the_toolbars_menu_lists_thicknesses_and_takes_one(open_gui: Any) -> None:
    tools = open_gui.window.tools.views
    menu = tools.slab.menu()
    open_gui.do(menu.aboutToShow.emit)
    titles = [action.text() for action in menu.actions()]
    assert "20 mm" in titles
    open_gui.do(menu.actions()[titles.index("20 mm")].trigger)
    assert open_gui.viewer.slab == Slab(20.0)
    open_gui.do(menu.aboutToShow.emit)
    chosen = [a.text() for a in menu.actions() if a.isChecked()]
    assert chosen == ["Maximum (MIP)", "20 mm"]


def test_another_volume_starts_without_a_slab(open_gui: Any) -> None:
    open_gui.do(lambda: open_gui.viewer.set_slab(Slab(20.0)))
    open_gui.do(lambda: open_gui.viewer.show(phantom("Another")))
    assert open_gui.viewer.slab == Slab()
    assert all(state.layers == 1 for state in open_gui.viewer.shown.values())


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize("count", [2, 3, 4, 5, 7, 8, 13])
@pytest.mark.parametrize("step", [1, -1])
def test_layers_side_by_side_in_memory_are_combined_as_any_others(
    dtype: type, count: int, step: int
) -> None:
    stored = np.random.default_rng(1).integers(-1000, 1000, (9, 11, 40)).astype(dtype)
    layers = stored.transpose(2, 0, 1)[5 : 5 + count][::step, ::-1, ::2]
    for mode in (Mode.MAXIMUM, Mode.MINIMUM):
        shown = combined(layers, mode)
        assert shown.dtype == layers.dtype
        assert np.array_equal(shown, REDUCE[mode](layers, axis=0))
