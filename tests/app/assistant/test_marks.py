"""Marks of the reader are key images: where they lie among the model's slices, and hit rates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.viewmodels.assistant.answers import Seen, Turn
from app.viewmodels.assistant.marks import HitRates, hit_rates, marked_slices, marks_line
from app.viewmodels.core.settings import Settings
from med2e3.engine import Scores
from med2e3.geometry import Geometry, Plane
from med2e3.measures import SlicePlane
from med2e3.preprocessing import prepare
from med2e3.volume import Volume
from tests.app.bodies import phantom
from tests.app.conftest import Gui


def seen_of(volume: Volume, plane: Plane) -> Seen:
    given = prepare(volume, (8, 16, 16), plane=plane)
    return Seen(
        volume, given.plane, None, np.zeros((8, 16, 16), np.uint8), given.geometry,
        given.crop_start, given.crop_shape, given.bands, given.unread_slices,
    )  # fmt: skip


@pytest.mark.parametrize("plane", list(Plane))
def test_a_mark_lies_in_the_band_that_its_slice_lies_in(plane: Plane) -> None:
    """By the bands' own list of slices, over all slices of the plane as the view shows them."""
    volume = phantom()
    seen = seen_of(volume, plane)
    shown = volume.geometry.oriented(plane)
    for index in range(seen.slice_count):
        marks = marked_slices(seen, [SlicePlane.of_slice(shown, index)])
        low, high = seen.edges[0], seen.edges[-1]
        if not low <= index <= high:
            assert (marks.held, marks.outside) == ((), 1)
            continue
        (held,) = marks.held
        first, last = seen.edges[held], seen.edges[held + 1]
        assert first - 1e-6 <= index <= last + 1e-6
    other = next(p for p in Plane if p is not plane)
    away = marked_slices(seen, [SlicePlane.of_slice(volume.geometry.oriented(other), 3)])
    assert (away.held, away.outside, away.elsewhere) == ((), 0, 1)


def test_hit_rates_are_those_of_their_definitions() -> None:
    seen = seen_of(phantom(), Plane.AXIAL)
    weights = np.array([0.4, 0.05, 0.2, 0.15, 0.1, 0.05, 0.03, 0.02], np.float32)
    turn = Turn("?", "model", seen.volume, seen=seen, scores=Scores(weights, seen.bands))
    shown = seen.geometry
    marks = marked_slices(seen, [SlicePlane.of_slice(shown, k) for k in (0, 4, 0)])
    assert marks.held == (0, 4)
    rates = hit_rates(turn, marks, 3)
    assert rates == HitRates(3, pytest.approx(1 / 3), pytest.approx(0.5), 0.5, 0.25)
    line = marks_line(marks, rates)
    assert "model slices 1, 5" in line
    assert "top 3 33 %" in line
    assert "50 % of the weight" in line
    assert "chance each would be 25 %" in line
    nothing = marked_slices(seen, [])
    assert hit_rates(turn, nothing, 3) is None
    assert marks_line(nothing, None) == "No slice of the model's plane is marked."


@pytest.fixture
def kept(loop: Any, engine: Any, tmp_path: Path, nifti: Path) -> Iterator[Any]:
    """Opens the phantom anew, with the same folder of annotations."""
    made: list[Gui] = []

    def begin() -> Gui:
        gui = Gui(loop, engine, Settings(None), tmp_path / "annotations")
        made.append(gui)
        assert gui.open(nifti)
        gui.load_model()
        return gui

    yield begin
    for gui in made[-1:]:
        assert gui.run(gui.application.close())


def test_marks_come_back_with_the_study_and_the_tab_counts_them(kept: Any) -> None:
    gui = kept()
    turn = gui.ask()
    tab = gui.window.assistant.evidence
    gui.do(lambda: gui.window.assistant.tabs.setCurrentWidget(tab))
    assert tab.marks.text() == "No slice of the model's plane is marked."
    peak = turn.seen.centre_slice(gui.engine.peak)
    gui.do(lambda: gui.viewer.go_to_slice(Plane.AXIAL, peak))
    gui.do(lambda: QTest.mouseClick(tab.mark, Qt.MouseButton.LeftButton))
    assert f"model slices {gui.engine.peak + 1}." in tab.marks.text()
    assert "50 % of the weight" in tab.marks.text()
    said = tab.marks.text()
    gui.do(lambda: tab.top.setValue(1))
    assert "Of the top 1 100 %" in tab.marks.text()
    gui.run(gui.application.close())
    again = kept()
    again.ask()
    again.until(lambda: again.workspace.annotations.document.key_images)
    assert again.window.assistant.evidence.marks.text() == said
    tab = again.window.assistant.evidence
    again.do(lambda: again.viewer.go_to_slice(Plane.AXIAL, peak))
    again.do(lambda: QTest.mouseClick(tab.mark, Qt.MouseButton.LeftButton))
    assert tab.marks.text() == "No slice of the model's plane is marked."
    again.do(again.workspace.steps.undo)
    assert tab.marks.text() == said


def test_marks_of_a_grid_turned_over_count_the_same() -> None:
    volume = phantom()
    affine = volume.geometry.affine_lps.copy()
    affine[:3, 3] += affine[:3, 0] * (volume.shape[0] - 1)
    affine[:3, 0] *= -1
    turned = Volume(volume.voxels[::-1].copy(), Geometry(volume.shape, affine), volume.info)
    plane = SlicePlane.of_slice(volume.geometry.oriented(Plane.AXIAL), 7)
    first, second = (seen_of(v, Plane.AXIAL) for v in (volume, turned))
    assert marked_slices(first, [plane]) == marked_slices(second, [plane])
