"""A move in one plane paints no more of the others than what moved there, and nothing stays old."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QObject, QRect
from PySide6.QtGui import QPaintEvent

from app.viewmodels.images.tools import Tool
from app.viewmodels.window.layouts import Kind
from med2e3.geometry import Plane


@pytest.fixture
def grid(gui: Any, nifti: Path) -> Any:
    gui.open(nifti)
    gui.do(lambda: gui.workspace.layouts.choose(Kind.GRID))
    gui.until(lambda: gui.view(Plane.SAGITTAL).isVisible())
    for k in (10.0, 11.0, 11.0):  # pictures are kept from the second time on
        moved(gui, lambda k=k: gui.viewer.go_to_slice(Plane.AXIAL, k))
    return gui


class Heard(QObject):
    """The rectangles in which a widget is painted."""

    def __init__(self) -> None:
        super().__init__()
        self.rects: list[QRect] = []

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        if isinstance(event, QPaintEvent):
            self.rects.append(event.region().boundingRect())
        return False


@contextmanager
def heard(widget: QObject) -> Iterator[list[QRect]]:
    ear = Heard()
    widget.installEventFilter(ear)
    try:
        yield ear.rects
    finally:
        widget.removeEventFilter(ear)


def moved(gui: Any, act: Callable[[], Any]) -> None:
    """Do something, and paint what it made stale as the loop's next turn does."""

    def work() -> None:
        act()
        gui.loop.call_soon(lambda: None)

    gui.do(work)
    gui.do(lambda: gui.window.event(QEvent(QEvent.Type.UpdateRequest)))


def on_screen(gui: Any) -> np.ndarray:
    """(rows, columns, 4) of the window as its backing store has it."""
    image = gui.window.screen().grabWindow(gui.window.winId()).toImage()
    shape = (image.height(), image.bytesPerLine() // 4, 4)
    return np.array(image.constBits()).reshape(shape).copy()


def test_the_other_planes_paint_a_strip_along_the_line_that_moved(grid: Any) -> None:
    axial, sagittal = grid.view(Plane.AXIAL), grid.view(Plane.SAGITTAL)
    moved(grid, lambda: grid.viewer.scroll(Plane.CORONAL, 1))
    with heard(axial) as across, heard(sagittal) as along:
        moved(grid, lambda: grid.viewer.scroll(Plane.CORONAL, 1))
    (strip,), (other,) = across, along
    assert strip.height() < axial.height() / 3
    assert strip.width() > axial.width() / 2
    assert other.width() < sagittal.width() / 3
    with heard(axial) as nothing:
        moved(grid, grid.viewer.slices_changed.emit)
    assert nothing == []


def test_the_screen_is_what_painting_all_of_it_anew_gives(grid: Any) -> None:
    viewer = grid.viewer
    steps: list[Callable[[], Any]] = [
        lambda: viewer.scroll(Plane.AXIAL, 1),
        lambda: viewer.scroll(Plane.CORONAL, -3),
        lambda: viewer.scroll(Plane.SAGITTAL, 2),
        lambda: (viewer.scroll(Plane.AXIAL, 2), viewer.scroll(Plane.AXIAL, -1)),
        lambda: viewer.point(Plane.AXIAL, 3.0, 40.0),
        lambda: viewer.drag_window(30.0, 10.0),
        lambda: viewer.choose_tool(Tool.PAN),
        lambda: viewer.scroll(Plane.CORONAL, 1),
        viewer.toggle_corner_text,
        lambda: viewer.scroll(Plane.AXIAL, 1),
        viewer.toggle_crosshair,
        lambda: viewer.scroll(Plane.AXIAL, 1),
        viewer.toggle_reference_lines,
        lambda: viewer.scroll(Plane.AXIAL, 1),
        viewer.toggle_crosshair,
        lambda: viewer.turn(Plane.AXIAL, 0.3),
        lambda: viewer.scroll(Plane.AXIAL, 1),
        viewer.straighten,
        lambda: viewer.scroll(Plane.SAGITTAL, 1),
    ]
    seen = []
    for act in steps:
        moved(grid, act)
        found = on_screen(grid)
        grid.do(lambda: [grid.view(plane).refresh() for plane in Plane])
        moved(grid, lambda: None)
        assert np.array_equal(found, on_screen(grid)), f"after step {len(seen)}"
        seen.append(found)
    changes = [np.any(a != b) for a, b in itertools.pairwise(seen)]
    assert all(changes[k] for k in (0, 1, 2, 3, 4, 7, 9))
