"""Icons are read and drawn once, and no movement of the mouse draws one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
from PySide6.QtCore import QSize, Qt

from app.viewmodels.images.tools import Tool
from app.views.parts import icons, theme
from med2e3.geometry import Plane


class OpenedFiles:
    """Names of the files that Python opened while `watching`; an audit hook cannot be removed."""

    def __init__(self) -> None:
        self.watching = False
        self.names: list[str] = []
        sys.addaudithook(self._heard)

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.watching and event == "open":
            self.names.append(str(arguments[0]))


OPENED = OpenedFiles()


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """The files opened in this test, with no icon kept from before it."""
    icons.drawn.cache_clear()
    OPENED.names.clear()
    OPENED.watching = True
    yield OPENED.names
    OPENED.watching = False


@pytest.mark.parametrize("tool", [Tool.PAN, Tool.ZOOM, Tool.WINDOW, Tool.CROSSHAIR])
def test_a_drag_reads_no_file(open_gui: Any, opened: list[str], tool: Tool) -> None:
    view = open_gui.view(Plane.AXIAL)
    open_gui.do(lambda: open_gui.viewer.choose_tool(tool))
    opened.clear()
    icons.drawn.cache_clear()
    open_gui.drag(view, (90, 90), (130, 110))
    assert opened == []


def test_an_icon_is_read_once_for_a_theme(qapp: Any, opened: list[str]) -> None:
    theme.apply(qapp, "dark")
    first = icons.icon("cine")
    assert len(opened) == 1
    assert icons.icon("cine").cacheKey() == first.cacheKey()
    assert len(opened) == 1
    theme.apply(qapp, "light")
    try:
        light = icons.icon("cine")
    finally:
        theme.apply(qapp, "dark")
    size = QSize(20, 20)
    assert light.pixmap(size).toImage() != first.pixmap(size).toImage()


def test_the_cine_button_stops_what_it_plays(open_gui: Any) -> None:
    button, size = open_gui.window.tools.views.cine, QSize(20, 20)
    still = button.icon().pixmap(size).toImage()
    open_gui.key(Qt.Key.Key_M)
    assert open_gui.workspace.cine.playing
    assert button.isChecked()
    assert button.icon().pixmap(size).toImage() == icons.icon("stop").pixmap(size).toImage()
    open_gui.key(Qt.Key.Key_M)
    assert not button.isChecked()
    assert button.icon().pixmap(size).toImage() == still
