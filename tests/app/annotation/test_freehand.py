"""Outlines drawn with many moves: they stay light while they are drawn, and true at the end."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.viewmodels.annotation import values
from app.viewmodels.annotation.drawing import OUTLINE_TOLERANCE
from app.views.annotation.annotation_layer import AnnotationLayer
from med2e3 import regions
from tests.app.annotating import Pen
from tests.app.bodies import SPACING_MM


@pytest.fixture
def pen(gui: Any, nifti: Path) -> Pen:
    assert gui.open(nifti)
    return Pen(gui)


def test_an_outline_of_many_moves_stays_light_and_true(
    pen: Pen, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, seen, late = pen.book, [], []
    crosses, read = regions.crosses_itself, values.region_values

    def of_live(act: Callable[..., Any], *given: Any) -> Any:
        late.extend([act.__name__] if book.live is not None else [])
        return act(*given)

    monkeypatch.setattr(regions, "crosses_itself", lambda *given: of_live(crosses, *given))
    monkeypatch.setattr(values, "region_values", lambda *given: of_live(read, *given))
    book.live_changed.connect(lambda: seen.append(book.live))
    turn = np.linspace(0, 2 * math.pi, 81)
    path = [(20 + 15 * math.sin(t), 28 + 20 * math.cos(t)) for t in turn]
    pen.tool("freehand")
    pen.trace(path)
    live = [a for a in seen if a is not None]
    assert len(live) > 600
    assert max(len(a.points_mm) for a in live) < 150
    assert late == []
    # Its area is counted till the end, then that of the outline; the histogram comes then, too.
    area = math.pi * 15 * SPACING_MM[1] * 20 * SPACING_MM[2]
    assert pen.numbers()["area"] == pytest.approx(area, rel=0.01)
    assert not pen.lines()[-1].startswith("≈")
    assert not pen.gui.window.measurements.histogram.isHidden()
    outline = np.column_stack(pen.view.viewport().to_screen(*pen.places()[:, 1:].T))
    sides = list(zip(outline, np.roll(outline, -1, axis=0), strict=True))
    off = [min(off_side(np.asarray(pen.screen(at)), *side) for side in sides) for at in path]
    assert max(off) < 2 * OUTLINE_TOLERANCE + 0.1


def test_an_outline_has_no_more_points_than_a_file_may_hold(
    pen: Pen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.viewmodels.annotation.drawing.MOST_POINTS", 12)
    turn = np.linspace(0, 2 * math.pi, 31)
    pen.tool("freehand")
    pen.trace([(20 + 15 * math.sin(t), 28 + 20 * math.cos(t)) for t in turn])
    assert 3 <= len(pen.last.points_mm) <= 12
    area = math.pi * 15 * SPACING_MM[1] * 20 * SPACING_MM[2]
    assert pen.numbers()["area"] == pytest.approx(area, rel=0.3)


def off_side(point: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """How far a point lies from a line from one end to the other."""
    along = b - a
    share = np.clip((point - a) @ along / (along @ along), 0, 1)
    return float(np.linalg.norm(point - a - share * along))


def test_an_outline_that_ends_as_it_was_traced_is_measured_in_full(pen: Pen) -> None:
    layer, drawing = pen.view.findChild(AnnotationLayer), pen.gui.workspace.drawing
    frame = layer.frame()
    pen.tool("freehand")
    corners = [pen.screen(at) for at in ((10, 10), (10, 40), (30, 40), (30, 10))]
    pen.gui.do(lambda: drawing.press(frame, *corners[0]))
    for corner in corners[1:]:
        pen.gui.do(lambda at=corner: drawing.move(frame, *at))
    traced = pen.book.live
    assert pen.book.reading(traced).lines[-1].startswith("≈")
    pen.gui.do(lambda: drawing.release(frame, *corners[-1]))
    assert pen.last.points_mm == traced.points_mm
    assert not pen.lines()[-1].startswith("≈")
