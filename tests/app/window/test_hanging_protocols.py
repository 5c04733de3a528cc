"""How series open: by plane, body part and kernel, once, explained, and only while wanted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.viewmodels.window.hanging_protocols import RULES, hang
from app.viewmodels.window.layouts import Kind
from med2e3.geometry import Geometry, Plane
from med2e3.io import write_dicom_series
from med2e3.volume import WINDOWS, Volume, Window
from tests.app.bodies import phantom


def series(plane: Plane = Plane.AXIAL, *, slices: int = 24, **info: Any) -> Volume:
    plain = phantom()
    shape = (slices, *plain.shape[1:])
    geometry = Geometry.from_spacing(shape, (3.0, 1.0, 1.0), plane=plane)
    return Volume(plain.voxels[:slices], geometry, replace(plain.info, **info))


@pytest.mark.parametrize(
    ("info", "window"),
    [
        ({"body_part": "HEAD"}, "brain"),
        ({"series_description": "Brain 5mm", "body_part": ""}, "brain"),
        ({"body_part": "HEAD", "kernel": "H70h", "series_description": "Bone 1.0"}, "bone"),
        ({"body_part": "CHEST", "kernel": "B60f"}, "lung"),
        ({"body_part": "CHEST", "kernel": "Br58d\\3"}, "lung"),
        ({"series_description": "Axial", "kernel": "LUNG"}, "lung"),
        ({"body_part": "CHEST", "kernel": "B60f", "study_description": "Head and chest"}, "lung"),
        ({"body_part": "THORAX", "kernel": "LUNG"}, "lung"),
        ({"body_part": "CHEST", "kernel": "B31f"}, None),
        ({"body_part": "ABDOMEN", "kernel": "B60f"}, None),
        ({"series_description": "Headless phantom"}, None),
        ({"series_description": "Axial 5mm", "study_description": "CT Brain"}, "brain"),
        ({"body_part": "CHEST", "study_description": "CT Head Chest Abdomen"}, None),
        ({"series_description": "Abdomen 3mm", "study_description": "Kopf + Abdomen"}, None),
        ({"series_description": "Axial 5mm", "study_description": "CT Head Chest"}, None),
        ({"body_part": "HEAD", "modality": "MR"}, None),
    ],
)
def test_windows_by_body_part_and_kernel(info: dict[str, str], window: str | None) -> None:
    decided = hang(series(**info))
    assert decided.window == (WINDOWS[window] if window else None)
    assert bool(decided.why) == (window is not None or info.get("modality") == "MR")


def test_a_scout_stands_alone_and_other_planes_are_large() -> None:
    assert hang(series(slices=1)).kind is Kind.SINGLE
    assert hang(series(series_description="Topogram 0.6 T20f")).kind is Kind.SINGLE
    coronal = hang(series(Plane.CORONAL))
    assert (coronal.main, coronal.kind) == (Plane.CORONAL, Kind.SIDE)
    assert "coronal" in coronal.why
    plain = hang(series())
    assert (plain.main, plain.kind, plain.why) == (Plane.AXIAL, None, "")


def test_every_rule_says_why() -> None:
    assert all(rule.why and rule.name for rule in RULES)


def visible(gui: Any) -> set[Plane]:
    gui.do(lambda: None)
    return {plane for plane in Plane if gui.view(plane).isVisible()}


def opened(gui: Any, folder: Path, volume: Volume) -> None:
    write_dicom_series(volume, folder, seed=str(folder))
    assert gui.open(folder)


def test_a_coronal_series_opens_large_and_an_axial_one_as_the_user_left_it(
    gui: Any, tmp_path: Path
) -> None:
    opened(gui, tmp_path / "coronal", series(Plane.CORONAL))
    sizes = {p: gui.view(p).width() * gui.view(p).height() for p in visible(gui)}
    assert max(sizes, key=lambda p: sizes[p]) is Plane.CORONAL
    assert "coronal" in gui.window.tools.views.layout.toolTip()
    opened(gui, tmp_path / "axial", series())
    assert gui.workspace.layouts.shown_kind is Kind.GRID
    assert "series" not in gui.window.tools.views.layout.toolTip()


def test_a_head_opens_in_the_brain_window_and_reset_comes_back_to_it(
    gui: Any, tmp_path: Path
) -> None:
    opened(gui, tmp_path / "head", series(body_part="HEAD"))
    assert gui.viewer.preset == "brain"
    gui.do(lambda: gui.viewer.set_window(Window(0, 100)))
    gui.do(gui.viewer.reset)
    assert gui.viewer.preset == "brain"


def test_the_users_choice_wins_until_the_next_series(gui: Any, tmp_path: Path) -> None:
    opened(gui, tmp_path / "sagittal", series(Plane.SAGITTAL))
    gui.do(lambda: gui.workspace.layouts.choose(Kind.GRID))
    assert visible(gui) == set(Plane)
    assert not gui.workspace.layouts.why
    opened(gui, tmp_path / "coronal", series(Plane.CORONAL))
    assert gui.workspace.layouts.shown_kind is Kind.SIDE


def test_nothing_is_arranged_where_the_user_does_not_want_it(gui: Any, tmp_path: Path) -> None:
    gui.do(gui.workspace.layouts.toggle_hanging)
    opened(gui, tmp_path / "coronal", series(Plane.CORONAL, body_part="HEAD"))
    assert gui.workspace.layouts.shown_kind is Kind.GRID
    assert gui.viewer.preset != "brain"


def test_a_series_that_does_not_open_after_all_leaves_everything_as_it_was(
    gui: Any, tmp_path: Path
) -> None:
    opened(gui, tmp_path / "head", series(body_part="HEAD"))
    viewer, layouts = gui.viewer, gui.workspace.layouts
    gui.do(lambda: viewer.use_preset("full range"))
    gui.do(lambda: viewer.turn(Plane.AXIAL, 0.3))
    gui.do(lambda: layouts.choose(Kind.SINGLE))
    gui.do(lambda: layouts.choose_main("coronal"))
    gui.do(lambda: viewer.maximise(Plane.AXIAL))
    before = [view.letters for view in viewer.shown.values()]
    gui.do(lambda: viewer.preview(series(Plane.SAGITTAL, body_part="CHEST", kernel="LUNG")))
    assert (viewer.preset, layouts.main) == ("lung", "sagittal")
    assert visible(gui) == {Plane.SAGITTAL}
    gui.do(viewer.drop_preview)
    assert viewer.preset == "full range"
    assert viewer.is_turned
    assert [view.letters for view in viewer.shown.values()] == before
    assert (layouts.main, layouts.shown_kind) == ("coronal", Kind.SINGLE)
    assert visible(gui) == {Plane.AXIAL}
    gui.do(viewer.reset)
    assert viewer.preset == "brain"


def test_what_the_user_does_while_a_series_fills_stays_when_it_is_there(gui: Any) -> None:
    viewer, layouts = gui.viewer, gui.workspace.layouts
    filling, whole = (series(Plane.CORONAL, body_part="HEAD") for _ in range(2))
    gui.do(lambda: viewer.preview(filling))
    assert (viewer.preset, layouts.shown_kind) == ("brain", Kind.SIDE)
    gui.do(lambda: viewer.use_preset("bone"))
    gui.do(lambda: layouts.choose(Kind.GRID))
    gui.do(lambda: viewer.show(replace(whole, source="series")))
    assert (viewer.preset, layouts.shown_kind) == ("bone", Kind.GRID)
    gui.do(viewer.reset)
    assert viewer.preset == "brain"
