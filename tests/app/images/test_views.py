"""The planes on the screen: sides, proportions, readouts, mouse and keys, read back as pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.imaging.windows import PRESETS
from app.rendering import markings
from app.viewmodels.images.tools import Tool
from med2e3.geometry import Geometry, Plane
from med2e3.io import load_volume, write_nifti
from med2e3.volume import WINDOWS, Volume
from tests.app.bodies import MARK, SHAPE, SPACING_MM, phantom


def bright_box(pixels: np.ndarray) -> tuple[float, float, float, float]:
    """Left, right, top and bottom of the pure white area."""
    rows, columns = np.nonzero((pixels >= 250).all(axis=2))
    return columns.min(), columns.max() + 1, rows.min(), rows.max() + 1


@pytest.fixture
def bare(open_gui: Any) -> Any:
    """Nothing over the images; the mark's middle is where the crosshair is."""

    def act() -> None:
        open_gui.viewer.toggle_corner_text()
        open_gui.viewer.toggle_crosshair()
        middle = [(s.start + s.stop - 1) / 2 for s in MARK]
        volume = open_gui.viewer.volume
        mark_mm = phantom().geometry.to_patient_mm(middle)
        assert volume.geometry.contains(volume.geometry.to_index(mark_mm))
        open_gui.viewer.move_crosshair(mark_mm)

    open_gui.do(act)
    return open_gui


