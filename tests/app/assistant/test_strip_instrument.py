"""The strip as an instrument: peaks by key, ranks, marks in the other planes, what was viewed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt

from app.viewmodels.assistant.levels import levels_of
from app.viewmodels.assistant.strip import BandCell, Strip, strip_of
from med2e3.engine import Scores
from med2e3.geometry import Plane
from med2e3.io.write import write_nifti
from tests.app.bodies import phantom
from tests.app.conftest import Gui


def _strip(*times: float) -> Strip:
    count = len(times)
    cells = tuple(
        BandCell(k, k / count, (k + 1) / count, t / count, t, (k, k), (0.0, 1.0), "z")
        for k, t in enumerate(times)
    )
    return Strip(cells, (), count)


def _places(cells: Any) -> list[int]:
    return [cell.model_slice for cell in cells]


def test_peaks_are_above_uniform_and_above_their_neighbours() -> None:
    assert _places(_strip(0.5, 2, 3, 0.2, 0.1, 1.2, 0.9).peaks) == [2, 5]
    assert _places(_strip(4, 0, 0, 0).peaks) == [0]
    assert _places(_strip(0, 2, 2, 0).peaks) == [1]
    assert _places(_strip(1, 1, 1, 1).peaks) == []
    assert _places(_strip(2, 0, 0.9, 0, 2).peaks) == [0, 4]


def test_the_next_peak_is_beyond_the_slice_and_its_band() -> None:
    strip = _strip(0, 3, 0, 0, 3, 0)
    assert _places([strip.peak_from(0, 1)]) == [1]
    assert _places([strip.peak_from(1, 1)]) == [4]
    assert _places([strip.peak_from(5, -1)]) == [4]
    assert _places([strip.peak_from(4, -1)]) == [1]
    assert strip.peak_from(4, 1) is None
    assert strip.peak_from(1, -1) is None


def test_ranks_are_those_of_weight() -> None:
    assert _places(_strip(0, 3, 0.5, 0.1, 2.4, 0).ranked) == [1, 4]
    assert _places(_strip(3, 2, 1.5, 1.2, 0).ranked) == [0, 1, 2]


def test_nearly_equal_weights_are_said_to_be() -> None:
    assert "8 of 8" in _strip(*[1.0] * 8).flat
    assert _strip(0, 0, 0, 8, 0, 0, 0, 0).flat == ""


def test_the_strip_itself_says_that_it_is_nearly_flat(open_gui: Gui) -> None:
    turn = open_gui.ask()
    strip = open_gui.window.centre.cells[turn.seen.plane].strip
    said: list[str] = []
    paint = strip._paint_along
    strip._paint_along = lambda painter, text, colour: (
        said.append(text) or paint(painter, text, colour)
    )
    peaked = strip.grab().toImage()
    assert said == []
    turn.scores = Scores(np.full(8, 1 / 8, np.float32), turn.seen.bands)
    open_gui.do(lambda: open_gui.assistant.choose(turn))
    assert strip.grab().toImage() != peaked
    assert said[-1] == strip.strip.flat == "nearly flat: 8 of 8 slices weigh alike"


@pytest.fixture
def answered(open_gui: Gui) -> Gui:
    open_gui.ask()
    return open_gui


def test_keys_go_from_peak_to_peak_in_the_models_plane(answered: Gui) -> None:
    turn = answered.assistant.shown
    assert turn is not None
    seen = turn.seen
    assert seen is not None
    strip = strip_of(turn)
    assert strip is not None
    (peak,) = strip.peaks  # the fake model has one
    answered.do(lambda: answered.viewer.go_to_slice(seen.plane, 0))
    answered.do(lambda: answered.view(seen.plane).setFocus())  # no longer in the question
    answered.key(Qt.Key.Key_Period)
    wanted = round(seen.centre_slice(peak.model_slice))
    assert answered.viewer.planes[seen.plane].slice_index == pytest.approx(wanted, abs=0.51)
    there = answered.viewer.planes[seen.plane].slice_index
    answered.key(Qt.Key.Key_Period)
    assert answered.viewer.planes[seen.plane].slice_index == there
    answered.do(lambda: answered.viewer.go_to_slice(seen.plane, seen.slice_count - 1))
    answered.key(Qt.Key.Key_Comma)
    assert answered.viewer.planes[seen.plane].slice_index == there


def _level_mm(gui: Gui, plane: Plane) -> list[tuple[float, float]]:
    """Of each marked band in a plane: its two edges along z, at the first border."""
    state = gui.viewer.planes[plane]
    view = gui.window.centre.cells[plane].view
    viewport = view.viewport()
    found = []
    for level in levels_of(gui.assistant.shown, state.mm_at, viewport.shape):
        ends = [sorted(float(state.mm_at(*point)[2]) for point in ends) for ends in level.ends]
        np.testing.assert_allclose(ends[0], ends[1], atol=1e-3)
        found.append((ends[0][0], ends[0][1]))
    return found


@pytest.mark.parametrize("plane", [Plane.CORONAL, Plane.SAGITTAL])
def test_marks_in_the_other_planes_lie_where_the_bands_do(answered: Gui, plane: Plane) -> None:
    turn = answered.assistant.shown
    assert turn is not None
    assert turn.scores is not None
    marks = _level_mm(answered, plane)
    bands = [scored.band for scored in turn.scores.top(3) if scored.times_uniform > 1]
    assert len(marks) == len(bands) == 1  # the fake model has one peak
    for (low, high), band in zip(marks, bands, strict=True):
        assert low == pytest.approx(band.from_mm, abs=1e-3)
        assert high == pytest.approx(band.to_mm, abs=1e-3)


def test_the_models_own_plane_has_the_strip_and_no_marks(answered: Gui) -> None:
    assert _level_mm(answered, Plane.AXIAL) == []


def test_marks_are_painted_and_vanish_with_the_scores(answered: Gui, tmp_path: Path) -> None:
    view = answered.window.centre.cells[Plane.CORONAL].view
    with_marks = view.grab().toImage()
    turn = answered.assistant.chosen
    answered.do(lambda: answered.assistant.choose(None))
    without = view.grab().toImage()
    assert with_marks != without
    answered.do(lambda: answered.assistant.choose(turn))
    assert view.grab().toImage() == with_marks
    other = write_nifti(phantom(), tmp_path / "other.nii.gz")
    assert answered.open(other)
    assert answered.viewer.volume is not None


def test_turned_planes_are_crossed_by_slanted_bands() -> None:
    """A plane turned by 45 degrees about x: rows climb along z and y alike."""
    from app.viewmodels.assistant.answers import Seen, Turn
    from med2e3.preprocessing import prepare

    volume = phantom()
    given = prepare(volume, (8, 16, 16), plane=Plane.AXIAL, crop=False)
    weights = np.full(8, 0.5 / 7, np.float32)
    weights[2] = 0.5
    seen = Seen(
        volume, given.plane, None, np.zeros((8, 16, 16), np.uint8), given.geometry,
        given.crop_start, given.crop_shape, given.bands, given.unread_slices,
    )  # fmt: skip
    turn = Turn("?", "model", volume, seen=seen, scores=Scores(weights, given.bands))
    centre = volume.geometry.centre_mm
    down = np.array([0.0, 1.0, -1.0]) / np.sqrt(2)

    def mm_at(row: float, column: float) -> Any:
        return centre + (row - 20) * down + (column - 20) * np.array([1.0, 0.0, 0.0])

    (first, *_) = levels_of(turn, mm_at, (41, 41))
    assert first.model_slice == 2
    for ends in first.ends:
        heights = sorted(float(mm_at(*point)[2]) for point in ends)
        band = given.bands[2]
        assert heights == pytest.approx([band.from_mm, band.to_mm], abs=1e-6)


def test_slices_on_the_screen_are_counted_as_viewed(open_gui: Gui) -> None:
    viewed, viewer = open_gui.workspace.viewed, open_gui.viewer
    start = viewer.planes[Plane.AXIAL].slice_index
    assert viewed.of(Plane.AXIAL) == {start}
    open_gui.do(lambda: viewer.go_to_slice(Plane.AXIAL, start + 1))
    open_gui.do(lambda: viewer.go_to_slice(Plane.AXIAL, start + 3))
    assert viewed.of(Plane.AXIAL) == {start, start + 1, start + 3}
    open_gui.do(lambda: viewer.maximise(Plane.CORONAL))
    open_gui.do(lambda: viewer.go_to_slice(Plane.AXIAL, start + 5))
    assert start + 5 not in viewed.of(Plane.AXIAL)


def test_another_volume_begins_with_nothing_viewed(open_gui: Gui, tmp_path: Path) -> None:
    viewer = open_gui.viewer
    open_gui.do(lambda: viewer.go_to_slice(Plane.AXIAL, 1))
    assert open_gui.open(write_nifti(phantom(), tmp_path / "other.nii.gz"))
    assert len(open_gui.workspace.viewed.of(Plane.AXIAL)) == 1
