"""A painting that fails is drawn as an error and told once; the window goes on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtGui import QColor

from app.views.parts.painting import INK
from med2e3.geometry import Plane
from tests.app.annotating import Pen


def reddish(gui: Any, widget: Any) -> int:
    """Pixels of a widget in the ink of the error."""
    image = gui.do(lambda: widget.grab().toImage())
    columns, rows = range(image.width()), range(image.height())
    found = (QColor(image.pixel(x, y)) for x in columns for y in rows)
    return sum(c.red() > 200 and abs(c.red() - INK.red()) < 40 and c.blue() < 140 for c in found)


@pytest.mark.parametrize(
    "broken",
    ["app.rendering.annotations._draw_form", "app.views.images.slice_view.markings.draw_corners"],
)
def test_an_error_in_a_painting_is_drawn_and_told_once_and_the_next_one_is_right(
    broken: str, gui: Any, nifti: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gui.open(nifti)
    pen = Pen(gui)
    pen.tool("length")
    pen.drag((10, 10), (10, 40))
    view = gui.view(Plane.AXIAL)
    right = reddish(gui, view)
    told: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: told.append(error))

    def fails(*_: Any, **__: Any) -> None:
        raise OverflowError("too far away")

    with monkeypatch.context() as patched:
        patched.setattr(broken, fails)
        gui.do(view.refresh)
        for _ in range(5):
            assert reddish(gui, view) > right
        gui.until(lambda: told)
        widgets = {id(error.__traceback__) for error in told}
        assert all(isinstance(error, OverflowError) for error in told)
        count = len(told)
        assert reddish(gui, view) > right
        assert len(told) == count <= len(widgets)
    assert reddish(gui, view) == right
