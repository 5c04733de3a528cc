"""Every number said about the model's plane counts the slices of that plane."""

from __future__ import annotations

import re
from typing import Any

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from med2e3.geometry import Plane
from med2e3.io import write_nifti
from tests.app.bodies import SHAPE, phantom

#: Slices of the phantom in each plane.
COUNTS = dict(zip((Plane.AXIAL, Plane.CORONAL, Plane.SAGITTAL), SHAPE, strict=True))


def give(gui: Any, plane: Plane) -> None:
    """Let the model see another plane, by the box under the question."""
    box = gui.window.assistant.ask_box.plane
    box.setCurrentIndex(box.findData(plane))
    box.activated.emit(box.currentIndex())


@pytest.mark.parametrize("plane", list(Plane))
def test_what_the_model_reads_is_counted_in_its_own_plane(open_gui: Any, plane: Plane) -> None:
    open_gui.do(lambda: give(open_gui, plane))
    turn = open_gui.ask()
    caption = open_gui.window.centre.sheet.caption.text().replace("\u00a0", " ")
    read, total = map(int, re.search(r"reads (−?\d+) of (\d+) ", caption).groups())
    assert total == COUNTS[plane]
    assert read == COUNTS[plane] - len(turn.seen.unread) > 0
    assert f"of {total} {plane} slices" in caption


def test_an_answer_names_the_plane_of_its_slices_also_when_its_series_is_closed(
    open_gui: Any, tmp_path: Any
) -> None:
    open_gui.do(lambda: give(open_gui, Plane.CORONAL))
    turn = open_gui.ask()
    (card,) = open_gui.window.assistant.chat.cards
    first, last = turn.scores.top(1)[0].band.view_slices
    said = f"coronal slices {first + 1}–{last + 1}"
    assert said in card.status.text().replace("\u00a0", " ")
    other = write_nifti(phantom("Other", value=300), tmp_path / "other.nii.gz")
    open_gui.open(other)
    open_gui.do(card.refresh)
    assert turn.seen is None
    assert said in card.status.text().replace("\u00a0", " ")
    assert "y " in card.status.text().replace("\u00a0", " ")


def test_the_strip_of_another_plane_leads_to_that_planes_slices(open_gui: Any) -> None:
    open_gui.do(lambda: give(open_gui, Plane.SAGITTAL))
    open_gui.ask()
    strip = open_gui.window.centre.cells[Plane.SAGITTAL].strip
    assert strip.isVisible()
    assert strip.strip.slice_count == COUNTS[Plane.SAGITTAL]
    place = QPoint(20, round(strip.y_of(0.5)))
    open_gui.do(lambda: QTest.mouseClick(strip, Qt.MouseButton.LeftButton, pos=place))
    index = open_gui.viewer.planes[Plane.SAGITTAL].slice_index
    assert abs(index - COUNTS[Plane.SAGITTAL] / 2) <= COUNTS[Plane.SAGITTAL] / 8
