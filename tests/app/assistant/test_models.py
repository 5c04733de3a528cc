"""View-models and helpers without a window: geometry of the screen, windows, words, settings."""

from __future__ import annotations

import ast
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtGui import QKeySequence

from app.imaging import numbers, windows
from app.imaging.colour_names import ColourMap
from app.imaging.slice_reader import SliceReader
from app.imaging.viewport import Viewport
from app.rendering import colours
from app.rendering.grey import GreyMap
from app.services.errors import explain
from app.settings import RECENT_PLACES
from app.viewmodels.core.settings import Settings
from app.viewmodels.core.signal import Signal
from app.viewmodels.images.viewer import Viewer
from app.viewmodels.window.commands import COMMANDS
from med2e3.errors import ImageReadError
from med2e3.geometry import Geometry, Plane
from med2e3.volume import WINDOWS, SeriesInfo, Volume, Window
from tests.app.bodies import phantom


def test_a_viewport_maps_there_and_back() -> None:
    viewport = Viewport((300, 200), (40, 56), (2.0, 1.0), zoom=1.7, centre=(11.0, 30.5))
    for index in ((0.0, 0.0), (39.0, 55.0), (12.3, 4.5)):
        assert viewport.to_index(*viewport.to_screen(*index)) == pytest.approx(index)


def test_a_slice_just_fits_its_view() -> None:
    x, y, width, height = Viewport((300, 200), (40, 56), (2.0, 1.0)).image_rect()
    assert (y, height) == pytest.approx((0, 200))
    assert width == pytest.approx(200 * 56 / 80)
    assert x == pytest.approx((300 - width) / 2)


def test_zoom_has_limits_and_keeps_the_point() -> None:
    viewport = Viewport((300, 200), (40, 56), (2.0, 1.0))
    near = viewport.zoomed(1e6, 20, 30)
    assert near.zoom == 40
    assert near.to_index(20, 30) == pytest.approx(viewport.to_index(20, 30))
    assert viewport.zoomed(1e-6, 20, 30).zoom == 0.2


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_grey_runs_linearly_from_the_low_to_the_high_end_of_the_window(dtype: Any) -> None:
    values = np.array([[-1000, -160, -60, 40, 240, 3000]], dtype)
    greys = GreyMap(Window(40, 400)).pixels(values) & 0xFF
    assert greys.tolist() == [[0, 0, 63, 127, 255, 255]]
    inverted = GreyMap(Window(40, 400), inverted=True).pixels(values) & 0xFF
    assert inverted.tolist() == [[255, 255, 192, 128, 0, 0]]


def test_pixels_are_opaque_and_grey() -> None:
    pixel = int(GreyMap(Window(40, 400)).pixels(np.array([[40]], np.int16))[0, 0])
    assert pixel == 0xFF7F7F7F


@pytest.mark.parametrize("columns", [8, 6])
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize("mirrored", [False, True])
def test_slices_are_the_same_however_they_are_read(
    columns: int, dtype: Any, mirrored: bool
) -> None:
    values = np.arange(5 * 6 * columns).reshape(5, 6, columns).astype(dtype)
    geometry = Geometry.from_spacing(values.shape, (1, 1, 1))
    affine = geometry.affine_lps.copy()
    affine[:3, 2] *= -1 if mirrored else 1
    volume = Volume(values, Geometry(values.shape, affine))
    for plane in Plane:
        reader, turned = SliceReader(volume, plane), volume.in_plane(plane).voxels
        for index in (0, 3, 1, len(turned) - 1):
            assert np.array_equal(reader.read(index), turned[index])


def test_slices_read_again_after_the_voxels_changed_are_new() -> None:
    volume = Volume(np.zeros((4, 4, 4), np.int16), Geometry.from_spacing((4, 4, 4), (1, 1, 1)))
    reader = SliceReader(volume, Plane.SAGITTAL)
    assert reader.read(1).max() == 0
    volume.voxels[:] = 7
    reader.forget()
    assert reader.read(1).min() == 7


def test_a_volume_opens_with_the_window_of_its_file_else_soft_tissue_else_its_own_range() -> None:
    body = phantom()
    assert windows.initial(body) == WINDOWS["soft tissue"]
    own = SeriesInfo(modality="CT", windows=(Window(-600, 1200),))
    assert windows.initial(Volume(body.voxels, body.geometry, own)) == Window(-600, 1200)
    ramp = np.linspace(0, 1, body.voxels.size, dtype=np.float32).reshape(body.shape)
    window = windows.initial(Volume(ramp, body.geometry))
    assert (window.low, window.high) == pytest.approx((0.01, 0.99), abs=0.005)


@pytest.mark.parametrize(
    ("modality", "own", "said"),
    [
        ("CT", "", "HU"),
        ("CT", "HU", "HU"),
        ("CT", "US", "value"),  # unspecified (DICOM PS3.3 C.11.1.1.2)
        ("CT", "mgml", "mgml"),
        ("CT", "Z_EFF", "Z_EFF"),
        ("CT", "HU_MOD", "HU_MOD"),
        ("MR", "", "value"),
        ("MR", "US", "value"),
        ("MR", "HU", "value"),
        ("", "", "HU"),  # it has air
    ],
)
def test_the_unit_is_the_files_own_word_or_none(modality: str, own: str, said: str) -> None:
    body = phantom()
    info = replace(body.info, modality=modality, unit=own)
    assert windows.unit_of(replace(body, info=info)) == said


