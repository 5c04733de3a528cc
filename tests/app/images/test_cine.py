"""Cine: plays the plane under the mouse, in a loop or to and fro, until somebody scrolls."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import Qt

from app.viewmodels.images.cine import Cine
from app.viewmodels.images.viewer import Viewer
from med2e3.geometry import Plane
from tests.app.bodies import SHAPE, phantom


@pytest.fixture
def playing() -> tuple[Viewer, Cine]:
    viewer = Viewer()
    cine = Cine(viewer)
    viewer.show(phantom())
    viewer.go_to_slice(Plane.AXIAL, SHAPE[0] - 2)
    cine.toggle()
    return viewer, cine


def index(viewer: Viewer) -> int:
    return viewer.planes[Plane.AXIAL].slice_index


def test_a_loop_goes_on_from_the_first_slice(playing: tuple[Viewer, Cine]) -> None:
    viewer, cine = playing
    seen = []
    for _ in range(3):
        cine.step()
        seen.append(index(viewer))
    assert seen == [SHAPE[0] - 1, 0, 1]
    assert cine.playing


def test_to_and_fro_turns_at_the_ends(playing: tuple[Viewer, Cine]) -> None:
    viewer, cine = playing
    cine.choose_bounce(True)
    seen = []
    for _ in range(3):
        cine.step()
        seen.append(index(viewer))
    assert seen == [SHAPE[0] - 1, SHAPE[0] - 2, SHAPE[0] - 3]


def test_a_loop_chosen_on_the_way_back_goes_on_forwards(playing: tuple[Viewer, Cine]) -> None:
    viewer, cine = playing
    cine.choose_bounce(True)
    for _ in range(3):
        cine.step()
    assert index(viewer) == SHAPE[0] - 3
    cine.choose_bounce(False)
    seen = []
    for _ in range(4):
        cine.step()
        seen.append(index(viewer))
    assert seen == [SHAPE[0] - 2, SHAPE[0] - 1, 0, 1]


def test_another_volume_ends_it(playing: tuple[Viewer, Cine]) -> None:
    viewer, cine = playing
    viewer.show(phantom("Another"))
    assert not cine.playing


def test_a_crosshair_moved_in_the_slice_does_not_end_it(playing: tuple[Viewer, Cine]) -> None:
    viewer, cine = playing
    viewer.point(Plane.AXIAL, 5, 5)
    assert cine.playing


def test_nothing_is_played_without_a_volume() -> None:
    cine = Cine(Viewer())
    cine.toggle()
    assert not cine.playing


def test_the_key_plays_and_the_wheel_stops(open_gui: Any) -> None:
    cine, state = open_gui.workspace.cine, open_gui.viewer.planes[Plane.AXIAL]
    open_gui.do(lambda: cine.choose_rate(30))
    before = state.slice_index
    open_gui.key(Qt.Key.Key_M)
    assert cine.playing
    open_gui.until(lambda: state.slice_index == before + 3)
    open_gui.wheel(open_gui.view(Plane.AXIAL), 2)
    assert not cine.playing
    assert not open_gui.window.centre.cine_timer.timer.isActive()


def test_the_key_stops_it_again_and_the_button_shows_it(open_gui: Any) -> None:
    button = open_gui.window.tools.views.cine
    open_gui.key(Qt.Key.Key_M)
    assert button.isChecked()
    open_gui.key(Qt.Key.Key_M)
    assert not button.isChecked()
    assert not open_gui.workspace.cine.playing
