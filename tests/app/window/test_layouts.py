"""Layouts of the centre: what stands where, how large, and that it is remembered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QRect

from app.viewmodels.core.settings import Settings
from app.viewmodels.window.layouts import (
    NOTHING,
    STANDARD_CUSTOM,
    TITLES,
    Custom,
    Kind,
    Layouts,
    custom_from,
)
from app.views.window.centre import CELLS
from med2e3.geometry import Plane


def shown(gui: Any) -> dict[str, QRect]:
    """Where each visible cell lies in the centre."""
    gui.do(lambda: None)
    centre = gui.window.centre
    return {n: centre.cell(n).geometry() for n in CELLS if centre.cell(n).isVisible()}


def test_every_cell_has_a_title_and_a_factory() -> None:
    assert set(TITLES) == set(CELLS)


def test_two_by_two_is_what_opens_first(open_gui: Any) -> None:
    cells = shown(open_gui)
    assert len(cells) == 4
    assert len({(r.width() // 8, r.height() // 8) for r in cells.values()}) <= 2
    assert cells["axial"].topLeft().x() < cells["sagittal"].x()
    assert cells["axial"].y() < cells["coronal"].y()


def test_one_view_fills_the_centre(open_gui: Any) -> None:
    layouts = open_gui.workspace.layouts
    open_gui.do(lambda: layouts.choose(Kind.SINGLE))
    assert list(shown(open_gui)) == ["axial"]
    open_gui.do(lambda: layouts.choose_main("coronal"))
    cells = shown(open_gui)
    assert list(cells) == ["coronal"]
    assert cells["coronal"].size() == open_gui.window.centre.size()


def test_the_large_cell_is_four_times_as_large_as_the_small_ones(open_gui: Any) -> None:
    layouts = open_gui.workspace.layouts
    open_gui.do(lambda: layouts.choose_main("coronal"))
    open_gui.do(lambda: layouts.choose(Kind.SIDE))
    cells = shown(open_gui)
    large = cells.pop("coronal")
    assert len(cells) == 3
    for small in cells.values():
        assert small.width() * 2 == pytest.approx(large.width(), abs=12)
        assert small.height() * 3 == pytest.approx(large.height(), abs=12)
        assert small.left() > large.right()


def test_a_custom_layout_shows_each_cell_where_it_was_put(open_gui: Any) -> None:
    custom = Custom(2, 2, ("sagittal", NOTHING, "sheet", "axial"))
    open_gui.do(lambda: open_gui.workspace.layouts.use_custom(custom))
    cells = shown(open_gui)
    assert set(cells) == {"sagittal", "sheet", "axial"}
    assert cells["sagittal"].x() == cells["sheet"].x() < cells["axial"].x()
    assert cells["sheet"].y() == cells["axial"].y() > cells["sagittal"].y()


def test_maximising_and_back_keeps_the_layout(open_gui: Any) -> None:
    open_gui.do(lambda: open_gui.workspace.layouts.choose(Kind.SIDE))
    before = shown(open_gui)
    open_gui.do(lambda: open_gui.viewer.maximise(Plane.SAGITTAL))
    assert list(shown(open_gui)) == ["sagittal"]
    open_gui.do(lambda: open_gui.viewer.maximise(None))
    assert shown(open_gui) == before


@pytest.mark.parametrize("kind", [Kind.GRID, Kind.SIDE, Kind.CUSTOM])
def test_a_layout_that_is_chosen_shows_although_a_plane_fills_the_centre(
    open_gui: Any, kind: Kind
) -> None:
    open_gui.do(lambda: open_gui.viewer.maximise(Plane.SAGITTAL))
    assert list(shown(open_gui)) == ["sagittal"]
    open_gui.do(open_gui.window.commands[f"layout:{kind}"])
    assert len(shown(open_gui)) >= 3
    open_gui.do(lambda: open_gui.viewer.maximise(Plane.SAGITTAL))
    open_gui.do(open_gui.window.commands["toggle_scene"])
    assert "3d" in shown(open_gui)


def test_a_cell_put_elsewhere_changes_places_with_what_was_there() -> None:
    swapped = STANDARD_CUSTOM.with_cell(0, "sagittal")
    assert swapped.cells == ("sagittal", "coronal", "axial")
    assert swapped.with_cell(1, NOTHING).cells == ("sagittal", NOTHING, "axial")


def test_a_larger_grid_takes_the_cells_that_were_not_shown() -> None:
    larger = STANDARD_CUSTOM.with_size(2, 2)
    assert larger.cells == ("axial", "coronal", "sagittal", "sheet")
    assert larger.with_size(1, 2).cells == ("axial", "coronal")
    assert larger.with_size(9, 0).rows == 3


@pytest.mark.parametrize(
    "text",
    ["", "2x2", "2x2:axial", "axb:axial", "9x9:axial", "1x2:axial,axial", "1x1:teapot", "1x1:"],
)
def test_a_layout_that_cannot_be_is_the_standard_one(text: str) -> None:
    assert custom_from(text) == STANDARD_CUSTOM


def test_the_layout_is_remembered(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    custom = Custom(2, 1, ("coronal", "sheet"))
    Layouts(Settings(file)).use_custom(custom)
    again = Layouts(Settings(file))
    assert again.kind is Kind.CUSTOM
    assert again.custom == custom
