"""Answers come back with their series, and never to another one."""

from __future__ import annotations

import gc
import threading
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.viewmodels.assistant import exports
from app.viewmodels.assistant.answers import Seen, Turn, TurnState
from app.viewmodels.assistant.recall import LAST_SERIES, PastAnswers
from app.viewmodels.assistant.strip import strip_of
from app.viewmodels.study.study import Target
from med2e3.engine import Scores
from med2e3.engine.grounding import Mask
from med2e3.geometry import Geometry, Plane
from med2e3.io import load_volume, write_nifti
from med2e3.io.dicom import header_pool, reader
from med2e3.preprocessing import prepare
from med2e3.volume import Volume
from tests.app.bodies import phantom
from tests.med2e3.io.mixed import add, body

GRID = (8, 16, 16)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another series on the same grid as the phantom."""
    return write_nifti(phantom("Other", value=700), tmp_path / "other.nii")


def strip(gui: Any) -> Any:
    return gui.window.centre.cells[Plane.AXIAL].strip.strip


def peak(gui: Any) -> int:
    return int(np.argmax([cell.times_uniform for cell in strip(gui).cells]))


def card(gui: Any, turn: Turn) -> Any:
    return next(c for c in gui.window.assistant.chat.cards if c.turn is turn)


def test_answers_are_there_again_with_their_series(open_gui: Any, nifti: Path, other: Path) -> None:
    gui = open_gui
    first = gui.ask("First?")
    gui.engine.peak = 6
    chosen = gui.ask("Second?")
    said, csv = card(gui, chosen).status.text(), exports.scores_csv(chosen)
    record, slices = dict(chosen.record), chosen.seen.slices
    assert gui.open(other)
    assert strip(gui) is None
    assert card(gui, chosen).status.text().startswith("about")
    gui.engine.peak = 4
    theirs = gui.ask("Theirs?")
    assert gui.open(nifti)
    assert gui.assistant.shown is chosen
    assert chosen.volume is gui.viewer.volume
    assert peak(gui) == 6
    assert card(gui, chosen).status.text() == said
    assert card(gui, chosen).bars.isVisible()
    assert exports.scores_csv(chosen) == csv
    assert chosen.record == record
    assert np.array_equal(chosen.seen.slices, slices)
    assert len(gui.window.centre.sheet.tiles.tile_rects()) == GRID[0]
    gui.do(lambda: QTest.mouseClick(card(gui, first), Qt.MouseButton.LeftButton))
    assert peak(gui) == 2
    gui.do(lambda: gui.assistant.choose(theirs))
    assert strip(gui) is None
    assert gui.open(other)
    assert gui.assistant.shown is theirs
    assert peak(gui) == 4


def test_an_answer_that_streamed_when_the_reader_left_is_there_as_stopped(
    open_gui: Any, nifti: Path, other: Path
) -> None:
    gui = open_gui
    gui.engine.gate.clear()
    turn = gui.start("Is there a nodule?")
    gui.engine.step()
    gui.until(lambda: turn.text == "There ")
    assert gui.open(other)
    assert gui.open(nifti)
    assert turn.state is TurnState.STOPPED
    assert "stopped" in card(gui, turn).status.text()
    assert card(gui, turn).answer.text() == "There "
    assert gui.assistant.shown is turn
    assert peak(gui) == 2


def test_an_answer_stays_with_a_series_that_grows_as_its_folder_is_scanned(
    gui: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "REPORT_EVERY_S", 0.0)
    monkeypatch.setattr(reader, "SCAN_TO_REPORT", 0)
    add(tmp_path / "s" / "1", "a", body(5), uid="1.2.1")
    late = add(tmp_path / "s" / "2", "b", body(6), uid="1.2.2")
    late[-1].rename(tmp_path / "s" / "2" / "z.dcm")
    original, asked_about = header_pool.read_header, threading.Event()

    def waits(path: Path) -> Any:
        if path.name == "z.dcm":
            asked_about.wait(20)
        return original(path)

    def chosen() -> Any:
        wanted = (s for s in gui.study.series if s.count == 5 and s.key == ("1.2.2",))
        return next(wanted, None)

    monkeypatch.setattr(header_pool, "read_header", waits)
    gui.load_model()
    gui.do(lambda: gui.study.start(Target(tmp_path / "s")))
    gui.until(chosen)
    gui.do(lambda: gui.study.pick(chosen()))
    gui.until(lambda: gui.assistant.volume is not None and gui.assistant.can_ask)
    turn = gui.ask()
    part, mm = gui.viewer.volume, [cell.mm for cell in strip(gui).cells]
    asked_about.set()
    gui.until(lambda: gui.assistant.volume is not part)
    assert gui.viewer.volume.shape[0] == 6
    assert gui.assistant.shown is turn
    assert [cell.mm for cell in strip(gui).cells] == mm
    assert peak(gui) == 2


def test_answers_stay_where_a_preview_is_dropped(open_gui: Any) -> None:
    gui = open_gui
    turn = gui.ask()
    gui.do(lambda: gui.viewer.preview(phantom("Other")))
    assert strip(gui) is None
    gui.do(gui.viewer.drop_preview)
    assert gui.assistant.shown is turn
    assert peak(gui) == 2
    assert card(gui, turn).bars.isVisible()


def asked(volume: Volume, plane: Plane = Plane.AXIAL) -> Turn:
    """A turn about a volume, as the model host and the model make it."""
    given = prepare(volume, GRID, plane=plane)
    weights = np.full(GRID[0], 1 / GRID[0], np.float32)
    seen = Seen(
        volume, plane, None, np.rint(given.grid[0].numpy() * 255).astype(np.uint8),
        given.geometry, given.crop_start, given.crop_shape, given.bands, given.unread_slices,
    )  # fmt: skip
    turn = Turn("?", "demo", volume, state=TurnState.DONE, seen=seen)
    turn.scores = Scores(weights, given.bands)
    voxels = volume.voxels > 500
    turn.masks = (Mask(voxels, volume.geometry),)
    return turn


def come_back(past: PastAnswers, turn: Turn, volume: Volume) -> Turn | None:
    """Leave the volume of a turn, and open another one."""
    assert turn.volume is not None
    past.put_away(turn.volume, [turn], turn)
    turn.let_go()
    return past.bring_back(volume)


def part_of(whole: Volume, first: int, last: int) -> Volume:
    """The stored slices from `first` up to `last` of a series."""
    shape = (last - first, *whole.shape[1:])
    geometry = whole.geometry.cropped((first, 0, 0), shape)
    voxels, uids = whole.voxels[first:last], whole.slice_uids[first:last]
    return replace(whole, voxels=voxels, slice_uids=uids, geometry=geometry)


def upside_down(volume: Volume) -> Volume:
    """The same slices, stored from the other end."""
    affine = volume.geometry.affine_lps.copy()
    affine[:3, 3] += affine[:3, 0] * (volume.shape[0] - 1)
    affine[:3, 0] *= -1
    geometry = Geometry(volume.shape, affine)
    uids = volume.slice_uids[::-1]
    return replace(volume, voxels=volume.voxels[::-1], slice_uids=uids, geometry=geometry)


@pytest.mark.parametrize("plane", list(Plane))
@pytest.mark.parametrize(("first", "last"), [(0, 9), (3, 14), (12, 24)])
@pytest.mark.parametrize("turned", [False, True])
def test_answers_lie_at_the_same_millimetres_where_their_series_has_grown(
    dicom: Path, plane: Plane, first: int, last: int, turned: bool
) -> None:
    whole = load_volume(dicom)
    whole = upside_down(whole) if turned else whole
    turn = asked(part_of(whole, first, last), plane)
    read = uids_read(turn)
    mask = turn.masks[0]
    past = PastAnswers()
    assert come_back(past, turn, whole) is turn
    assert turn.volume is whole
    assert uids_read(turn) == read
    view = whole.geometry.oriented(plane)
    patient_axis = {Plane.SAGITTAL: 0, Plane.CORONAL: 1, Plane.AXIAL: 2}[plane]
    found = strip_of(turn)
    assert found is not None
    for cell in found.cells:
        ends = [
            view.to_patient_mm((edge * found.slice_count - 0.5, 0, 0))[patient_axis]
            for edge in (cell.top, cell.bottom)
        ]
        assert sorted(ends) == pytest.approx(cell.mm)
    assert turn.scores is not None
    assert turn.scores.bands == turn.seen.bands
    assert turn.masks[0].voxels.shape == whole.shape
    assert turn.masks[0].millilitres == mask.millilitres
    if mask.centre_mm is not None:
        assert turn.masks[0].centre_mm == pytest.approx(mask.centre_mm)


def uids_read(turn: Turn) -> set[str]:
    """The images of which the model read any slice of an axial stack."""
    assert turn.seen is not None
    seen = turn.seen
    if seen.volume.geometry.orientation(seen.plane).axes[0] != 0:
        return set()
    return {uid for k, uid in enumerate(seen.volume.slice_uids) if k not in seen.unread}


def test_answers_do_not_come_to_slices_that_were_pushed_apart(dicom: Path) -> None:
    """As where every second slice was there first: their bands would lie elsewhere."""
    whole = load_volume(dicom)
    affine = whole.geometry.affine_lps.copy()
    affine[:3, 0] *= 2
    geometry = Geometry((12, *whole.shape[1:]), affine)
    uids, voxels = whole.slice_uids[::2], whole.voxels[::2]
    turn = asked(replace(whole, voxels=voxels, slice_uids=uids, geometry=geometry))
    assert come_back(PastAnswers(), turn, whole) is None
    assert turn.volume is None


def test_answers_come_to_no_other_series_and_no_other_grid(dicom: Path) -> None:
    volume = load_volume(dicom)
    affine = volume.geometry.affine_lps.copy()
    affine[:3, 0] *= 1.5
    other = replace(volume, info=replace(volume.info, series_uid="1.2.3"))
    for elsewhere in (other, replace(volume, geometry=Geometry(volume.shape, affine))):
        past, turn = PastAnswers(), asked(volume)
        assert come_back(past, turn, elsewhere) is None
        assert turn.volume is turn.seen is None
        assert past.bring_back(replace(volume)) is turn


def test_what_waits_holds_no_volume_and_the_masks_are_the_same_after() -> None:
    volume = phantom()
    turn = asked(volume)
    voxels = turn.masks[0].voxels.copy()
    past, gone = PastAnswers(), weakref.ref(volume.voxels)
    assert come_back(past, turn, phantom("Other", value=700)) is None
    del volume
    gc.collect()
    assert gone() is None
    past.bring_back(phantom())
    assert np.array_equal(turn.masks[0].voxels, voxels)


def test_equal_grids_wait_once_and_the_last_series_alone_are_kept() -> None:
    past, turns = PastAnswers(), []
    for k in range(LAST_SERIES + 1):
        volume = phantom(value=600 + k)
        pair = [asked(volume), asked(volume)]
        past.put_away(volume, pair, pair[0])
        turns.append(pair)
        for turn in pair:
            turn.let_go()
    assert past.bring_back(phantom(value=600)) is None
    for k, (one, same) in list(enumerate(turns))[1:]:
        assert past.bring_back(phantom(value=600 + k)) is one
        assert one.seen is not None
        assert same.seen is not None
        assert one.seen.slices is same.seen.slices