def test_ct_windows_are_for_values_that_lie_as_hounsfield_units_do() -> None:
    body = phantom()
    for unit in ("HU", "US", "HU_MOD"):
        shown = replace(body, info=replace(body.info, unit=unit))
        assert windows.initial(shown) == WINDOWS["soft tissue"]
    iodine = np.linspace(0, 10, body.voxels.size, dtype=np.float32).reshape(body.shape)
    window = windows.initial(Volume(iodine, body.geometry, replace(body.info, unit="mgml")))
    assert (window.low, window.high) == pytest.approx((0.1, 9.9), abs=0.05)


def test_a_preview_that_fails_gives_back_exactly_what_was_shown() -> None:
    viewer, body = Viewer(), phantom()
    viewer.show(body)
    viewer.go_to_slice(Plane.AXIAL, 3)
    viewer.set_window(Window(1, 2))
    viewer.preview(phantom("Other"))
    viewer.drop_preview()
    assert viewer.volume is body
    assert viewer.planes[Plane.AXIAL].slice_index == 3
    assert viewer.window == Window(1, 2)


def test_the_crosshair_stays_inside_the_volume() -> None:
    viewer, body = Viewer(), phantom()
    viewer.show(body)
    viewer.move_crosshair(np.array([1e4, -1e4, 1e4]))
    index = body.geometry.to_index(viewer.crosshair_mm)
    assert index == pytest.approx([0, 0, 55])


def test_score_colours_rise_in_lightness_so_that_any_eye_sees_their_order() -> None:
    def lightness(times: float) -> float:
        colour = colours.score_colour(times)
        return 0.2126 * colour.redF() + 0.7152 * colour.greenF() + 0.0722 * colour.blueF()

    steps = [lightness(times) for times in (0, 0.5, 1, 2, 4, 8, 16, 32)]
    assert steps == sorted(steps)
    assert min(b - a for a, b in itertools.pairwise(steps)) > 0.008
    assert colours.score_colour(500) == colours.score_colour(32)


def test_numbers_are_written_with_a_true_minus_and_slices_from_one() -> None:
    assert numbers.signed(-0.04) == "0.0"
    assert numbers.millimetres((12.04, -31.5, 0)) == "(12.0, −31.5, 0.0) mm"
    assert numbers.slice_range(29, 33) == "slices 30–34"
    assert numbers.slice_range(29, 29) == "slice 30"
    assert numbers.times(0.5) == "×0.50"


def test_no_key_has_two_meanings() -> None:
    keys = [key for command in COMMANDS for key in command.keys]
    assert len(keys) == len(set(keys))
    assert all(QKeySequence(key).toString() for key in keys)


def test_settings_come_back_and_damaged_ones_give_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "settings.json"
    settings = Settings(file)
    settings.values.theme = "light"
    for k in range(RECENT_PLACES + 3):
        settings.remember_place(tmp_path / f"study {k}")
    again = Settings(file).values
    assert again.theme == "light"
    assert len(again.recent) == RECENT_PLACES
    assert again.recent[0].endswith(f"study {RECENT_PLACES + 2}")
    for damaged in ("", "[1]", '{"theme": 7, "recent": [1, "a"], "new": 1}'):
        file.write_text(damaged, encoding="utf-8")
        values = Settings(file).values
        assert values.theme == "dark"
        assert values.recent in ([], ["a"])


def test_own_errors_are_shown_unchanged_and_others_in_plain_words() -> None:
    own = explain(ImageReadError("slice_004.dcm: truncated; send it again."))
    assert own.sentence == "slice_004.dcm: truncated; send it again."
    denied = explain(PermissionError(13, "Permission denied", "/a/b"))
    assert "/a/b" in denied.sentence
    assert "memory" in explain(MemoryError()).sentence
    strange = explain(KeyError("soup"))
    assert "KeyError" in strange.sentence
    assert "soup" in strange.details


def test_a_listener_may_leave_while_it_is_told() -> None:
    signal: Signal[[int]] = Signal()
    heard: list[int] = []
    leave = signal.connect(lambda n: (heard.append(n), leave()))
    signal.connect(lambda n: heard.append(10 * n))
    signal.emit(1)
    signal.emit(2)
    assert heard == [1, 10, 20]


def test_only_the_jobs_start_threads() -> None:
    root = Path(__file__).parents[3] / "app"
    starters = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in ("Thread", "ThreadPoolExecutor"):
                starters.add(path.name)
    assert starters == {"jobs.py"}


def test_a_preview_that_is_dropped_leaves_nothing_behind() -> None:
    """Unit, colours and slab too; and what was no CT is none when its voxels have come."""
    viewer = Viewer()
    other = replace(phantom(), info=replace(phantom().info, modality="MR"))
    viewer.show(other)
    viewer.use_colours(ColourMap.HOT_IRON)
    before = (viewer.unit, viewer.colours, viewer.slab, viewer.window)
    assert viewer.unit == "value"
    viewer.preview(phantom("Other"))
    assert viewer.unit == "HU"
    viewer.drop_preview()
    assert (viewer.unit, viewer.colours, viewer.slab, viewer.window) == before


def test_the_unit_is_that_of_the_voxels_not_of_the_preview() -> None:
    viewer = Viewer()
    bare = replace(phantom(), info=replace(phantom().info, modality=""))
    air = replace(bare, voxels=np.full_like(bare.voxels, -1024))
    viewer.preview(air)
    assert viewer.unit == "HU"
    viewer.show(replace(bare, voxels=np.abs(bare.voxels)))
    assert viewer.unit == "value"
