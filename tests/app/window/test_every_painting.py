"""No painting of any widget can end the window: each is guarded, and each failure is told once."""

from __future__ import annotations

import ast
import importlib
import itertools
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPointF
from PySide6.QtGui import QPainter, QPixmap
from PySide6.QtWidgets import QWidget

import app.views
from app.views.annotation.histogram import Histogram
from app.views.annotation.profile_curve import ProfileCurve
from app.views.assistant.outcome_card import ProbabilityBars
from app.views.assistant.score_levels import ScoreLevels
from app.views.images.brush_layer import BrushLayer
from app.views.images.click_layer import ClickLayer
from app.views.parts import painting
from med2e3.evidence.outcomes import Outcome
from med2e3.geometry import Plane
from tests.app.annotating import Pen
from tests.app.images.test_masks_in_3d import mark_layer

ROOT = Path(__file__).resolve().parents[3] / "app"


def paint_events() -> Iterator[tuple[str, ast.FunctionDef]]:
    """The class and the method of every `paintEvent` of the viewer."""
    for path in sorted(ROOT.rglob("*.py")):
        for found in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for inner in found.body if isinstance(found, ast.ClassDef) else ():
                if isinstance(inner, ast.FunctionDef) and inner.name == "paintEvent":
                    yield found.name, inner


def painting_classes() -> set[type[QWidget]]:
    """The classes themselves."""
    names = {name for name, _ in paint_events()}
    found = set()
    for module in pkgutil.walk_packages(app.views.__path__, "app.views."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and value.__name__ in names and "paintEvent" in vars(value):
                found.add(value)
    return found


def test_every_paint_event_is_guarded_by_the_one_decorator() -> None:
    unguarded = [
        name
        for name, method in paint_events()
        if [d.id for d in method.decorator_list if isinstance(d, ast.Name)] != ["painted"]
    ]
    assert not unguarded
    assert len(painting_classes()) == len(list(paint_events())) > 10


def test_no_other_painter_is_opened_on_a_widget() -> None:
    opened = [
        path.name
        for path in sorted((ROOT / "views").rglob("*.py"))
        if "Painter(self" in path.read_text(encoding="utf-8")
    ]
    assert not opened


class Failing:
    """A painter that cannot do anything; the one that draws the failure is a real one."""

    def __init__(self, widget: QWidget) -> None:
        self._real = QPainter(widget)
        self.end, self.isActive = self._real.end, self._real.isActive

    def __getattr__(self, name: str) -> Any:
        raise OverflowError(f"{name} is too far away")


def _bars_of_a_test(gui: Any) -> ProbabilityBars:
    """The bars of an outcome, which the fake model gives none of."""
    outcome = Outcome("blank", "of nothing", "?", "Yes.", "No.", (), 0.9, 0.1, (), draws=(0.2, 0.4))
    bars = ProbabilityBars(outcome)
    bars.setParent(gui.window)
    bars.resize(200, 18)
    return bars


@pytest.fixture
def shown(open_gui: Any) -> dict[type[QWidget], QWidget]:
    """One widget of each class, with all that it can paint."""
    gui = open_gui
    pen = Pen(gui)
    pen.tool("length")
    pen.drag((10, 10), (10, 30))
    gui.ask()
    gui.do(gui.workspace.layouts.toggle_scene)
    gui.do(lambda: gui.workspace.overlays.lay(mark_layer()))
    gui.until(lambda: gui.workspace.solids.solids)
    gui.do(gui.window.help.toggle)
    gui.do(gui.window.dialogs.palette.toggle)
    histogram = Histogram()
    histogram.setParent(gui.window)
    histogram.resize(200, 80)
    histogram.show_values(np.arange(50.0), "HU")
    assert gui.view(Plane.AXIAL).isVisible()
    levels = gui.view(Plane.CORONAL).findChild(ScoreLevels)  # the model's own plane has none
    found: dict[type[QWidget], QWidget] = {
        ProbabilityBars: _bars_of_a_test(gui),
        ScoreLevels: levels,
    }
    gui.ask("And here?")  # the matrix has two rows
    panel = gui.window.assistant
    gui.do(lambda: panel.tabs.setCurrentWidget(panel.scores))
    for kind in sorted(painting_classes() - found.keys(), key=lambda one: one.__name__):
        widgets = gui.window.findChildren(kind)
        own = [w for w in widgets if type(w) is kind and w.width() > 0 and w.height() > 0]
        assert own, f"there is no {kind.__name__} in the window"
        found[kind] = own[0]
    view = gui.view(Plane.AXIAL)
    brush, clicks = view.findChild(BrushLayer), view.findChild(ClickLayer)
    brush._at, clicks._path = QPointF(30, 30), [QPointF(10, 10), QPointF(50, 40)]
    found |= {BrushLayer: brush, ClickLayer: clicks}
    found[Histogram] = histogram  # the list has an empty one
    profile = ProfileCurve()
    profile.setParent(gui.window)
    profile.resize(200, 80)
    profile.show_profile((np.arange(50.0), np.arange(50.0) ** 2), "HU")
    found[ProfileCurve] = profile
    return found


def test_a_painter_that_fails_in_any_widget_is_drawn_and_told_once(
    open_gui: Any, shown: dict[type[QWidget], QWidget], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: told.append(error))
    for kind, widget in shown.items():
        widget.resize(max(widget.width(), 60), max(widget.height(), 20))
        right = picture(open_gui, widget)
        told.clear()
        # Each painting opens one painter, and one more for its failure.
        painters = itertools.cycle([Failing, QPainter])

        def made(on: QWidget, mine: QWidget = widget, painters: Any = painters) -> Any:
            return next(painters)(on) if on is mine else QPainter(on)

        with monkeypatch.context() as patched:
            patched.setattr(painting, "QPainter", made)
            wrong = [picture(open_gui, widget) for _ in range(3)]
        open_gui.until(lambda: told)
        open_gui.do(lambda: None)
        assert len(told) == 1, kind
        assert isinstance(told[0], OverflowError | TypeError)  # or Qt was handed the painter
        assert right not in wrong, kind
        assert picture(open_gui, widget) not in wrong, kind


def picture(gui: Any, widget: QWidget) -> bytes:
    """The pixels of one widget without its children."""

    def act() -> bytes:
        pixmap = QPixmap(widget.size())
        pixmap.fill()
        widget.render(pixmap, renderFlags=QWidget.RenderFlag.DrawWindowBackground)
        return bytes(pixmap.toImage().constBits())

    return bytes(gui.do(act))
