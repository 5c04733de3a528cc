"""Measuring in the real window: what the mouse draws, moves, and takes back."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QRectF, Qt
from PySide6.QtTest import QTest

from app.imaging.slab import Mode, Slab
from app.rendering import markings
from app.viewmodels.annotation import kinds
from app.views.annotation.annotation_layer import AnnotationLayer, TextEditor
from med2e3.geometry import Geometry, Plane
from med2e3.io import write_nifti
from med2e3.volume import Volume
from tests.app.annotating import Pen
from tests.app.bodies import SPACING_MM, phantom


@pytest.fixture
def pen(gui: Any, nifti: Path) -> Pen:
    assert gui.open(nifti)
    return Pen(gui)


#: Spacing between rows and columns of each plane's slices.
IN_PLANE = {
    Plane.AXIAL: (SPACING_MM[1], SPACING_MM[2]),
    Plane.CORONAL: (SPACING_MM[0], SPACING_MM[2]),
    Plane.SAGITTAL: (SPACING_MM[0], SPACING_MM[1]),
}


@pytest.mark.parametrize("plane", list(Plane))
def test_a_dragged_length_is_that_of_the_patient(gui: Any, nifti: Path, plane: Plane) -> None:
    assert gui.open(nifti)
    pen = Pen(gui, plane)
    pen.tool("length")
    pen.drag((4, 8), (16, 30))
    row_mm, column_mm = IN_PLANE[plane]
    expected = math.hypot(12 * row_mm, 22 * column_mm)
    assert pen.numbers()["length"] == pytest.approx(expected, abs=0.01)
    assert pen.lines() == (f"{expected:.1f} mm",)
    np.testing.assert_allclose(pen.places()[:, 0], pen.view.state.slice_index, atol=1e-9)


def test_a_length_can_be_drawn_with_two_clicks(pen: Pen) -> None:
    pen.tool("length")
    pen.click((4, 8))
    assert not pen.drawn
    pen.hover((10, 20))
    assert pen.book.reading(pen.book.live).lines == (f"{math.hypot(12, 12):.1f} mm",)
    pen.click((4, 38))
    assert pen.numbers()["length"] == pytest.approx(30, abs=0.01)


@pytest.mark.parametrize("by_drag", [False, True])
def test_an_angle_is_measured_in_mm_and_not_in_pixels(pen: Pen, by_drag: bool) -> None:
    pen.tool("angle")
    if by_drag:
        pen.drag((10, 40), (20, 40))
    else:
        pen.click((10, 40))
        pen.click((20, 40))
    pen.click((10, 20))  # 20 mm up, 20 mm left
    assert pen.numbers()["angle"] == pytest.approx(45, abs=0.05)


def test_a_cobb_angle_is_two_lines(pen: Pen) -> None:
    pen.tool("cobb")
    pen.drag((5, 10), (5, 40))
    pen.drag((30, 40), (22, 13))  # 27 mm along, 16 mm up, drawn from its other end
    assert pen.numbers()["Cobb angle"] == pytest.approx(math.degrees(math.atan2(16, 27)), abs=0.05)
    assert len(pen.last.points_mm) == 4


def test_two_diameters_stay_perpendicular_when_an_end_is_moved(pen: Pen) -> None:
    pen.tool("bidirectional")
    pen.drag((10, 10), (10, 50))
    assert pen.numbers() == pytest.approx({"long diameter": 40}, abs=0.01)  # the other is proposed
    for handle, to in ((1, (18, 48)), (2, (30, 20)), (3, (4, 26)), (0, (14, 8))):
        start = pen.view.state.geometry.to_index(np.asarray(pen.last.points_mm[handle]))[1:]
        pen.drag(tuple(start), to)
        a, b, c, d = np.asarray(pen.last.points_mm)
        assert (b - a) @ (d - c) == pytest.approx(0, abs=1e-9)
        if handle < 2:
            np.testing.assert_allclose(pen.places()[handle][1:], to, atol=0.01)
    assert set(pen.numbers()) == {"long diameter", "short diameter"}
    assert pen.gui.workspace.steps.undo_name == "reshape two diameters"


@pytest.mark.parametrize("kind", ["rectangle", "ellipse", "freehand"])
@pytest.mark.parametrize("plane", list(Plane))
def test_a_region_reads_the_pixels_whose_centres_it_holds(
    gui: Any, nifti: Path, kind: str, plane: Plane
) -> None:
    assert gui.open(nifti)
    pen = Pen(gui, plane)
    seen = gui.viewer.volume.in_plane(plane).voxels[pen.view.state.slice_index].astype(float)
    rows, columns = np.indices(seen.shape)
    if kind == "freehand":
        pen.tool(kind)
        corners = [(3.5, 4.5), (3.5, 20.5), (15.5, 20.5), (15.5, 4.5)]
        path = [*corners, corners[0]]
        pen.trace(path)
        inside = (rows > 3.5) & (rows < 15.5) & (columns > 4.5) & (columns < 20.5)
    else:
        pen.tool(kind)
        pen.drag((3.4, 4.4), (15.6, 20.6))
        r, c = (rows - 9.5) / 6.1, (columns - 12.5) / 8.1
        ellipse = kind == "ellipse"
        inside = r**2 + c**2 <= 1 if ellipse else (abs(r) <= 1) & (abs(c) <= 1)
    picked, found = seen[inside], pen.numbers()
    assert found["pixels"] == picked.size > 100
    assert found["mean"] == pytest.approx(picked.mean())
    assert found["SD"] == pytest.approx(picked.std())
    assert (found["min"], found["max"]) == (picked.min(), picked.max())
    row_mm, column_mm = IN_PLANE[plane]
    height, width = (12, 16) if kind == "freehand" else (12.2, 16.2)
    area = height * row_mm * width * column_mm * (math.pi / 4 if kind == "ellipse" else 1)
    assert found["area"] == pytest.approx(area, rel=0.002)


def test_a_straight_freehand_side_keeps_its_ends_only(pen: Pen) -> None:
    pen.tool("freehand")
    pen.trace([(6, 6), (6, 40), (30, 40), (30, 6), (6, 6)])
    assert len(pen.last.points_mm) in (4, 5)


def test_the_value_at_a_point_is_that_of_its_voxel(pen: Pen) -> None:
    pen.gui.do(lambda: pen.gui.viewer.go_to_slice(Plane.AXIAL, 10))
    pen.tool("probe")
    pen.click((20.3, 29.8))
    assert pen.lines() == ("123 HU",)
    pen.click((2, 2))
    assert pen.lines() == ("−1000 HU",)


def test_an_arrow_carries_the_text_that_is_typed_at_it(pen: Pen) -> None:
    pen.gui.do(lambda: QTest.keyClick(pen.view, Qt.Key.Key_A, Qt.KeyboardModifier.ShiftModifier))
    pen.drag((10, 10), (20, 30))
    pen.type("Look here, twice", Qt.Key.Key_Return)
    assert pen.last.kind is kinds.ARROW
    assert pen.lines() == ("Look here, twice",)
    np.testing.assert_allclose(pen.places()[0, 1:], (10, 10), atol=0.01)
    # Typed letters were no commands.
    assert pen.gui.viewer.tool == kinds.ARROW.name
    assert pen.gui.workspace.steps.undo_name == "draw arrow"


def test_a_note_without_text_is_nothing_and_esc_leaves_it(pen: Pen) -> None:
    pen.tool("note")
    pen.click((10, 10))
    pen.type("no", Qt.Key.Key_Escape)
    assert not pen.drawn
    pen.click((10, 10))
    pen.type("", Qt.Key.Key_Return)
    assert not pen.drawn
    pen.click((10, 10))
    pen.type("Cyst?", Qt.Key.Key_Return)
    assert pen.lines() == ("Cyst?",)


def test_a_text_being_typed_does_not_stay_over_another_series(pen: Pen, tmp_path: Path) -> None:
    layer = pen.view.findChild(AnnotationLayer)
    pen.tool("note")
    pen.click((10, 20))
    assert layer.editor is not None
    assert pen.gui.open(write_nifti(phantom("Other"), tmp_path / "other.nii"))
    pen = Pen(pen.gui)
    assert layer.editor is None
    assert not pen.view.findChildren(TextEditor)
    assert not pen.drawn


def test_a_double_click_on_a_note_changes_its_text(pen: Pen) -> None:
    pen.tool("note")
    pen.click((10, 10))
    pen.type("Cyst?", Qt.Key.Key_Return)
    x, y = pen.screen((10, 10))
    spot = QPoint(round(x), round(y))
    pen.gui.do(lambda: QTest.mouseDClick(pen.view, Qt.MouseButton.LeftButton, pos=spot))
    pen.type("Simple cyst", Qt.Key.Key_Return)
    assert pen.lines() == ("Simple cyst",)
    assert len(pen.drawn) == 1
    assert pen.gui.workspace.steps.undo_name == "edit note"
    assert pen.gui.viewer.maximised is None


def test_esc_gives_up_what_is_being_drawn_and_then_the_selection(pen: Pen) -> None:
    pen.tool("angle")
    pen.click((10, 10))
    pen.click((20, 20))
    assert pen.book.live is not None
    pen.gui.key(Qt.Key.Key_Escape)
    assert pen.book.live is None
    assert not pen.drawn
    pen.tool("length")
    pen.drag((4, 8), (4, 38))
    assert pen.book.selected == pen.last.uid
    pen.gui.key(Qt.Key.Key_Escape)
    assert pen.book.selected is None
    assert len(pen.drawn) == 1


def test_a_click_without_a_second_one_leaves_nothing_when_the_tool_changes(pen: Pen) -> None:
    pen.tool("length")
    pen.click((4, 8))
    pen.tool("crosshair")
    assert pen.book.live is None
    assert not pen.drawn


def test_a_length_is_moved_by_its_line_and_reshaped_by_its_end(pen: Pen) -> None:
    pen.tool("length")
    pen.drag((10, 10), (10, 40))
    pen.tool("crosshair")
    before = pen.gui.viewer.crosshair_mm.copy()
    pen.drag((10, 25), (16, 29))
    np.testing.assert_allclose(pen.places()[:, 1:], [(16, 14), (16, 44)], atol=0.01)
    assert pen.gui.workspace.steps.undo_name == "move length"
    pen.drag((16, 44), (16, 30))
    np.testing.assert_allclose(pen.places()[:, 1:], [(16, 14), (16, 30)], atol=0.01)
    assert pen.lines() == ("16.0 mm",)
    assert pen.gui.workspace.steps.undo_name == "reshape length"
    np.testing.assert_array_equal(pen.gui.viewer.crosshair_mm, before)
    pen.drag((30, 30), (32, 31))  # beside it, the crosshair tool does what it does
    assert not np.array_equal(pen.gui.viewer.crosshair_mm, before)


def test_a_click_on_a_measurement_selects_it_and_is_no_step(pen: Pen) -> None:
    pen.tool("length")
    pen.drag((10, 10), (10, 40))
    pen.tool("crosshair")
    pen.gui.key(Qt.Key.Key_Escape)
    pen.click((10, 20))
    assert pen.book.selected == pen.last.uid
    assert pen.gui.workspace.steps.undo_name == "draw length"


def test_a_corner_of_a_box_moves_against_the_opposite_one(pen: Pen) -> None:
    pen.tool("rectangle")
    pen.drag((10, 10), (20, 30))
    pen.drag((10, 30), (6, 40))  # its upper right corner
    places = pen.places()[:, 1:]
    np.testing.assert_allclose(sorted(map(tuple, places)), [(6, 40), (20, 10)], atol=0.01)


def test_delete_undo_and_redo_with_the_keys(pen: Pen) -> None:
    def control(key: Qt.Key, *, shift: bool = False) -> None:
        held = Qt.KeyboardModifier.ControlModifier
        held |= Qt.KeyboardModifier.ShiftModifier if shift else Qt.KeyboardModifier.NoModifier
        pen.gui.do(lambda: QTest.keyClick(pen.view, key, held))

    actions = pen.gui.window.actions_by_name
    assert not actions["undo"].isEnabled()
    pen.tool("length")
    pen.drag((10, 10), (10, 40))
    pen.tool("ellipse")
    pen.drag((20, 10), (30, 30))
    first, second = pen.drawn
    assert actions["undo"].toolTip() == "Undo (Ctrl+Z): draw ellipse"
    pen.gui.key(Qt.Key.Key_Delete)
    assert pen.drawn == (first,)
    control(Qt.Key.Key_Z)
    assert pen.drawn == (first, second)
    control(Qt.Key.Key_Z)
    control(Qt.Key.Key_Z)
    assert pen.drawn == ()
    assert not actions["undo"].isEnabled()
    control(Qt.Key.Key_Z, shift=True)
    assert pen.drawn == (first,)
    assert actions["redo"].toolTip() == "Redo (Ctrl+Shift+Z): draw ellipse"
    control(Qt.Key.Key_Y)
    assert pen.drawn == (first, second)
    pen.tool("length")
    control(Qt.Key.Key_Z)
    pen.drag((5, 10), (5, 40))  # another way from here: the ellipse cannot come back
    assert not actions["redo"].isEnabled()


def test_nothing_is_left_of_a_drag_of_no_length(pen: Pen) -> None:
    pen.tool("ellipse")
    pen.drag((10, 10), (10, 30))  # no height
    assert not pen.drawn
    pen.tool("freehand")
    pen.click((10, 10))
    assert not pen.drawn


def test_what_is_drawn_stays_on_the_image(pen: Pen) -> None:
    pen.tool("length")
    pen.drag((20, 20), (20, 400))
    assert pen.places()[1, 2] == pytest.approx(55.5)
    pen.drag((-30, 20), (20, 20))  # begun beside the image: nothing
    assert len(pen.drawn) == 1


def test_the_other_buttons_and_modifiers_keep_their_meaning(pen: Pen) -> None:
    pen.tool("length")
    viewer = pen.gui.viewer
    window, zoom = viewer.window, viewer.planes[Plane.AXIAL].zoom
    pen.drag((10, 10), (20, 20), modifiers=Qt.KeyboardModifier.ShiftModifier)
    assert viewer.window != window
    pen.gui.drag(pen.view, (100, 150), (100, 50), Qt.MouseButton.RightButton)
    assert viewer.planes[Plane.AXIAL].zoom != zoom
    centre = viewer.planes[Plane.AXIAL].centre
    pen.gui.drag(pen.view, (100, 100), (140, 120), Qt.MouseButton.MiddleButton)
    assert viewer.planes[Plane.AXIAL].centre != centre
    assert not pen.drawn


def test_a_box_makes_the_window_of_what_it_holds(pen: Pen) -> None:
    pen.gui.do(lambda: pen.gui.viewer.go_to_slice(Plane.AXIAL, 3))
    pen.tool("auto_window")
    pen.drag((0.6, 0.6), (20.4, 30.4))
    seen = pen.gui.viewer.volume.in_plane(Plane.AXIAL).voxels[3, 1:21, 1:31]
    low, high = np.percentile(seen, (1, 99))
    assert (pen.gui.viewer.window.low, pen.gui.viewer.window.high) == pytest.approx((low, high))
    assert not pen.drawn
    assert pen.gui.workspace.steps.undo_name == "window"


def test_a_box_on_a_slab_makes_the_window_of_the_slab(pen: Pen) -> None:
    viewer = pen.gui.viewer
    pen.gui.do(lambda: (viewer.go_to_slice(Plane.AXIAL, 8), viewer.set_slab(Slab(30.0))))
    pen.tool("auto_window")
    pen.drag((0.6, 0.6), (20.4, 30.4))
    seen = viewer.volume.in_plane(Plane.AXIAL).voxels[5:11, 1:21, 1:31].max(axis=0)
    low, high = np.percentile(seen, (1, 99))
    assert high == 900  # the bright box, which the middle slice does not hold
    assert (viewer.window.low, viewer.window.high) == pytest.approx((low, high))


class TestWhereItIsShown:
    def layer(self, pen: Pen) -> AnnotationLayer:
        found = pen.view.findChild(AnnotationLayer)
        assert isinstance(found, AnnotationLayer)
        return found

    def strengths(self, pen: Pen) -> list[float]:
        layer = self.layer(pen)
        frame = layer.frame()
        assert frame is not None
        return [item.strength for item in layer.items(frame)]

    def test_in_full_on_its_slice_faintly_beside_it_and_no_further(self, pen: Pen) -> None:
        pen.tool("length")
        pen.drag((10, 10), (10, 40))
        here = pen.view.state.slice_index
        seen = []
        for step in (-2, -1, 0, 1, 2):
            pen.gui.do(lambda k=here + step: pen.gui.viewer.go_to_slice(Plane.AXIAL, k))
            seen.append(self.strengths(pen))
        assert seen == [[], [0.35], [1.0], [0.35], []]

    def test_in_its_own_plane_only(self, pen: Pen) -> None:
        pen.tool("length")
        pen.drag((10, 10), (10, 40))
        middle = np.mean(pen.last.points_mm, axis=0)
        pen.gui.do(lambda: pen.gui.viewer.move_crosshair(middle))
        for plane in (Plane.CORONAL, Plane.SAGITTAL):
            assert self.strengths(Pen(pen.gui, plane)) == []

    def test_a_faint_neighbour_cannot_be_taken_hold_of(self, pen: Pen) -> None:
        pen.tool("length")
        pen.drag((10, 10), (10, 40))
        pen.tool("crosshair")
        pen.gui.wheel(pen.view, 1)
        before = pen.drawn
        pen.drag((10, 25), (16, 29))
        assert pen.drawn == before

    @pytest.mark.parametrize("grey", [-1000, 3000])
    def test_lines_and_values_are_legible_on_black_and_on_white(
        self, gui: Any, tmp_path: Path, grey: int
    ) -> None:
        plain = phantom()
        flat = Volume(np.full(plain.shape, grey, np.int16), plain.geometry, plain.info)
        gui.open(write_nifti(flat, tmp_path / "flat.nii"))
        gui.do(gui.viewer.toggle_crosshair)
        pen = Pen(gui)
        before = gui.pixels(pen.view).astype(int)
        pen.tool("length")
        pen.drag((20, 10), (20, 30))
        after = gui.pixels(pen.view).astype(int)
        row = round(pen.screen((20, 20))[1])
        column = round(pen.screen((20, 20))[0])
        across = after[row - 4 : row + 5, column]
        assert np.ptp(across.sum(axis=1)) > 300  # ink against its rim, or rim against the image
        changed = (after != before).any(axis=2)
        beside = changed[row - 12 : row + 12, round(pen.screen((20, 31))[0]) :]
        assert beside.sum() > 150  # the value, right of the line

    def test_the_voxels_under_the_mouse_are_still_read(self, pen: Pen) -> None:
        pen.tool("length")
        pen.gui.do(lambda: pen.gui.viewer.go_to_slice(Plane.AXIAL, 10))
        pen.hover((20, 30))
        assert pen.gui.viewer.readout.value == 123

    def test_the_line_under_the_mouse_is_brighter(self, pen: Pen) -> None:
        pen.tool("length")
        pen.drag((10, 10), (10, 40))
        pen.tool("crosshair")
        pen.gui.key(Qt.Key.Key_Escape)
        pen.hover((30, 30))
        plain = pen.gui.pixels(pen.view).astype(int)
        pen.hover((10, 25))
        assert pen.view.cursor().shape() == Qt.CursorShape.PointingHandCursor
        lit = pen.gui.pixels(pen.view).astype(int)
        row, column = round(pen.screen((10, 25))[1]), round(pen.screen((10, 25))[0])
        at = (slice(row - 1, row + 2), slice(column - 8, column + 8))
        assert lit[at].sum() > plain[at].sum()
        pen.hover((30, 30))
        assert pen.view.cursor().shape() == Qt.CursorShape.CrossCursor


GEOMETRIES = {
    "flipped": np.diag([-1.0, -1.0, -1.0]),
    "turned": np.array([[0.0, 0.0, 1.0], [0.6, 0.8, 0.0], [-0.8, 0.6, 0.0]]),
}


@pytest.mark.parametrize("plane", list(Plane))
@pytest.mark.parametrize("turn", GEOMETRIES.values(), ids=GEOMETRIES)
def test_on_flipped_and_oblique_grids_lengths_are_true(
    gui: Any, tmp_path: Path, plane: Plane, turn: np.ndarray
) -> None:
    straight = phantom()
    affine = np.eye(4)
    affine[:3, :3] = turn @ straight.geometry.affine_lps[:3, :3]
    volume = Volume(straight.voxels, Geometry(straight.shape, affine), straight.info)
    gui.open(write_nifti(volume, tmp_path / "turned.nii"))
    pen = Pen(gui, plane)
    pen.tool("length")
    _, rows, columns = pen.view.state.geometry.shape
    end = (rows - 6, columns - 7)
    pen.drag((2, 3), end)
    grid = gui.viewer.volume.geometry.oriented(plane)
    a, b = grid.to_patient_mm([(pen.view.state.slice_index, *at) for at in ((2, 3), end)])
    assert pen.numbers()["length"] == pytest.approx(np.linalg.norm(b - a), abs=0.01)
    np.testing.assert_allclose(pen.last.points_mm, [a, b], atol=0.01)


def test_in_a_narrow_view_values_make_room_for_the_chosen_one(
    pen: Pen, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[tuple[str, QRectF]] = []
    pen.gui.do(lambda: pen.gui.window.resize(900, 600))
    boxes = ((4, 4), (4, 17), (4, 30), (17, 4), (17, 17), (17, 30))
    for row, column in boxes:
        pen.tool("ellipse")
        pen.drag((row, column), (row + 10, column + 10))
    layer = pen.view.findChild(AnnotationLayer)
    draw_text = markings.draw_text

    def listen(painter: Any, rect: QRectF, flags: Any, text: str, *ink: Any) -> None:
        said.append((text, rect))
        draw_text(painter, rect, flags, text, *ink)

    monkeypatch.setattr(markings, "draw_text", listen)
    layer.grab()
    assert len(said) == len(boxes)
    assert any(text.endswith("…") for text, _ in said)
    assert not said[0][0].endswith("…")  # the chosen one comes first, and in full
    for (_, one), (_, other) in itertools.combinations(said, 2):
        assert not one.intersects(other), said


def test_over_a_slab_a_value_says_that_it_is_of_one_slice(pen: Pen) -> None:
    pen.tool("rectangle")
    pen.drag((10, 10), (26, 30))
    layer = pen.view.findChild(AnnotationLayer)
    (item,) = layer.items(layer.frame())
    assert not any("one slice" in line for line in item.lines)
    pen.gui.do(lambda: pen.gui.viewer.set_slab(Slab(10.0, Mode.MAXIMUM)))
    (item,) = layer.items(layer.frame())
    assert item.lines[-1] == "of one slice, not of the slab"
