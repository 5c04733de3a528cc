"""Two volumes side by side: the same point of the patient, or an honest word that it is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QEnterEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from app.imaging.colour_names import ColourMap
from app.imaging.slab import Slab
from app.viewmodels.annotation.location import locate
from app.viewmodels.images.compare import NOTES, UNKNOWN, Compare, Link
from app.viewmodels.images.tools import Tool
from app.viewmodels.images.viewer import Viewer
from med2e3.geometry import Geometry, Plane
from med2e3.volume import WINDOWS, Volume, Window
from tests.app.bodies import phantom


def prior(*, frame: str = "", shift: float = 0.0, slices: int = 24) -> Volume:
    """The phantom on another grid: finer, shorter, begun elsewhere."""
    plain = phantom("Prior")
    geometry = Geometry.from_spacing(
        (slices, 40, 56), (4.0, 1.5, 1.5), origin_mm=(-25.0, -28.0, 195.0 + shift)
    )
    info = replace(plain.info, frame_of_reference_uid=frame, study_date="20240131")
    return Volume(plain.voxels[:slices].copy(), geometry, info)


def current(frame: str = "") -> Volume:
    plain = phantom("Now")
    return replace(plain, info=replace(plain.info, frame_of_reference_uid=frame))


@pytest.fixture
def linked() -> Compare:
    viewer = Viewer()
    compare = Compare(viewer)
    viewer.show(current("1.2.3"))
    compare.open(prior(frame="1.2.3"))
    return compare


def test_one_frame_of_reference_links_by_patient_mm(linked: Compare) -> None:
    assert linked.link is Link.FRAME
    point = np.array([3.0, -4.0, 160.0])
    linked.viewer.move_crosshair(point)
    assert linked.other.crosshair_mm == pytest.approx(point)
    linked.other.scroll(Plane.CORONAL, 3)
    assert linked.viewer.crosshair_mm == pytest.approx(linked.other.crosshair_mm)


def test_a_point_outside_the_other_volume_leaves_the_first_alone(linked: Compare) -> None:
    low = linked.viewer.volume.geometry.to_patient_mm((23, 20, 28))
    linked.viewer.move_crosshair(low)
    assert linked.viewer.crosshair_mm == pytest.approx(low)
    assert linked.other.crosshair_mm[2] == pytest.approx(195.0 - 23 * 4.0)


def test_where_one_series_ends_the_note_says_how_far_apart_they_are(linked: Compare) -> None:
    said: list[str] = []
    linked.note_changed.connect(lambda: said.append(linked.note))
    assert linked.note == NOTES[Link.FRAME]
    low = linked.viewer.volume.geometry.to_patient_mm((23, 20, 28))
    linked.viewer.move_crosshair(low)
    apart = abs(low[2] - linked.other.crosshair_mm[2])
    assert apart > 4.0
    assert linked.note == said[-1]
    assert f"{apart:.0f} mm apart" in linked.note
    assert linked.doubtful
    linked.viewer.move_crosshair(np.array([3.0, -4.0, 160.0]))
    assert linked.note == said[-1] == NOTES[Link.FRAME]
    assert not linked.doubtful


def test_where_one_series_ends_its_new_pixels_do_not_draw_the_other_back(linked: Compare) -> None:
    low = linked.viewer.volume.geometry.to_patient_mm((23, 20, 28))
    linked.viewer.move_crosshair(low)
    end = linked.other.crosshair_mm
    linked.other.settle()  # as when an exact picture arrives
    assert linked.viewer.crosshair_mm == pytest.approx(low)
    linked.other.scroll(Plane.AXIAL, -1)
    assert linked.viewer.crosshair_mm == pytest.approx(end + np.array([0.0, 0.0, 4.0]))


def test_zoom_pan_and_window_are_shared_in_mm(linked: Compare) -> None:
    viewer, other, size = linked.viewer, linked.other, (400.0, 300.0)
    viewport = viewer.planes[Plane.AXIAL].viewport(*size).zoomed(2.5, 120, 90).panned(20, -13)
    viewer.set_viewport(Plane.AXIAL, viewport)
    viewer.set_window(Window(-500, 1400))
    mine, theirs = (v.planes[Plane.AXIAL] for v in (viewer, other))
    assert theirs.viewport(*size).pixels_per_mm == pytest.approx(mine.viewport(*size).pixels_per_mm)
    at = mine.mm_at(*mine.viewport(*size).to_index(33, 44))
    there = theirs.mm_at(*theirs.viewport(*size).to_index(33, 44))
    assert at[:2] == pytest.approx(there[:2])
    assert other.window == Window(-500, 1400)
    other.invert()
    assert viewer.inverted
    viewer.use_colours(ColourMap.VIRIDIS)
    assert other.colours_shown is ColourMap.VIRIDIS


@pytest.mark.parametrize(("mine", "others"), [("", ""), ("1.2.3", ""), ("1.2.3", "1.2.4")])
def test_without_a_common_frame_the_link_is_by_position_and_says_so(mine: str, others: str) -> None:
    viewer = Viewer()
    compare = Compare(viewer)
    viewer.show(current(mine))
    compare.open(prior(frame=others, shift=800))
    assert compare.link is Link.POSITION
    assert "not by frame of reference" in compare.note
    share = viewer.planes[Plane.AXIAL].slice_index / viewer.planes[Plane.AXIAL].count
    theirs = compare.other.planes[Plane.AXIAL]
    assert theirs.slice_index / theirs.count == pytest.approx(share, abs=1 / 24)
    before = compare.other.crosshair_mm
    viewer.move_crosshair(viewer.crosshair_mm + np.array([2.0, -3.0, 10.0]))
    assert compare.other.crosshair_mm - before == pytest.approx([2.0, -3.0, 10.0])


def test_unlinking_aligning_by_hand_and_linking_keeps_the_alignment() -> None:
    viewer = Viewer()
    compare = Compare(viewer)
    viewer.show(current())
    compare.open(prior())
    compare.unlink()
    here = viewer.crosshair_mm
    compare.other.scroll(Plane.AXIAL, 4)
    assert viewer.crosshair_mm == pytest.approx(here)
    apart = compare.other.crosshair_mm - viewer.crosshair_mm
    compare.relink()
    viewer.scroll(Plane.AXIAL, 2)
    assert compare.other.crosshair_mm - viewer.crosshair_mm == pytest.approx(apart)


def test_the_tool_in_the_hand_is_one_for_both_even_while_they_are_not_linked(
    linked: Compare,
) -> None:
    viewer, other = linked.viewer, linked.other
    linked.unlink()
    viewer.choose_tool(Tool.PAN)
    viewer.toggle_crosshair()
    viewer.set_slab(Slab(20.0))
    assert other.tool is Tool.PAN
    assert other.crosshair_visible is viewer.crosshair_visible
    assert not other.slab.thickness_mm
    assert other.planes[Plane.AXIAL].zoom == 1.0
    viewer.hold_space(True)
    assert other.space_held


def test_another_study_ends_the_comparison(linked: Compare) -> None:
    linked.viewer.show(phantom("Another"))
    assert not linked.active
    assert linked.viewer.can_turn


@pytest.mark.parametrize("unlinked", [False, True])
def test_a_study_that_does_not_open_after_all_leaves_the_comparison(
    linked: Compare, unlinked: bool
) -> None:
    viewer, second = linked.viewer, linked.other.volume
    linked.choose_plane(Plane.CORONAL)
    if unlinked:
        linked.unlink()
        linked.other.scroll(Plane.CORONAL, 5)
        linked.other.set_window(Window(-600, 1500))
    before = (linked.link, linked.other.crosshair_mm, linked.other.window)
    viewer.preview(prior())
    assert not linked.active
    viewer.preview(phantom("Another one"))
    viewer.drop_preview()
    assert linked.other.volume is second
    assert linked.plane is Plane.CORONAL
    assert (linked.link, linked.other.window) == (before[0], before[2])
    assert linked.other.crosshair_mm == pytest.approx(before[1])
    assert not viewer.can_turn
    viewer.preview(prior())
    viewer.show(prior())
    assert not linked.active
    assert viewer.can_turn


def test_a_comparison_that_comes_back_has_the_keys_in_its_plane(linked: Compare) -> None:
    viewer = linked.viewer
    linked.choose_plane(Plane.CORONAL)
    viewer.preview(phantom("Another"))
    viewer.activate(Plane.SAGITTAL)  # the mouse, over the three planes of the preview
    viewer.drop_preview()
    assert linked.plane is Plane.CORONAL
    assert viewer.active is linked.other.active is Plane.CORONAL


def test_nothing_is_compared_with_no_study() -> None:
    compare = Compare(Viewer())
    compare.open(prior())
    assert not compare.active


# --- the real window ---------------------------------------------------------------------------


@pytest.fixture
def beside(open_gui: Any) -> Any:
    """The phantom with a prior of another frame of reference beside it."""
    open_gui.do(lambda: open_gui.workspace.compare.open(prior(frame="9.9")))
    return open_gui


def test_both_are_shown_with_their_names_and_the_note(beside: Any) -> None:
    pane = beside.window.centre.compare
    assert pane.isVisible()
    assert not beside.view(Plane.AXIAL).isVisible()
    assert pane.note.text() == f"{NOTES[Link.POSITION]}. {UNKNOWN}"
    assert pane.titles[1].text() == "2024-01-31  Prior"
    assert abs(pane.first.width() - pane.second.width()) <= 1
    assert beside.pixels(pane.second).max() > 100


def test_the_wheel_over_either_scrolls_both(beside: Any) -> None:
    pane, compare = beside.window.centre.compare, beside.workspace.compare
    both = (compare.viewer, compare.other)
    beside.do(lambda: compare.viewer.go_to_slice(Plane.AXIAL, 8))
    places = [[v.crosshair_mm[2] for v in both]]
    for view, notches in ((pane.first, -2), (pane.second, -1)):
        beside.wheel(view, notches)
        places.append([v.crosshair_mm[2] for v in both])
    first, second = -np.diff(places, axis=0)
    assert first == pytest.approx([10.0, 10.0])  # two slices of 5 mm
    assert second[0] == pytest.approx(second[1])
    assert 2.0 <= second[1] <= 6.0  # to the next slice of 4 mm from between two of them


def test_the_button_unlinks_and_links_and_the_other_one_ends_it(beside: Any) -> None:
    pane, compare = beside.window.centre.compare, beside.workspace.compare
    beside.do(pane.link.click)
    assert compare.link is Link.NONE
    assert pane.link.text() == "Link"
    before = compare.viewer.crosshair_mm
    beside.wheel(pane.second, -2)
    assert compare.viewer.crosshair_mm == pytest.approx(before)
    beside.do(pane.link.click)
    assert compare.link is Link.POSITION
    beside.do(pane.end.click)
    assert not pane.isVisible()
    assert beside.view(Plane.AXIAL).isVisible()


def test_another_plane_is_chosen_for_both(beside: Any) -> None:
    pane = beside.window.centre.compare
    beside.do(lambda: pane.planes.activated.emit(pane.planes.findData(Plane.SAGITTAL)))
    assert pane.first.plane is pane.second.plane is Plane.SAGITTAL
    assert pane.second.state.letters == ("A", "P", "S", "I")


def test_the_value_under_the_mouse_is_the_one_of_that_volume(beside: Any) -> None:
    pane, compare = beside.window.centre.compare, beside.workspace.compare
    x, y = pane.second.viewport().to_screen(20, 28)
    beside.drag(pane.second, (x, y), (x, y), Qt.MouseButton.NoButton)
    index = compare.other.planes[Plane.AXIAL].slice_index
    assert beside.viewer.readout.value == compare.other.volume.voxels[index, 20, 28]


def test_the_note_over_the_images_follows_the_crosshair(beside: Any) -> None:
    pane, compare = beside.window.centre.compare, beside.workspace.compare
    last = beside.viewer.planes[Plane.AXIAL].geometry.shape[0] - 1
    for slice_index in (0, last):
        beside.do(lambda k=slice_index: beside.viewer.go_to_slice(Plane.AXIAL, k))
        assert pane.note.text() == compare.note
    texts = []
    for slice_index in range(last + 1):
        beside.do(lambda k=slice_index: beside.viewer.go_to_slice(Plane.AXIAL, k))
        texts.append(pane.note.text())
    assert any("mm apart" in text for text in texts)
    assert f"{NOTES[Link.POSITION]}. {UNKNOWN}" in texts


def test_planes_are_not_turned_while_two_volumes_are_compared(beside: Any) -> None:
    assert beside.window.centre.compare.first.axes.handles() == []


def enter(gui: Any, widget: QWidget) -> None:
    """The mouse comes over a widget."""
    at = QPointF(5, 5)
    gui.do(lambda: QApplication.sendEvent(widget, QEnterEvent(at, at, at)))


def test_keys_act_on_the_volume_under_the_mouse(beside: Any) -> None:
    pane, compare = beside.window.centre.compare, beside.workspace.compare
    first, second = (viewer.planes[Plane.AXIAL] for viewer in (compare.viewer, compare.other))
    beside.do(compare.unlink)
    enter(beside, pane.second)
    before = first.slice_index, compare.viewer.window
    for key in (Qt.Key.Key_Home, Qt.Key.Key_Down, Qt.Key.Key_2, Qt.Key.Key_S):
        beside.key(key, pane.second)
    beside.do(beside.window.actions_by_name["invert"].trigger)
    assert second.slice_index == 1
    assert compare.other.window == WINDOWS["lung"]
    assert compare.other.inverted
    assert not beside.window.actions_by_name["invert"].isChecked()
    assert compare.other.slab.thickness_mm
    assert (first.slice_index, compare.viewer.window) == before
    beside.do(beside.window.actions_by_name["reset"].trigger)
    assert not compare.other.inverted
    assert compare.other.window != WINDOWS["lung"]
    books = beside.workspace.books
    beside.until(lambda: books.second.volume is not None)
    beside.key(Qt.Key.Key_K, pane.second)
    assert not books.first.document.key_images
    assert len(books.second.document.key_images) == 1
    beside.do(lambda: QApplication.sendEvent(pane.second, QEvent(QEvent.Type.Leave)))
    beside.key(Qt.Key.Key_End, pane.first)
    assert (first.slice_index, second.slice_index) == (first.count - 1, 1)


def test_a_measurement_of_another_plane_is_gone_to_in_that_plane(beside: Any) -> None:
    pane, book = beside.window.centre.compare, beside.workspace.annotations
    beside.until(lambda: book.volume is not None)
    beside.key(Qt.Key.Key_L, pane.first)
    beside.drag(pane.first, *[pane.first.viewport().to_screen(row, 28) for row in (10, 30)])
    compare = beside.workspace.compare
    beside.do(lambda: compare.choose_plane(Plane.SAGITTAL))
    listed = beside.window.measurements.list
    spot = listed.visualItemRect(listed.topLevelItem(0)).center()
    beside.do(lambda: QTest.mouseClick(listed.viewport(), Qt.MouseButton.LeftButton, pos=spot))
    assert compare.plane is Plane.AXIAL
    assert pane.first.state.plane is pane.second.state.plane is Plane.AXIAL
    assert pane.planes.currentText() == "Axial"


def test_a_mouse_that_crosses_a_plane_in_the_second_window_changes_nothing(beside: Any) -> None:
    pane, cine = beside.window.centre.compare, beside.workspace.cine
    compare, book = beside.workspace.compare, beside.workspace.annotations
    beside.until(lambda: book.volume is not None)
    beside.do(lambda: beside.workspace.layouts.detach(Plane.CORONAL.value))
    beside.do(cine.toggle)
    enter(beside, beside.view(Plane.CORONAL))
    assert beside.viewer.active is Plane.CORONAL
    assert compare.plane is pane.first.state.plane is Plane.AXIAL
    assert (cine.playing, cine.plane) == (True, Plane.AXIAL)
    beside.do(cine.toggle)
    beside.do(beside.window.actions_by_name["cine"].trigger)
    assert (cine.playing, cine.plane) == (True, Plane.AXIAL)
    # And the keys are for what is compared.
    coronal = beside.viewer.planes[Plane.CORONAL].slice_index
    beside.key(Qt.Key.Key_Home, pane.first)
    beside.key(Qt.Key.Key_K, pane.first)
    assert not cine.playing
    assert beside.viewer.planes[Plane.AXIAL].slice_index == 0
    assert beside.viewer.planes[Plane.CORONAL].slice_index == coronal
    (marked,) = book.document.key_images
    assert locate(book.volume, marked.plane).plane is Plane.AXIAL


def test_neither_of_the_two_fills_the_centre_alone(beside: Any) -> None:
    pane = beside.window.centre.compare
    for view in (pane.first, pane.second):
        middle = view.rect().center()
        beside.do(
            lambda view=view, at=middle: QTest.mouseDClick(view, Qt.MouseButton.LeftButton, pos=at)
        )
        beside.key(Qt.Key.Key_F, view)
    beside.do(pane.end.click)
    assert all(beside.view(plane).isVisible() for plane in Plane)


def test_commands_that_would_change_nothing_to_be_seen_cannot_be_run(beside: Any) -> None:
    actions, compare = beside.window.actions_by_name, beside.workspace.compare
    hidden = ("maximise", "layout:single", "next_main", "toggle_scene", "straighten")
    assert actions["close_compare"].isEnabled()
    assert not any(actions[name].isEnabled() for name in hidden)
    assert actions["maximise"].toolTip().endswith(": two volumes are compared")
    beside.do(compare.close)
    assert not actions["close_compare"].isEnabled()
    assert all(actions[name].isEnabled() for name in hidden[:-1])
    assert actions["straighten"].toolTip().endswith(": no plane is turned")
    beside.do(lambda: beside.viewer.turn(Plane.AXIAL, 0.2))
    assert actions["straighten"].isEnabled()
    beside.key(Qt.Key.Key_O)
    assert not beside.viewer.is_turned
    assert not actions["straighten"].isEnabled()


def test_slices_are_not_played_on_in_a_plane_that_is_no_longer_seen(beside: Any) -> None:
    pane, cine = beside.window.centre.compare, beside.workspace.cine
    beside.do(cine.toggle)
    assert (cine.playing, cine.plane) == (True, Plane.AXIAL)
    beside.do(lambda: pane.planes.activated.emit(pane.planes.findData(Plane.CORONAL)))
    assert not cine.playing
    beside.do(cine.toggle)
    assert cine.plane is Plane.CORONAL
    beside.do(cine.toggle)


def test_zoom_and_window_are_locked_apart_from_the_slices(beside: Any) -> None:
    pane, compare = beside.window.centre.compare, beside.workspace.compare
    beside.do(pane.window_lock.click)
    beside.do(lambda: compare.viewer.use_preset("lung"))
    assert compare.other.window != WINDOWS["lung"]
    assert "own window" in pane.note.text()
    before = compare.other.planes[Plane.AXIAL].slice_index
    beside.wheel(pane.first, -2)
    assert compare.other.planes[Plane.AXIAL].slice_index != before
    beside.do(pane.zoom.click)
    zoom = pane.second.state.zoom
    beside.drag(pane.first, (100, 150), (100, 60), Qt.MouseButton.RightButton)
    assert pane.second.state.zoom == zoom != pane.first.state.zoom
    beside.do(pane.zoom.click)
    assert pane.second.state.zoom == pane.first.state.zoom
    beside.do(pane.window_lock.click)
    assert compare.other.window == WINDOWS["lung"]


def test_two_kernels_never_share_one_window() -> None:
    viewer = Viewer()
    compare = Compare(viewer)
    soft, sharp = (
        replace(phantom(), info=replace(phantom().info, kernel=kernel))
        for kernel in ("B30f", "B70f")
    )
    viewer.show(soft)
    compare.open(sharp)
    viewer.use_preset("brain")
    assert compare.other.window != WINDOWS["brain"]
    assert "kernels B30f and B70f" in compare.note
    compare.open(soft)
    viewer.use_preset("lung")
    assert compare.other.window == WINDOWS["lung"]


def test_the_second_lies_on_the_screen_as_the_first_does(beside: Any) -> None:
    pane = beside.window.centre.compare
    beside.do(beside.window.actions_by_name["mirror"].trigger)
    assert pane.first.state.letters == pane.second.state.letters == ("L", "R", "A", "P")
