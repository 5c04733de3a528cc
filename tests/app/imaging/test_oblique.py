"""Turned planes: right angles, true places, true values, whatever the affine; with the mouse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtTest import QTest

from app.imaging.oblique import axes_of, describe
from app.imaging.raster import Raster
from app.imaging.slab import Slab
from app.viewmodels.images.viewer import Viewer
from med2e3.geometry import Geometry, Plane
from med2e3.io import write_nifti
from med2e3.volume import SeriesInfo, Volume, Window
from tests.app.imaging.test_sampler import AFFINES, CT, expected
from tests.app.imaging.test_sampler import turned as about

SHAPE = (40, 60, 56)


def ball(name: str, radius_mm: float = 9.0) -> tuple[Volume, np.ndarray]:
    """A ball whose soft edge is at 500 HU, in finer slices, and its centre in LPS mm."""
    matrix = AFFINES[name].copy()
    matrix[:3, 0] *= 0.4
    geometry = Geometry(SHAPE, matrix)
    centre = geometry.to_patient_mm((22, 27, 31))
    index = np.moveaxis(np.indices(SHAPE), 0, -1)
    distance = np.linalg.norm(geometry.to_patient_mm(index) - centre, axis=-1)
    voxels = np.clip(500 + (radius_mm - distance) * 60, 0, 1000)
    return Volume(voxels.astype(np.float32), geometry, CT), centre


def ramp(name: str) -> tuple[Volume, np.ndarray]:
    """A value that grows linearly with the place: between voxels it is known exactly."""
    geometry = Geometry(SHAPE, AFFINES[name])
    slope = np.array([1.25, -0.75, 2.0])
    index = np.moveaxis(np.indices(SHAPE), 0, -1)
    values = (geometry.to_patient_mm(index) - geometry.centre_mm) @ slope
    return Volume(values.astype(np.float32), geometry, CT), slope


def viewer_of(volume: Volume, *turns: tuple[Plane, float]) -> Viewer:
    viewer = Viewer()
    viewer.show(volume)
    for plane, degrees in turns:
        viewer.turn(plane, np.radians(degrees))
    viewer.settle()
    return viewer


DOUBLE = ((Plane.AXIAL, 23.0), (Plane.SAGITTAL, -17.0), (Plane.CORONAL, 31.0))


@pytest.mark.parametrize("name", AFFINES)
def test_planes_stay_at_right_angles_through_any_turns(name: str) -> None:
    viewer = viewer_of(ball(name)[0], *DOUBLE * 20)
    normals = np.stack([axes_of(s)[:, 0] for s in viewer.shown.values()])
    assert np.abs(normals @ normals.T - np.eye(3)).max() < 1e-12
    for state in viewer.shown.values():
        directions = state.geometry.directions
        assert np.abs(directions.T @ directions - np.eye(3)).max() < 1e-9


@pytest.mark.parametrize("name", AFFINES)
def test_all_turned_planes_go_through_the_crosshair(name: str) -> None:
    viewer = viewer_of(ball(name)[0], *DOUBLE)
    for steps in (0, 3, -5):
        viewer.scroll(Plane.CORONAL, steps)
        for state in viewer.shown.values():
            row, column = state.crosshair
            assert state.mm_at(row, column) == pytest.approx(viewer.crosshair_mm, abs=1e-6)


@pytest.mark.parametrize("name", AFFINES)
def test_the_value_and_place_of_each_pixel_are_true_on_a_double_oblique(name: str) -> None:
    volume, slope = ramp(name)
    viewer = viewer_of(volume, *DOUBLE)
    middle = volume.geometry.centre_mm
    for plane, state in viewer.shown.items():
        image = state.pixels()
        rng = np.random.default_rng(1)
        checked = 0
        for row, column in rng.integers(0, image.shape, (300, 2)):
            where = state.mm_at(row, column)
            index = volume.geometry.to_index(where)
            if ((index < 0) | (index > np.asarray(SHAPE) - 1)).any():
                continue
            checked += 1
            assert image[row, column] == pytest.approx((where - middle) @ slope, abs=2e-3)
            viewer.hover(plane, row, column)
            assert viewer.readout is not None
            assert viewer.readout.value == pytest.approx(image[row, column], abs=1e-3)
            assert viewer.readout.patient_mm == pytest.approx(tuple(where))
        assert checked > 40


@pytest.mark.parametrize("name", AFFINES)
def test_a_ball_is_a_disc_of_its_diameter_in_every_plane(name: str) -> None:
    volume, centre = ball(name)
    viewer = viewer_of(volume, *DOUBLE)
    viewer.move_crosshair(centre)
    viewer.settle()
    for state in viewer.shown.values():
        image = state.pixels()
        _, row_mm, column_mm = state.geometry.spacing_mm
        row, column = (round(v) for v in state.crosshair)
        for line, spacing in ((image[row], column_mm), (image[:, column], row_mm)):
            above = np.flatnonzero(line >= 500)
            first, last = above[0], above[-1]
            # Where the value crosses one half, between two pixels.
            start = first - (line[first] - 500) / (line[first] - line[first - 1])
            end = last + (line[last] - 500) / (line[last] - line[last + 1])
            assert (end - start) * spacing == pytest.approx(18.0, abs=0.1)


@pytest.mark.parametrize("name", AFFINES)
def test_distances_on_a_turned_plane_are_those_in_the_patient(name: str) -> None:
    viewer = viewer_of(ball(name)[0], *DOUBLE)
    for state in viewer.shown.values():
        a, b = state.mm_at(3, 5), state.mm_at(33, 45)
        _, row_mm, column_mm = state.geometry.spacing_mm
        assert np.linalg.norm(a - b) == pytest.approx(np.hypot(30 * row_mm, 40 * column_mm))


def test_a_tilted_plate_fills_the_plane_turned_onto_it() -> None:
    """The distance from a plane 12° off axial is zero all over the plane turned by 12°."""
    geometry = Geometry(SHAPE, AFFINES["straight"])
    normal = about(12, (1, 0, 0)) @ np.array([0, 0, 1.0])
    index = np.moveaxis(np.indices(SHAPE), 0, -1)
    off = (geometry.to_patient_mm(index) - geometry.centre_mm) @ normal
    volume = Volume((off * 10).astype(np.float32), geometry, CT)
    best = {}
    for degrees in (-12.0, -6.0, 0.0, 6.0, 12.0):
        viewer = viewer_of(volume, (Plane.SAGITTAL, degrees))
        state = viewer.shown[Plane.AXIAL]
        row, column = (round(v) for v in state.crosshair)
        near = state.pixels()[row - 15 : row + 16, column - 15 : column + 16]
        best[degrees] = float(np.abs(near).max())
    (exact,) = [d for d, value in best.items() if value < 0.05]
    assert abs(exact) == 12.0
    assert min(v for d, v in best.items() if d != exact) > 8


def test_a_turn_leaves_its_own_view_and_the_places_on_the_screen() -> None:
    viewer = viewer_of(ball("straight")[0])
    viewer.move_crosshair(viewer.crosshair_mm + np.array([4.0, -6.0, 9.0]))
    size = (400.0, 300.0)
    before = {p: s.viewport(*size).to_screen(*s.crosshair) for p, s in viewer.shown.items()}
    scale = {p: s.viewport(*size).pixels_per_mm for p, s in viewer.shown.items()}
    own = viewer.shown[Plane.AXIAL]
    viewer.turn(Plane.AXIAL, 0.4)
    viewer.turn(Plane.AXIAL, 0.2)
    assert viewer.shown[Plane.AXIAL] is own
    for plane, state in viewer.shown.items():
        assert state.viewport(*size).to_screen(*state.crosshair) == pytest.approx(before[plane])
        assert state.viewport(*size).pixels_per_mm == pytest.approx(scale[plane])


def test_angles_are_those_that_were_turned() -> None:
    viewer = viewer_of(ball("straight")[0], (Plane.AXIAL, 20.0))
    assert viewer.shown[Plane.AXIAL].notes == ()
    assert viewer.shown[Plane.CORONAL].notes == ("oblique 20.0°", "to sagittal 20.0°")
    viewer.turn(Plane.SAGITTAL, np.radians(10.0))
    whole = viewer.shown[Plane.AXIAL].notes[0]
    assert whole.startswith("double oblique") or whole.startswith("oblique")
    normal = axes_of(viewer.shown[Plane.AXIAL])[:, 0]
    assert float(whole.split()[-1][:-1]) == pytest.approx(
        np.degrees(np.arccos(abs(normal[2]))), abs=0.051
    )


def test_the_two_angles_give_the_normal_back() -> None:
    normal = about(14, (1, 0.3, 0)) @ about(9, (0, 1, 0)) @ np.array([0, 0, -1.0])
    title, *parts = describe(Plane.AXIAL, normal)
    assert [p.split()[1] for p in parts] == ["coronal", "sagittal"]
    first, second = (float(p.rsplit(" ", 1)[1].rstrip("°")) for p in parts)
    a, b = np.radians([first, second])
    # Turned first towards coronal, then out of that plane towards sagittal.
    back = np.array([np.sin(b), np.sin(a) * np.cos(b), np.cos(a) * np.cos(b)])
    assert np.abs(back) == pytest.approx(np.abs(normal), abs=2e-3)
    assert title.startswith("double oblique")


def test_letters_of_a_turned_plane_are_combined() -> None:
    viewer = viewer_of(ball("straight")[0], (Plane.AXIAL, 25.0))
    left, right, top, bottom = viewer.shown[Plane.CORONAL].letters
    assert set(left) == set("RA") or set(left) == set("RP")
    assert set(right) == {{"R": "L", "A": "P", "P": "A"}[c] for c in left}
    assert left[0] == "R"
    assert (top, bottom) == ("S", "I")


def test_scrolling_a_turned_plane_moves_along_its_normal_and_stops_at_the_ends() -> None:
    viewer = viewer_of(ball("oblique")[0], *DOUBLE)
    state = viewer.shown[Plane.AXIAL]
    normal, before = axes_of(state)[:, 0], viewer.crosshair_mm
    viewer.scroll(Plane.AXIAL, 2)
    moved = viewer.crosshair_mm - before
    assert moved == pytest.approx(normal * 2 * state.geometry.spacing_mm[0])
    viewer.go_to_shown(Plane.AXIAL, float("inf"))
    assert state.slice_index == state.count - 1
    viewer.go_to_shown(Plane.AXIAL, 0)
    assert state.slice_index == 0


def test_small_moves_across_a_turned_plane_add_up_to_its_slices() -> None:
    """Each move of a drag is a part of a slice: number and ends must not go along with them."""
    viewer = viewer_of(ball("oblique")[0], *DOUBLE)
    state = viewer.shown[Plane.AXIAL]
    step, first = state.geometry.affine_lps[:3, 0], state.slice_index
    reached = []
    for moves in (0, 20):
        for _ in range(moves):
            viewer.move_crosshair(viewer.crosshair_mm + 0.4 * step)
        assert state.slice_index == pytest.approx(first + 0.4 * moves, abs=0.5)
        assert state.geometry.to_index(viewer.crosshair_mm)[0] == pytest.approx(state.slice_index)
        for end in (0, state.count - 1):
            viewer.go_to_shown(Plane.AXIAL, end)
            assert state.slice_index == end
            reached.append(state.mm_at(0, 0) @ step)
        viewer.go_to_shown(Plane.AXIAL, first)
    assert reached[2:] == pytest.approx(reached[:2])


def test_whole_steps_from_between_two_slices_count_by_one() -> None:
    viewer = viewer_of(ball("oblique")[0], *DOUBLE)
    state = viewer.shown[Plane.AXIAL]
    viewer.move_crosshair(viewer.crosshair_mm + 0.5 * state.geometry.affine_lps[:3, 0])
    numbers = [state.slice_index]
    for _ in range(6):
        viewer.scroll(Plane.AXIAL, 1)
        numbers.append(state.slice_index)
    assert np.diff(numbers).tolist() == [1] * 6


def test_a_picture_is_coarse_while_it_moves_and_exact_at_rest() -> None:
    rng = np.random.default_rng(0)
    shape = (60, 420, 420)
    geometry = Geometry.from_spacing(shape, (3.0, 0.8, 0.8))
    volume = Volume(rng.integers(-100, 100, shape, dtype=np.int16), geometry, CT)
    viewer = Viewer()
    viewer.show(volume)
    viewer.turn(Plane.SAGITTAL, 0.3)
    state = viewer.shown[Plane.AXIAL]
    assert viewer.is_coarse
    coarse = state.drawn(state.viewport(400, 300)).values
    assert coarse.size < 90_000
    viewer.settle()
    assert not viewer.is_coarse
    grid = state.geometry
    step = grid.affine_lps[:3, :3]
    origin = grid.to_patient_mm((state.slice_index, 0, 0))
    raster = Raster(origin, step[:, 1], step[:, 2], grid.shape[1:])
    values, inside = expected(volume, raster)
    assert np.abs(state.pixels()[inside[0]] - values[inside]).max() <= 0.502


# --- the real window ---------------------------------------------------------------------------


def handle(gui: Any, plane: Plane, other: Plane, k: int = 0) -> tuple[float, float]:
    """Where the line of `other` can be taken in the view of `plane`."""
    point = [p for q, p in gui.view(plane).axes.handles() if q is other][k]
    return point.x(), point.y()


def swung(
    gui: Any, plane: Plane, start: tuple[float, float], degrees: float
) -> tuple[float, float]:
    """The point on the screen that `start` reaches on a circle about the crosshair."""
    view = gui.view(plane)
    x, y = view.viewport().to_screen(*view.state.crosshair)
    a = np.radians(degrees)
    dx, dy = start[0] - x, start[1] - y
    return x + dx * np.cos(a) - dy * np.sin(a), y + dx * np.sin(a) + dy * np.cos(a)


def test_dragging_a_lines_end_turns_the_other_planes(open_gui: Any) -> None:
    start = handle(open_gui, Plane.AXIAL, Plane.CORONAL)
    open_gui.drag(open_gui.view(Plane.AXIAL), start, swung(open_gui, Plane.AXIAL, start, 15))
    shown = open_gui.viewer.shown
    assert shown[Plane.AXIAL] is open_gui.viewer.planes[Plane.AXIAL]
    normal = axes_of(shown[Plane.CORONAL])[:, 0]
    # The mouse is given in whole pixels here.
    assert np.degrees(np.arccos(normal[1])) == pytest.approx(15, abs=0.5)
    view = open_gui.view(Plane.CORONAL)
    title = view.corner_texts(view.state)[Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop]
    assert "oblique 1" in title
    open_gui.until(lambda: not open_gui.viewer.is_coarse)
    line = open_gui.view(Plane.AXIAL).axes.lines()[Plane.CORONAL]
    assert abs(np.degrees(np.arctan2(line.dy(), line.dx()))) % 180 == pytest.approx(15, abs=0.6)


def test_shift_and_a_second_view_give_a_double_oblique_and_o_straightens(open_gui: Any) -> None:
    start = handle(open_gui, Plane.AXIAL, Plane.CORONAL)
    open_gui.drag(open_gui.view(Plane.AXIAL), start, swung(open_gui, Plane.AXIAL, start, 12))
    start = handle(open_gui, Plane.AXIAL, Plane.SAGITTAL)
    shift = Qt.KeyboardModifier.ShiftModifier
    window = open_gui.viewer.window
    end = (start[0] + 25, start[1] + 3)
    open_gui.drag(open_gui.view(Plane.AXIAL), start, end, modifiers=shift)
    assert open_gui.viewer.window == window
    normals = [axes_of(s)[:, 0] for s in open_gui.viewer.shown.values()]
    assert any((np.abs(n) > 0.03).all() for n in normals)
    assert np.abs(np.array(normals) @ np.array(normals).T - np.eye(3)).max() < 1e-9
    open_gui.key(Qt.Key.Key_O)
    assert not open_gui.viewer.is_turned
    assert open_gui.viewer.shown == open_gui.viewer.planes


def test_a_turned_view_paints_the_value_at_that_place(gui: Any, tmp_path: Path) -> None:
    volume, centre = ball("straight")
    whole = Volume(volume.voxels.astype(np.int16), volume.geometry, SeriesInfo(modality="CT"))
    gui.open(write_nifti(whole, tmp_path / "ball.nii"))
    gui.do(lambda: gui.viewer.move_crosshair(centre))
    gui.do(lambda: gui.viewer.turn(Plane.AXIAL, 0.5))
    gui.until(lambda: not gui.viewer.is_coarse)
    gui.do(gui.viewer.toggle_crosshair)
    gui.do(lambda: gui.viewer.set_window(Window(500, 20)))
    view = gui.view(Plane.CORONAL)
    pixels = gui.pixels(view)
    scale = view.viewport().pixels_per_mm
    x, y = view.viewport().to_screen(*view.state.crosshair)
    for off_mm, bright in ((0, True), (7.5, True), (10.5, False)):
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            at = pixels[round(y + dy * off_mm * scale), round(x + dx * off_mm * scale)]
            assert bool(at[0] >= 240) is bright, (off_mm, dx, dy, at)


def test_slices_that_the_model_weighted_are_reached_from_turned_planes(open_gui: Any) -> None:
    open_gui.do(lambda: open_gui.viewer.turn(Plane.SAGITTAL, 0.3))
    open_gui.do(lambda: open_gui.viewer.go_to_slice(Plane.AXIAL, 5))
    assert open_gui.viewer.planes[Plane.AXIAL].slice_index == 5


def test_reference_lines_show_where_planes_cross_while_the_crosshair_is_hidden(
    open_gui: Any,
) -> None:
    view = open_gui.view(Plane.CORONAL)
    open_gui.key(Qt.Key.Key_X)
    plain = open_gui.pixels(view)
    open_gui.do(lambda: QTest.keyClick(view, Qt.Key.Key_X, Qt.KeyboardModifier.ShiftModifier))
    lined = open_gui.pixels(view)
    changed = (plain != lined).any(axis=2)
    x, y = view.viewport().to_screen(*view.state.crosshair)
    assert changed[:, round(x) - 2 : round(x) + 3].any(axis=1).mean() > 0.3
    assert changed[round(y) - 2 : round(y) + 3].any(axis=0).mean() > 0.5
    changed[:, round(x) - 3 : round(x) + 4] = False
    changed[round(y) - 3 : round(y) + 4] = False
    assert not changed.any()


def test_the_crosshair_tool_away_from_the_ends_still_moves_the_crosshair(open_gui: Any) -> None:
    view = open_gui.view(Plane.AXIAL)
    assert view.axes.handles()
    x, y = view.viewport().to_screen(12, 20)
    assert all((QPointF(x, y) - p).manhattanLength() > 20 for _, p in view.axes.handles())
    open_gui.drag(view, (x, y), (x, y))
    assert not open_gui.viewer.is_turned
    assert open_gui.viewer.planes[Plane.CORONAL].slice_index == 12


def test_at_rest_the_active_plane_becomes_exact_first_and_then_the_others() -> None:
    shape = (60, 420, 420)
    volume = Volume(np.zeros(shape, np.int16), Geometry.from_spacing(shape, (3.0, 0.8, 0.8)), CT)
    viewer = Viewer()
    viewer.show(volume)
    viewer.set_slab(Slab(20.0))
    viewer.turn(Plane.SAGITTAL, 0.3)
    viewer.activate(Plane.CORONAL)
    coarse = []
    for _ in range(2):
        state = viewer.next_coarse()
        state.keep_pixels(state.pixels_key, state.pixels())
        coarse.append([p for p in (Plane.AXIAL, Plane.CORONAL) if viewer.shown[p].is_coarse])
    assert coarse == [[Plane.AXIAL], []]
    assert not viewer.is_coarse
