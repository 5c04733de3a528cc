"""Undo and redo of windows, overlays and drawings in one order, with keys and mouse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.imaging.colour_names import ColourMap
from app.viewmodels.images.tools import Tool
from app.views.images.overlay_panel import OverlayPanel
from med2e3.geometry import Plane
from med2e3.io import write_nifti
from med2e3.volume import WINDOWS
from tests.app.bodies import MARK, phantom

CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def reading(gui: Any, nifti: Path) -> Any:
    """The phantom open, and ready to be drawn on."""
    assert gui.open(nifti)
    gui.until(lambda: gui.workspace.annotations.volume is not None)
    return gui


def undo(gui: Any) -> None:
    gui.do(lambda: QTest.keyClick(gui.view(Plane.AXIAL), Qt.Key.Key_Z, CTRL))


def redo(gui: Any) -> None:
    gui.do(lambda: QTest.keyClick(gui.view(Plane.AXIAL), Qt.Key.Key_Z, CTRL | SHIFT))


def mask(folder: Path) -> Path:
    """The bright box of the phantom as a label map."""
    body = phantom("mask")
    voxels = np.zeros(body.shape, np.int16)
    voxels[MARK] = 1
    return write_nifti(replace(body, voxels=voxels), folder / "mask.nii.gz")


def test_nothing_can_be_undone_when_a_series_opens(reading: Any) -> None:
    assert not reading.workspace.steps.undo_name
    assert not reading.window.actions_by_name["undo"].isEnabled()


def test_ctrl_z_brings_the_window_before_a_preset_back(reading: Any) -> None:
    first = reading.viewer.window
    reading.key(Qt.Key.Key_2)
    reading.key(Qt.Key.Key_3)
    undo(reading)
    assert reading.viewer.window == WINDOWS["lung"]
    undo(reading)
    assert reading.viewer.window == first
    redo(reading)
    assert reading.viewer.window == WINDOWS["lung"]


def test_one_drag_of_the_window_is_one_step(reading: Any) -> None:
    reading.do(lambda: reading.viewer.choose_tool(Tool.WINDOW))
    view = reading.view(Plane.AXIAL)
    first = reading.viewer.window
    reading.drag(view, (100, 100), (160, 120))
    second = reading.viewer.window
    reading.drag(view, (100, 100), (130, 90))
    assert len({first, second, reading.viewer.window}) == 3
    undo(reading)
    assert reading.viewer.window == second
    undo(reading)
    assert reading.viewer.window == first
    assert not reading.workspace.steps.undo_name


def test_inverting_and_colours_are_undone(reading: Any) -> None:
    reading.key(Qt.Key.Key_I)
    reading.do(lambda: reading.viewer.use_colours(ColourMap.VIRIDIS))
    undo(reading)
    assert (reading.viewer.inverted, reading.viewer.colours) == (True, ColourMap.GREY)
    undo(reading)
    assert not reading.viewer.inverted


def test_steps_of_different_kinds_go_back_in_the_order_they_were_done(reading: Any) -> None:
    view, book = reading.view(Plane.AXIAL), reading.workspace.annotations
    first = reading.viewer.window
    reading.key(Qt.Key.Key_L)
    reading.drag(view, (100, 100), (160, 120))
    reading.key(Qt.Key.Key_2)
    reading.key(Qt.Key.Key_K)
    assert reading.workspace.steps.undo_name == "mark key image"
    undo(reading)
    assert not book.document.key_images
    assert reading.viewer.window == WINDOWS["lung"]
    undo(reading)
    assert reading.viewer.window == first
    assert len(book.document.annotations) == 1
    undo(reading)
    assert not book.document.annotations
    for _ in range(3):
        redo(reading)
    assert book.document.key_images
    assert book.document.annotations
    assert reading.viewer.window == WINDOWS["lung"]


def test_a_new_step_ends_what_could_be_done_again(reading: Any) -> None:
    reading.key(Qt.Key.Key_2)
    undo(reading)
    reading.key(Qt.Key.Key_3)
    assert not reading.workspace.steps.redo_name
    assert not reading.window.actions_by_name["redo"].isEnabled()


def test_overlays_come_go_and_change_by_undo_and_redo(reading: Any, tmp_path: Path) -> None:
    overlays = reading.workspace.overlays
    assert reading.run(overlays.open(mask(tmp_path)))
    panel = reading.window.findChild(OverlayPanel)
    row = panel.rows[0]
    reading.do(lambda: QTest.mouseClick(row.labels[0], Qt.MouseButton.LeftButton))
    assert overlays.layers[0].hidden == {1}
    for percent in (40, 55, 80):
        reading.do(lambda p=percent: row.opacity.setValue(p))
    undo(reading)
    assert overlays.layers[0].opacity == pytest.approx(0.35)  # the whole way of the slider
    undo(reading)
    assert overlays.layers[0].hidden == frozenset()
    assert row.labels[0].isChecked()
    undo(reading)
    assert not overlays.layers
    for _ in range(3):
        redo(reading)
    assert overlays.layers[0].hidden == {1}
    assert overlays.layers[0].opacity == pytest.approx(0.8)
    reading.do(lambda: overlays.remove(overlays.layers[0]))
    assert reading.workspace.steps.undo_name.startswith("remove overlay")
    undo(reading)
    assert overlays.layers[0].hidden == {1}


def test_another_series_begins_without_steps_and_what_was_drawn_keeps_its_own(
    reading: Any, nifti: Path, dicom: Path
) -> None:
    view, book = reading.view(Plane.AXIAL), reading.workspace.annotations
    reading.key(Qt.Key.Key_L)
    reading.drag(view, (100, 100), (160, 120))
    reading.key(Qt.Key.Key_2)
    assert reading.open(dicom)
    reading.until(lambda: book.volume is not None)
    assert not reading.workspace.steps.undo_name
    assert reading.open(nifti)
    reading.until(lambda: book.volume is not None)
    assert reading.workspace.steps.undo_name == "draw length"
    undo(reading)
    assert not book.document.annotations
    redo(reading)
    assert len(book.document.annotations) == 1


def test_nothing_of_a_series_is_undone_on_the_one_that_opens_after_it(reading: Any) -> None:
    viewer, steps = reading.viewer, reading.workspace.steps
    view, book = reading.view(Plane.AXIAL), reading.workspace.annotations
    first = viewer.window
    reading.key(Qt.Key.Key_2)
    reading.key(Qt.Key.Key_L)
    reading.drag(view, (100, 100), (160, 120))
    reading.do(lambda: viewer.preview(phantom("On its way")))
    opened_with = viewer.window
    assert not reading.window.actions_by_name["undo"].isEnabled()
    for _ in range(2):
        reading.do(steps.undo)
    assert viewer.window == opened_with
    reading.do(viewer.drop_preview)
    reading.until(lambda: book.volume is not None)
    assert len(book.document.annotations) == 1
    undo(reading)
    assert not book.document.annotations
    undo(reading)
    assert viewer.window == first
    for _ in range(2):
        redo(reading)
    assert (len(book.document.annotations), viewer.window) == (1, WINDOWS["lung"])


def test_an_overlay_that_stays_as_it_is_makes_no_step(reading: Any, tmp_path: Path) -> None:
    overlays, steps = reading.workspace.overlays, reading.workspace.steps
    assert reading.run(overlays.open(mask(tmp_path)))
    first = overlays.layers[0]
    reading.do(lambda: overlays.change(first, opacity=first.opacity))
    assert steps.undo_name == f"overlay {first.name}"
    reading.do(lambda: overlays.change(first, opacity=0.7))
    assert steps.undo_name == f"opacity of {first.name}"
    reading.do(lambda: overlays.change(first, opacity=0.2))  # it is there no more
    assert (steps.undo_name, overlays.layers[0].opacity) == (f"opacity of {first.name}", 0.7)
