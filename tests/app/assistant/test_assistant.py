"""Questions in the real window: streaming, stopping, scores that never outlive their volume."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QGuiApplication, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.rendering import colours
from app.viewmodels.assistant import exports
from app.viewmodels.assistant.answers import TurnState
from app.viewmodels.assistant.assistant import ModelState
from app.viewmodels.report.report import Report
from med2e3.errors import CheckpointError, QuestionError
from med2e3.geometry import Geometry, Plane
from med2e3.io import load_volume, write_nifti
from med2e3.volume import Window
from tests.app.bodies import SHAPE, phantom

LEFT = Qt.MouseButton.LeftButton


def cards(gui: Any) -> list[Any]:
    return gui.window.assistant.chat.cards


def strip(gui: Any, plane: Plane = Plane.AXIAL) -> Any:
    return gui.window.centre.cells[plane].strip


def click(gui: Any, widget: Any, x: float, y: float) -> None:
    gui.do(lambda: QTest.mouseClick(widget, LEFT, pos=QPoint(round(x), round(y))))


def choose_window(gui: Any, name: str) -> None:
    """Which window the model is given, as chosen under the question."""
    choice = gui.window.assistant.ask_box.window_choice
    choice.setCurrentIndex(choice.findData(name))  # its text may be marked
    choice.activated.emit(choice.currentIndex())


def press(gui: Any, button: Any) -> None:
    gui.do(lambda: QTest.mouseClick(button, LEFT))


@pytest.fixture
def held(open_gui: Any) -> Any:
    """An answer that has begun and waits before its second word."""
    engine = open_gui.engine
    engine.gate.clear()
    open_gui.turn = open_gui.start("Is there a nodule?")
    open_gui.until(lambda: engine.answers)
    return open_gui


def test_a_typed_question_is_answered_and_the_box_is_empty_again(open_gui: Any) -> None:
    turn = open_gui.ask("Is there a nodule?")
    assert turn.state is TurnState.DONE
    assert cards(open_gui)[0].answer.text() == "There is a nodule."
    assert cards(open_gui)[0].question.text() == "Is there a nodule?"
    assert open_gui.window.assistant.ask_box.line.text() == ""
    assert turn.record["answer"] == "There is a nodule."


def test_words_appear_while_the_answer_streams(held: Any) -> None:
    held.engine.step()
    held.until(lambda: held.turn.text == "There ")
    held.until(lambda: cards(held)[0].answer.text().startswith("There"))
    assert held.turn.state is TurnState.STREAMING
    held.engine.step()
    held.until(lambda: held.turn.text == "There is ")
    held.engine.gate.set()
    held.until(lambda: not held.turn.running)
    assert cards(held)[0].answer.text() == "There is a nodule."


def test_scores_are_shown_before_the_first_word(held: Any) -> None:
    held.until(lambda: held.turn.scores is not None)
    assert held.turn.text == ""
    assert strip(held).strip.cells[2].times_uniform == pytest.approx(4.0)


def test_the_window_answers_the_mouse_while_the_model_works(held: Any) -> None:
    held.until(lambda: held.turn.scores is not None)
    before = held.viewer.planes[Plane.AXIAL].slice_index
    held.wheel(held.view(Plane.AXIAL), -2)
    assert held.viewer.planes[Plane.AXIAL].slice_index == before + 2
    assert held.turn.running


def test_stop_keeps_the_words_that_came(held: Any) -> None:
    held.engine.step()
    held.until(lambda: held.turn.text == "There ")
    button = held.window.assistant.ask_box.button
    assert button.text() == "Stop"
    press(held, button)
    assert held.turn.state is TurnState.STOPPED
    assert held.turn.text == "There "
    assert held.engine.answers[0].stopped.is_set()
    assert button.text() == "Ask"
    assert "stopped" in cards(held)[0].status.text()
    assert held.ask("And now?").state is TurnState.DONE
    assert held.turn.text == "There "


def test_escape_stops_the_answer(held: Any) -> None:
    held.until(lambda: held.turn.scores is not None)
    held.key(Qt.Key.Key_Escape)
    assert held.turn.state is TurnState.STOPPED


def test_another_study_stops_the_answer_and_takes_its_scores_away(
    held: Any, tmp_path: Path
) -> None:
    held.until(lambda: strip(held).strip is not None)
    other = write_nifti(phantom("Other"), tmp_path / "other.nii")
    assert held.open(other)
    assert held.turn.state is TurnState.STOPPED
    assert strip(held).strip is None
    assert held.window.centre.sheet.tiles.tile_rects() == []
    assert "No answer" in held.window.assistant.scores.title.text()
    click(held, cards(held)[0], 5, 5)  # the old answer is still there to read, not to point
    assert strip(held).strip is None
    assert held.turn.volume is None


def test_a_study_that_fails_to_open_leaves_the_answer_running(held: Any, tmp_path: Path) -> None:
    held.until(lambda: held.turn.scores is not None)
    assert not held.open(tmp_path / "nothing")
    assert held.turn.running
    assert strip(held).strip is not None


def test_each_answer_keeps_its_own_scores(open_gui: Any) -> None:
    first = open_gui.ask("First?")
    open_gui.engine.peak = 6
    second = open_gui.ask("Second?")
    peaks = lambda: int(np.argmax([c.times_uniform for c in strip(open_gui).strip.cells]))  # noqa: E731
    assert peaks() == 6
    click(open_gui, cards(open_gui)[0], 5, 5)
    assert open_gui.assistant.shown is first
    assert peaks() == 2
    click(open_gui, cards(open_gui)[1].answer, 3, 3)
    assert open_gui.assistant.shown is second
    assert peaks() == 6


def test_a_click_on_a_band_brings_the_view_there(open_gui: Any) -> None:
    turn = open_gui.ask()
    widget = strip(open_gui)
    for cell in (widget.strip.cells[2], widget.strip.cells[7], widget.strip.cells[0]):
        click(open_gui, widget, 30, widget.y_of((cell.top + cell.bottom) / 2))
        shown = open_gui.viewer.planes[Plane.AXIAL].slice_index
        low, high = turn.seen.edges[cell.model_slice : cell.model_slice + 2]
        assert low <= shown <= high
        mm = open_gui.viewer.planes[Plane.AXIAL].position_mm
        assert cell.mm[0] <= mm <= cell.mm[1]


def test_bands_lie_where_their_millimetres_are(open_gui: Any) -> None:
    open_gui.ask()
    geometry = phantom().geometry
    for cell in strip(open_gui).strip.cells:
        top_mm = geometry.to_patient_mm((cell.top * SHAPE[0] - 0.5, 0, 0))[2]
        bottom_mm = geometry.to_patient_mm((cell.bottom * SHAPE[0] - 0.5, 0, 0))[2]
        assert (bottom_mm, top_mm) == pytest.approx(cell.mm)


def test_slices_cropped_away_belong_to_no_band(open_gui: Any) -> None:
    open_gui.ask()
    cells = strip(open_gui).strip.cells
    # The first and the last slice of the phantom are air, which the model is not given.
    assert cells[0].top == pytest.approx(1 / SHAPE[0])
    assert cells[-1].bottom == pytest.approx(1 - 1 / SHAPE[0])
    assert "not given" in strip(open_gui).tip_at(strip(open_gui).y_of(0.4 / SHAPE[0]))
    assert open_gui.assistant.shown.seen.unread_view_slices[0] == 0


def test_the_marker_follows_the_view(open_gui: Any) -> None:
    open_gui.ask()
    widget = strip(open_gui)
    for index in (0, 11, SHAPE[0] - 1):
        open_gui.do(lambda k=index: open_gui.viewer.go_to_slice(Plane.AXIAL, k))
        assert widget.marker == pytest.approx((index + 0.5) / SHAPE[0])
        y = round(widget.y_of(widget.marker))
        row = open_gui.pixels(widget)[y - 1 : y + 2, 30:60].astype(int)
        assert (row[:, :, 2] - row[:, :, 0] > 60).any()  # the accent, blue


def test_the_band_has_the_colour_of_its_multiple_on_a_fixed_scale(open_gui: Any) -> None:
    open_gui.ask()
    widget = strip(open_gui)
    open_gui.do(lambda: open_gui.viewer.go_to_slice(Plane.AXIAL, SHAPE[0] - 1))
    cell = widget.strip.cells[2]
    y = round(widget.y_of((cell.top + cell.bottom) / 2))
    colour = colours.score_colour(4.0)
    expected = [colour.red(), colour.green(), colour.blue()]
    assert list(open_gui.pixels(widget)[y, 18]) == pytest.approx(expected, abs=2)


def test_the_strip_stands_beside_the_plane_that_the_model_was_given(open_gui: Any) -> None:
    assert strip(open_gui).isVisible()
    box = open_gui.window.assistant.ask_box

    def choose() -> None:
        box.plane.setCurrentIndex(box.plane.findData(Plane.CORONAL))
        box.plane.activated.emit(box.plane.currentIndex())

    open_gui.do(choose)
    turn = open_gui.ask()
    assert turn.seen.plane is Plane.CORONAL
    assert strip(open_gui, Plane.CORONAL).isVisible()
    assert not strip(open_gui).isVisible()
    click(open_gui, strip(open_gui, Plane.CORONAL), 30, strip(open_gui, Plane.CORONAL).y_of(0.8))
    assert open_gui.viewer.planes[Plane.CORONAL].slice_index > 20


def test_the_wheel_over_the_strip_scrolls_as_over_the_view_itself(open_gui: Any) -> None:
    viewer, state = open_gui.viewer, open_gui.viewer.planes[Plane.AXIAL]
    widgets = (open_gui.view(Plane.AXIAL), strip(open_gui))

    def turn(widget: Any, delta: int) -> int:
        before, at = state.slice_index, QPointF(5, 50)
        none, phase = Qt.MouseButton.NoButton, Qt.ScrollPhase.NoScrollPhase
        plain, steps = Qt.KeyboardModifier.NoModifier, QPoint(0, delta)
        event = QWheelEvent(at, at, QPoint(), steps, none, plain, phase, False)
        open_gui.do(lambda: QApplication.sendEvent(widget, event))
        return state.slice_index - before

    assert [[turn(w, -40) for _ in range(3)] for w in widgets] == [[0, 0, 1]] * 2  # a touchpad
    assert [turn(w, 240) for w in widgets] == [-2, -2]
    other = replace(viewer.mouse, wheel_reversed=True)
    open_gui.do(lambda: viewer.dress(viewer.corners, viewer.display, other))
    assert [turn(w, 240) for w in widgets] == [2, 2]


def test_the_model_is_given_the_window_that_was_chosen(open_gui: Any) -> None:
    for name, expected in (
        ("model default", None),
        ("lung", "lung"),
        ("as displayed", Window(77, 222)),
    ):
        open_gui.do(lambda: open_gui.viewer.set_window(Window(77, 222)))
        open_gui.do(lambda name=name: choose_window(open_gui, name))
        open_gui.ask()
        assert open_gui.engine.reads[-1][2] == expected
    caption = open_gui.window.centre.sheet.caption.text()
    assert "W 222 L 77" in caption.replace("\u00a0", " ")


def test_a_second_question_does_not_read_the_volume_again(open_gui: Any) -> None:
    open_gui.ask("First?")
    open_gui.ask("Second?")
    assert len(open_gui.engine.reads) == 1


def test_a_window_asked_about_before_is_not_read_again(open_gui: Any) -> None:
    windows = ("lung", "bone", "soft tissue", "lung", "bone")
    for window in windows:
        open_gui.do(lambda name=window: choose_window(open_gui, name))
        open_gui.ask()
    assert [window for _, _, window in open_gui.engine.reads] == ["lung", "bone", "soft tissue"]


def test_a_volume_that_the_model_dropped_is_read_again(open_gui: Any) -> None:
    open_gui.ask("First?")
    (session,) = open_gui.engine.sessions
    session.cache = None
    open_gui.ask("Second?")
    open_gui.ask("Third?")
    assert len(open_gui.engine.reads) == 2


def test_the_sheet_shows_what_the_model_saw_and_leads_there(open_gui: Any) -> None:
    turn = open_gui.ask()
    tiles = open_gui.window.centre.sheet.tiles
    rects = tiles.tile_rects()
    assert len(rects) == 8
    middle = rects[5].center()
    click(open_gui, tiles, middle.x(), middle.y())
    low, high = turn.seen.edges[5:7]
    assert low <= open_gui.viewer.planes[Plane.AXIAL].slice_index <= high
    assert "8 axial slices of 16 × 16" in open_gui.window.centre.sheet.caption.text()
    assert "cropped away" in open_gui.window.centre.sheet.caption.text()


def test_a_draft_report_streams_into_the_report_and_is_marked_as_a_draft(open_gui: Any) -> None:
    panel = open_gui.window.assistant
    press(open_gui, panel.ask_box.ready[0])
    open_gui.until(lambda: open_gui.assistant.running is None)
    assert panel.report.editor.toPlainText() == "There is a nodule."
    assert panel.report.mark.isVisible()
    assert panel.report.author.text() == "unsigned, by demo"  # beside DRAFT
    press(open_gui, panel.report.copy)
    assert QGuiApplication.clipboard().text().startswith("DRAFT — NOT SIGNED")


def test_an_edited_report_is_not_overwritten_unasked(open_gui: Any) -> None:
    panel = open_gui.window.assistant
    press(open_gui, panel.ask_box.ready[0])
    open_gui.until(lambda: open_gui.assistant.running is None)
    open_gui.do(lambda: QTest.keyClicks(panel.report.editor, "No effusion. "))
    mine = panel.report.editor.toPlainText()
    assert "edited" in panel.report.author.text()
    press(open_gui, panel.ask_box.ready[0])
    open_gui.until(lambda: open_gui.assistant.running is None)
    assert panel.report.editor.toPlainText() == mine
    assert panel.report.offer.isVisible()
    open_gui.do(open_gui.workspace.report.accept)
    assert panel.report.editor.toPlainText() == "There is a nodule."


def test_a_report_never_stands_beside_another_patients_images(
    open_gui: Any, tmp_path: Path, nifti: Path
) -> None:
    panel = open_gui.window.assistant
    press(open_gui, panel.ask_box.ready[0])
    open_gui.until(lambda: open_gui.assistant.running is None)
    open_gui.open(write_nifti(phantom("Other"), tmp_path / "other.nii"))
    assert panel.report.editor.toPlainText() == ""
    assert not panel.report.mark.isVisible()
    open_gui.open(nifti)
    assert panel.report.editor.toPlainText() == "There is a nodule."


def test_two_files_of_one_folder_have_a_report_each() -> None:
    """They share the place that they were opened from, and name no series."""
    one = replace(phantom(), info=replace(phantom().info, series_uid=""), source="folder")
    other = replace(one, voxels=one.voxels + 1)
    report = Report()
    report.enter(one)
    report.edit("Large pneumothorax.")
    report.enter(other)
    assert report.text == ""
    report.enter(replace(one))
    assert report.text == "Large pneumothorax."


def test_what_is_typed_stays_with_a_series_that_grows_and_comes_to_no_other(dicom: Path) -> None:
    """As where the rest of its files is found later."""
    whole = load_volume(dicom)
    part = replace(
        whole, voxels=whole.voxels[:9], slice_uids=whole.slice_uids[:9],
        geometry=Geometry((9, *whole.shape[1:]), whole.geometry.affine_lps),
    )  # fmt: skip
    other = replace(whole, info=replace(whole.info, series_uid="1.2.3"))
    report = Report()
    report.enter(part)
    report.edit("Large pneumothorax.")
    report.enter(None)
    report.enter(other)
    assert report.text == ""
    report.enter(part)
    report.enter(whole)
    assert report.text == "Large pneumothorax."
    report.edit("None.")
    report.enter(part)
    assert report.text == "Large pneumothorax."


def test_a_failed_answer_says_why_in_the_conversation(open_gui: Any) -> None:
    open_gui.engine.failure = QuestionError("The question is empty. Type what you want to know.")
    turn = open_gui.ask("?")
    assert turn.state is TurnState.FAILED
    assert cards(open_gui)[0].status.text().startswith("The question is empty.")
    open_gui.engine.failure = None
    assert open_gui.ask("Again?").state is TurnState.DONE


def test_an_unexpected_failure_has_a_sentence_and_details(open_gui: Any) -> None:
    open_gui.engine.failure = RuntimeError("tensor soup")
    turn = open_gui.ask("?")
    assert "unexpected" in turn.message.sentence
    assert "tensor soup" in turn.message.details


def test_a_model_without_scores_says_so_on_the_strip(gui: Any, nifti: Path) -> None:
    gui.engine.has_scores = False
    gui.open(nifti)
    gui.load_model()
    turn = gui.ask()
    assert turn.scores is None
    assert "no slice scores" in strip(gui).tip_at(100)
    assert len(gui.window.centre.sheet.tiles.tile_rects()) == 8  # what it saw is still shown
    assert "gives no slice scores" in gui.window.assistant.scores.title.text()


def test_a_model_that_cannot_be_loaded_leaves_the_viewer_working(gui: Any, nifti: Path) -> None:
    gui.engine.load_failure = CheckpointError("model.safetensors is damaged; download it again.")
    gui.load_model("broken")
    header = gui.window.assistant.header
    assert gui.assistant.model_state is ModelState.FAILED
    assert header.notice.text() == "model.safetensors is damaged; download it again."
    assert gui.open(nifti)
    gui.wheel(gui.view(Plane.AXIAL), -1)
    assert not gui.window.assistant.ask_box.button.isEnabled()


def test_the_banner_says_what_the_model_is(open_gui: Any) -> None:
    header = open_gui.window.assistant.header
    assert header.banner.isVisible()
    assert "synthetic phantoms" in header.notice.text()
    assert header.facts.text() == "6.2 M parameters · CPU"


def test_scores_as_csv_have_one_row_a_model_slice(gui: Any, dicom: Path) -> None:
    gui.open(dicom)
    gui.load_model()
    turn = gui.ask()
    rows = exports.scores_csv(turn).splitlines()
    assert len(rows) == 1 + 8
    fields = dict(zip(rows[0].split(","), rows[3].split(","), strict=True))
    assert fields["model_slice"] == "3"
    assert float(fields["weight"]) == pytest.approx(0.5)
    band = turn.seen.bands[2]
    first, last = band.source_slices
    uids = set(turn.seen.volume.slice_uids[first : last + 1])
    assert set(fields["sop_instance_uids"].split()) == uids
    assert json.loads(exports.record_json(turn))["question"] == turn.question


def test_a_top_band_in_the_table_leads_there(open_gui: Any) -> None:
    turn = open_gui.ask()
    scores = open_gui.window.assistant.scores
    open_gui.do(lambda: open_gui.window.assistant.tabs.setCurrentWidget(scores))
    open_gui.do(lambda: scores.table.itemClicked.emit(scores.table.topLevelItem(0), 0))
    low, high = turn.seen.edges[2:4]
    assert low <= open_gui.viewer.planes[Plane.AXIAL].slice_index <= high
    assert "5.3 of 8 slices" in scores.title.text()
