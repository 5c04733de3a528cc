"""What follows from the row of `trail`; `test_kinds` runs this where the row is loaded first."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.screenshots.reading import READING
from app.viewmodels.annotation import exports
from app.viewmodels.annotation.codec import decode, encode
from app.viewmodels.window.commands import BY_NAME
from tests.app.annotating import Pen
from tests.app.annotation.polyline import TRAIL

#: (row, column) in a slice whose pixels are 2 mm high and 1 mm wide, and the mm through all.
CORNERS = [(5, 10), (5, 40), (25, 40), (25, 15)]
LONG = 30 + 40 + 25


@pytest.fixture
def pen(gui: Any, dicom: Path) -> Pen:
    assert gui.open(dicom)
    return Pen(gui)


def draw(pen: Pen) -> None:
    """With its key, clicks, and a second click at its end."""
    view, shift = pen.view, Qt.KeyboardModifier.ShiftModifier
    pen.gui.do(lambda: QTest.keyClick(view, Qt.Key.Key_T, shift))
    for at in (*CORNERS, CORNERS[-1]):
        pen.click(at)


def test_it_is_drawn_with_the_mouse_measured_listed_and_undone(pen: Pen) -> None:
    before = pen.gui.pixels(pen.view)
    draw(pen)
    assert pen.last.kind is TRAIL
    np.testing.assert_allclose(pen.places()[:, 1:], CORNERS, atol=1e-6)
    assert pen.numbers() == {"path": pytest.approx(LONG, abs=0.01)}
    assert pen.lines() == (f"{LONG:.1f} mm along",)
    assert (pen.gui.pixels(pen.view) != before).any()
    item = pen.gui.window.measurements.list.topLevelItem(0)
    assert (item.text(0), item.text(1)) == ("Trail", f"{LONG:.1f} mm along")
    assert pen.gui.workspace.steps.undo_name == "draw trail"
    pen.gui.do(pen.gui.workspace.steps.undo)
    assert not pen.drawn


def test_a_point_of_it_is_moved_and_one_click_alone_is_nothing(pen: Pen) -> None:
    draw(pen)
    pen.tool("crosshair")
    pen.drag(CORNERS[1], (5, 43))
    assert pen.numbers()["path"] == pytest.approx(33 + math.hypot(40, 3) + 25, abs=0.3)
    pen.gui.do(lambda: pen.gui.viewer.choose_tool("trail"))
    pen.click((30, 20))
    pen.click((30, 20))
    assert len(pen.drawn) == 1


def test_it_has_a_command_a_place_in_the_menu_and_a_picture(pen: Pen) -> None:
    command = BY_NAME["trail_tool"]
    assert (command.title, command.keys) == ("Measure along a trail", ("Shift+T",))
    action = pen.gui.window.actions_by_name["trail_tool"]
    assert action in pen.gui.window.tools.measure.menu().actions()
    assert not action.icon().isNull()
    draw(pen)
    assert pen.gui.window.tools.measure.defaultAction() is action
    assert "tool-trail" in READING


def test_it_goes_through_tables_records_and_files(pen: Pen) -> None:
    draw(pen)
    document, volume, read = pen.book.document, pen.book.volume, pen.book.reading
    text = exports.table(document, volume, read, "HU")
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["type"], float(row["path_mm"])) == ("trail", pytest.approx(LONG, abs=0.01))
    assert row["length_mm"] == ""
    (entry,) = json.loads(exports.record(document, volume, read))["annotations"]
    assert (entry["kind"], entry["values"][0]["name"]) == ("trail", "path")
    assert decode(encode(document, "key", {}), "key") == document
    said = exports.sentence(pen.last, volume, read)
    assert said.startswith(f"Trail: {LONG:.1f} mm along (axial ")