def white_area(gui: Any, plane: Plane, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("draw_letters", "draw_scale_bar"):
        monkeypatch.setattr(markings, name, lambda *_, **__: None)
    view = gui.view(plane)
    gui.do(view.refresh)
    pixels = gui.pixels(view)
    return bright_box(pixels), pixels.shape


@pytest.mark.parametrize("plane", [Plane.AXIAL, Plane.CORONAL])
def test_patient_right_is_on_the_viewers_left(
    bare: Any, plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    (left, right, _, _), (_, width, _) = white_area(bare, plane, monkeypatch)
    assert right < width / 2
    assert left > 0
    assert bare.view(plane).state.letters[0] == "R"


@pytest.mark.parametrize("plane", list(Plane))
def test_anterior_or_superior_is_on_top(
    bare: Any, plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    (_, _, _, bottom), (height, _, _) = white_area(bare, plane, monkeypatch)
    assert bottom < height / 2
    assert bare.view(plane).state.letters[2] == ("A" if plane is Plane.AXIAL else "S")


def test_sagittal_shows_anterior_on_the_left(bare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (_, right, _, _), (_, width, _) = white_area(bare, Plane.SAGITTAL, monkeypatch)
    assert right < width / 2
    assert bare.view(Plane.SAGITTAL).state.letters == ("A", "P", "S", "I")


@pytest.mark.parametrize("plane", list(Plane))
def test_proportions_on_the_screen_are_those_in_mm(
    bare: Any, plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    (left, right, top, bottom), _ = white_area(bare, plane, monkeypatch)
    size_mm = [(s.stop - s.start) * mm for s, mm in zip(MARK, SPACING_MM, strict=True)]
    height_mm, width_mm = {
        Plane.AXIAL: (size_mm[1], size_mm[2]),
        Plane.CORONAL: (size_mm[0], size_mm[2]),
        Plane.SAGITTAL: (size_mm[0], size_mm[1]),
    }[plane]
    scale = bare.view(plane).viewport().pixels_per_mm
    # Smoothing spreads an edge over up to one voxel on either side.
    assert right - left == pytest.approx(width_mm * scale, abs=2 * scale * max(SPACING_MM[1:]))
    assert bottom - top == pytest.approx(height_mm * scale, abs=2 * scale * SPACING_MM[0])


def test_the_grey_on_screen_is_the_window_of_the_voxel(bare: Any) -> None:
    view = bare.view(Plane.AXIAL)
    x, y = view.viewport().to_screen(30, 45)  # inside the body: 40 HU, the centre of the window
    assert bare.viewer.window == WINDOWS["soft tissue"]
    assert bare.pixels(view)[round(y), round(x)] == pytest.approx([127, 127, 127], abs=2)
    bare.key(Qt.Key.Key_I)
    assert bare.pixels(view)[round(y), round(x)] == pytest.approx([128, 128, 128], abs=2)
    bare.key(Qt.Key.Key_4)  # brain, W 80 L 40: air is black, 40 HU the middle
    x, y = view.viewport().to_screen(1, 1)
    assert list(bare.pixels(view)[round(y), round(x)]) == [255, 255, 255]  # air, inverted


def test_the_readout_is_the_voxel_under_the_mouse(open_gui: Any) -> None:
    expected = phantom()
    open_gui.do(lambda: open_gui.viewer.go_to_slice(Plane.AXIAL, 10))
    view = open_gui.view(Plane.AXIAL)
    for row, column in ((20, 30), (20, 31), (2, 2), (39, 55)):
        open_gui.move(view, view.viewport().to_screen(row, column))
        readout = open_gui.viewer.readout
        assert readout.value == expected.voxels[10, row, column]
        assert readout.patient_mm == pytest.approx(
            tuple(expected.geometry.to_patient_mm((10, row, column)))
        )
    text = open_gui.window.statusBar().voxel.text()
    assert text == "HU −1000 at L 35.0 · P 48.0 · S 150.0 mm  ·  voxel 55 39 10"


def test_the_readout_follows_wheel_and_keys_under_a_mouse_that_rests(open_gui: Any) -> None:
    expected, viewer, view = phantom(), open_gui.viewer, open_gui.view(Plane.AXIAL)
    open_gui.do(lambda: viewer.go_to_slice(Plane.AXIAL, 9))
    x, y = view.viewport().to_screen(20, 30)
    open_gui.drag(view, (x, y), (x, y), Qt.MouseButton.NoButton)
    assert viewer.readout.value == 40
    open_gui.wheel(view, -1, at=(x, y))
    assert viewer.readout.value == 123
    assert viewer.readout.patient_mm[2] == expected.geometry.to_patient_mm((10, 20, 30))[2]
    assert open_gui.window.statusBar().voxel.text().startswith("HU 123 at ")
    open_gui.key(Qt.Key.Key_Home)
    assert viewer.readout.value == expected.voxels[0, 20, 30] == -1000
    open_gui.key(Qt.Key.Key_End)
    open_gui.do(lambda: viewer.show(phantom("Other", value=500)))
    assert viewer.readout.value == 40  # the new volume is shown from its middle
    open_gui.do(lambda: QApplication.sendEvent(view, QEvent(QEvent.Type.Leave)))
    open_gui.wheel(view, -1)
    assert viewer.readout is None
    assert not open_gui.window.statusBar().voxel.text()


def test_a_click_brings_the_other_planes_to_that_point(open_gui: Any) -> None:
    view = open_gui.view(Plane.AXIAL)
    open_gui.do(lambda: open_gui.viewer.go_to_slice(Plane.AXIAL, 3))
    x, y = view.viewport().to_screen(10, 12)
    open_gui.drag(view, (x, y), (x, y))
    assert open_gui.viewer.planes[Plane.CORONAL].slice_index == 10
    assert open_gui.viewer.planes[Plane.SAGITTAL].slice_index == 12
    assert open_gui.viewer.planes[Plane.AXIAL].slice_index == 3


def test_the_wheel_scrolls_towards_the_feet_and_stops_at_the_end(open_gui: Any) -> None:
    view, state = open_gui.view(Plane.AXIAL), open_gui.viewer.planes[Plane.AXIAL]
    before = state.slice_index
    open_gui.wheel(view, -1)
    assert state.slice_index == before + 1
    open_gui.wheel(view, 3)
    assert state.slice_index == before - 2
    open_gui.wheel(view, -1, Qt.KeyboardModifier.ShiftModifier)
    assert state.slice_index == before + 8
    open_gui.wheel(view, -100)
    assert state.slice_index == SHAPE[0] - 1
    assert open_gui.viewer.planes[Plane.CORONAL].count == SHAPE[1]


def test_small_steps_of_a_touchpad_add_up_to_one_slice(open_gui: Any) -> None:
    view, state = open_gui.view(Plane.AXIAL), open_gui.viewer.planes[Plane.AXIAL]
    before = state.slice_index
    for _ in range(3):
        open_gui.do(lambda: view._scroll(-40, False))
    assert state.slice_index == before + 1


def test_ctrl_wheel_zooms_about_the_pointer(open_gui: Any) -> None:
    view = open_gui.view(Plane.AXIAL)
    under = view.viewport().to_index(100, 120)
    open_gui.wheel(view, 3, Qt.KeyboardModifier.ControlModifier, at=(100, 120))
    assert open_gui.viewer.planes[Plane.AXIAL].zoom > 1.4
    assert view.viewport().to_index(100, 120) == pytest.approx(under)
    assert open_gui.viewer.planes[Plane.CORONAL].zoom == 1


def test_middle_drag_and_space_drag_pan_by_the_mouse_movement(open_gui: Any) -> None:
    view = open_gui.view(Plane.AXIAL)
    x, y = view.viewport().to_screen(10, 12)
    open_gui.drag(view, (50, 50), (80, 65), Qt.MouseButton.MiddleButton)
    assert view.viewport().to_screen(10, 12) == pytest.approx((x + 30, y + 15))
    open_gui.do(lambda: QTest.keyPress(view, Qt.Key.Key_Space))
    open_gui.drag(view, (80, 65), (50, 50))
    open_gui.do(lambda: QTest.keyRelease(view, Qt.Key.Key_Space))
    assert view.viewport().to_screen(10, 12) == pytest.approx((x, y))
    assert not open_gui.viewer.space_held


def test_space_is_let_go_when_another_window_comes_to_the_front(open_gui: Any) -> None:
    view, viewer = open_gui.view(Plane.AXIAL), open_gui.viewer
    open_gui.do(lambda: QTest.keyPress(view, Qt.Key.Key_Space))
    assert viewer.space_held
    away = QEvent(QEvent.Type.WindowDeactivate)
    open_gui.do(lambda: QApplication.sendEvent(open_gui.window, away))
    assert not viewer.space_held


def test_right_drag_up_zooms_in_and_reset_fits_again(open_gui: Any) -> None:
    view, state = open_gui.view(Plane.AXIAL), open_gui.viewer.planes[Plane.AXIAL]
    open_gui.drag(view, (100, 150), (100, 50), Qt.MouseButton.RightButton)
    assert state.zoom == pytest.approx(1.6)
    open_gui.key(Qt.Key.Key_R)
    assert state.zoom == 1
    assert state.centre is None


def test_window_drag_widens_to_the_right_and_darkens_downwards(open_gui: Any) -> None:
    view, before = open_gui.view(Plane.AXIAL), open_gui.viewer.window
    open_gui.key(Qt.Key.Key_W)
    assert open_gui.viewer.tool is Tool.WINDOW
    open_gui.drag(view, (50, 50), (110, 50))
    assert open_gui.viewer.window.width > before.width
    assert open_gui.viewer.window.centre == before.centre
    open_gui.key(Qt.Key.Key_C)
    shift = Qt.KeyboardModifier.ShiftModifier
    open_gui.drag(view, (50, 50), (50, 110), modifiers=shift)
    assert open_gui.viewer.window.centre > before.centre


def test_number_keys_choose_the_presets_in_their_order(open_gui: Any) -> None:
    for key, name in enumerate(PRESETS[:9], start=1):
        open_gui.do(lambda key=key: QTest.keyClicks(open_gui.view(Plane.AXIAL), str(key)))
        assert open_gui.viewer.preset == name
        if name in WINDOWS:
            assert open_gui.viewer.window == WINDOWS[name]
    open_gui.do(lambda: open_gui.viewer.use_preset("full range"))
    assert (open_gui.viewer.window.low, open_gui.viewer.window.high) == (-1000, 900)
    assert PRESETS[6] == "full range"


def test_keys_scroll_the_plane_under_the_mouse(open_gui: Any) -> None:
    coronal = open_gui.viewer.planes[Plane.CORONAL]
    open_gui.do(lambda: open_gui.viewer.activate(Plane.CORONAL))
    before = coronal.slice_index
    for key, expected in (
        (Qt.Key.Key_Down, before + 1),
        (Qt.Key.Key_Up, before),
        (Qt.Key.Key_PageDown, before + 10),
        (Qt.Key.Key_Home, 0),
        (Qt.Key.Key_End, SHAPE[1] - 1),
    ):
        open_gui.key(key)
        assert coronal.slice_index == expected


def test_keys_typed_into_the_question_stay_there(open_gui: Any) -> None:
    line = open_gui.window.assistant.ask_box.line
    window = open_gui.viewer.window
    open_gui.do(line.setFocus)
    open_gui.do(lambda: QTest.keyClicks(line, "2 rixc?"))
    assert line.text() == "2 rixc?"
    assert open_gui.viewer.window == window
    assert not open_gui.viewer.inverted


def test_double_click_fills_the_centre_with_one_plane_and_back(open_gui: Any) -> None:
    view = open_gui.view(Plane.CORONAL)
    left = Qt.MouseButton.LeftButton
    open_gui.do(lambda: QTest.mouseDClick(view, left))
    assert not open_gui.view(Plane.AXIAL).isVisible()
    assert view.width() > open_gui.window.centre.width() * 0.7
    open_gui.do(lambda: QTest.mouseDClick(view, left))
    assert open_gui.view(Plane.AXIAL).isVisible()


def test_corner_text_is_legible_on_white_and_on_black(open_gui: Any) -> None:
    view = open_gui.view(Plane.AXIAL)
    for inverted in (False, True):
        if inverted:
            open_gui.key(Qt.Key.Key_I)
        corner = open_gui.pixels(view)[-40:, :110].astype(int)
        text = (corner >= 225).all(axis=2)
        rim = (corner <= 70).all(axis=2)
        assert text.any()
        near = np.zeros_like(rim)
        for axis in (0, 1):
            for step in (-1, 1):
                near |= np.roll(rim, step, axis)
        # Where the image is white too, the letters stand out by the dark rim next to them.
        assert (near & text).any()


def test_scale_bar_is_as_long_as_it_says(open_gui: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    original = markings.draw_text
    monkeypatch.setattr(
        markings,
        "draw_text",
        lambda p, r, f, text, *a: (drawn.append(text), original(p, r, f, text, *a)),
    )
    view = open_gui.view(Plane.AXIAL)
    open_gui.do(open_gui.viewer.toggle_crosshair)
    open_gui.do(open_gui.viewer.toggle_corner_text)
    pixels = open_gui.pixels(view)
    says_mm = next(10 * int(t.split()[0]) for t in drawn if t.endswith("cm"))
    # The image is air, black, along the lower edge, where the bar lies.
    bar = np.flatnonzero(pixels[-12:-5, 3:-3].max(axis=(0, 2)) > 150)  # within the frame
    length = bar.max() - bar.min()
    assert length == pytest.approx(says_mm * view.viewport().pixels_per_mm, abs=3)


def test_an_oblique_volume_says_so_and_shows_its_true_sides(gui: Any, tmp_path: Path) -> None:
    straight = phantom()
    angle = np.radians(20)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    geometry = Geometry(straight.shape, turn @ straight.geometry.affine_lps)
    tilted = Volume(straight.voxels, geometry, straight.info)
    gui.open(write_nifti(tilted, tmp_path / "oblique.nii"))
    view = gui.view(Plane.AXIAL)
    texts = view.corner_texts(view.state)
    assert any("oblique 20.0°" in text for text in texts.values())
    assert view.state.letters[:2] == ("RA", "LP")


def test_real_ct_shows_the_hu_of_the_file(gui: Any, shared: Path) -> None:
    path = shared / "ct" / "abdomen_3mm.nii.gz"
    assert gui.open(path)
    volume = load_volume(path)
    gui.do(lambda: gui.viewer.move_crosshair(volume.geometry.to_patient_mm((30, 40, 50))))
    view = gui.view(Plane.SAGITTAL)
    x, y = view.viewport().to_screen(*view.state.crosshair)
    gui.drag(view, (x, y), (x, y), Qt.MouseButton.NoButton)
    assert gui.viewer.readout.value == volume.voxels[30, 40, 50]
    assert gui.viewer.readout.patient_mm == pytest.approx(
        tuple(volume.geometry.to_patient_mm((30, 40, 50)))
    )
