"""What the window says of its own work: success, failure, what is read, whose file is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QRect
from PySide6.QtWidgets import QFileDialog

from app.viewmodels.core.work import Message, Progress
from app.viewmodels.study.study import Target
from app.views.window.window_memory import inside
from med2e3.errors import CheckpointError
from med2e3.geometry import Plane
from med2e3.io import write_dicom_series, write_nifti
from tests.app.annotating import Pen
from tests.app.bodies import phantom


def settle(gui: Any) -> None:
    for _ in range(4):
        gui.do(lambda: None)


def dialog_of(gui: Any) -> Any:
    return gui.window.findChildren(QFileDialog)[-1]


def name_in(dialog: Any) -> str:
    return Path(dialog.selectedFiles()[0]).name


def test_success_is_not_shown_in_the_red_of_failure(open_gui: Any) -> None:
    bar, notices = open_gui.window.errors, open_gui.workspace.notices
    open_gui.do(lambda: notices.show(Message("It failed.")))
    assert bar.property("bar") == "error"
    open_gui.do(lambda: notices.show(Message("3 files were written.", is_good=True)))
    assert bar.property("bar") == "notice"
    open_gui.do(notices.dismiss)


def test_an_export_that_succeeds_says_so_as_success(open_gui: Any, tmp_path: Path) -> None:
    exporter = open_gui.workspace.exporter
    open_gui.do(lambda: exporter.start_all(tmp_path, {"a.png": b"1"}, "picture"))
    open_gui.until(lambda: open_gui.workspace.notices.message is not None)
    assert open_gui.workspace.notices.message.is_good
    open_gui.do(lambda: exporter.start_all(tmp_path / "none", {"a.png": b"1"}, "picture"))
    open_gui.until(lambda: not open_gui.workspace.notices.message.is_good)


def test_bars_that_come_and_go_move_no_image(open_gui: Any) -> None:
    views = [cell.view for cell in open_gui.window.centre.cells.values()]
    settle(open_gui)
    before = [(v.size(), v.mapTo(open_gui.window, v.rect().topLeft())) for v in views]
    notices, study = open_gui.workspace.notices, open_gui.study
    open_gui.do(lambda: notices.show(Message("It failed. " * 30, "detail\n" * 5)))
    settle(open_gui)
    assert open_gui.window.errors.isVisible()
    assert [(v.size(), v.mapTo(open_gui.window, v.rect().topLeft())) for v in views] == before
    bar = open_gui.window.errors
    place = QRect(bar.mapTo(open_gui.window, bar.rect().topLeft()), bar.size())
    centre = open_gui.window.centre
    images = QRect(centre.mapTo(open_gui.window, centre.rect().topLeft()), centre.size())
    assert images.contains(place)
    assert bar.sentence.height() >= bar.sentence.heightForWidth(bar.sentence.width())
    open_gui.do(notices.dismiss)
    settle(open_gui)
    assert not open_gui.window.errors.isVisible()
    assert study.loading is None


def test_the_series_that_is_read_is_named_and_not_the_first_of_the_places(
    gui: Any, tmp_path: Path
) -> None:
    paths = [
        write_nifti(phantom(name), tmp_path / f"{name}.nii.gz") for name in ("first", "second")
    ]
    study = gui.study
    gui.run(study.open(Target(paths[0], others=(paths[1],))))
    other = next(s for s in study.series if s is not study.chosen)
    said: list[str] = []
    study.changed.connect(lambda: said.append(gui.window.loading.text.text()))
    gui.do(lambda: study.pick(other))
    gui.until(lambda: study.chosen is other)
    named = [text for text in said if other.label in text]
    assert named
    assert not any(paths[0].name in text for text in named)


def test_progress_of_a_scan_is_not_said_of_the_series_that_is_read_meanwhile(gui: Any) -> None:
    study = gui.study
    study._load_job, before = object(), study.progress
    study._scan_event(Progress(0.5, "Looking at another.dcm"))
    assert study.progress == before
    study._load_job = None
    study._scan_event(Progress(0.5, "Looking at another.dcm"))
    assert study.progress.doing == "Looking at another.dcm"


def test_files_of_two_patients_are_offered_under_two_names(gui: Any, tmp_path: Path) -> None:
    names = []
    for who, number in (("Doe^John", "4711"), ("Roe^Jane", "4712")):
        info = replace(phantom().info, patient_name=who, patient_id=number, study_date="20240131")
        folder = tmp_path / number
        write_dicom_series(replace(phantom(), info=info), folder, seed=number)
        gui.open(folder)
        gui.until(lambda: gui.workspace.annotations.volume is not None)
        gui.do(lambda: gui.workspace.report.edit("Nothing."))
        gui.do(gui.window.assistant.report.save.click)
        names.append(name_in(dialog_of(gui)))
        gui.do(lambda: dialog_of(gui).done(0))
    assert len(set(names)) == 2
    assert "Doe-John" in names[0]
    assert "4711" in names[0]
    assert "20240131" in names[0]
    assert all(name.endswith("-draft-report.txt") for name in names)
    gui.do(lambda: gui.window.dialogs.editor.set("patient_name", False))
    gui.do(gui.window.assistant.report.save.click)
    assert "Roe" not in name_in(dialog_of(gui))
    gui.do(lambda: dialog_of(gui).done(0))


def test_a_wrong_model_leaves_the_model_that_worked(open_gui: Any) -> None:
    open_gui.engine.load_failure = CheckpointError("There is no model in the folder.")
    open_gui.do(lambda: open_gui.window.load_model("/no/model"))
    header = open_gui.window.assistant.header
    open_gui.until(lambda: "no model in the folder" in header.notice.text())
    assert "demo stays loaded" in header.notice.text()
    assert open_gui.workspace.settings.values.model == "demo"
    turn = open_gui.ask()
    assert turn.complete
    open_gui.engine.load_failure = None
    open_gui.do(lambda: open_gui.window.load_model("other"))
    open_gui.until(lambda: open_gui.workspace.settings.values.model == "other")
    assert "stays" not in header.notice.text()


def test_a_large_model_makes_room_first_and_comes_back_where_the_new_one_fails(
    gui: Any, nifti: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.model_host.BESIDE", 1)
    gui.open(nifti)
    gui.load_model()
    asked: list[str] = []
    load = gui.engine.load

    def failing(name: str, **how: Any) -> Any:
        asked.append(name)
        if name == "broken":
            raise CheckpointError("broken")
        return load(name, **how)

    host = gui.application.workspace.assistant._host
    monkeypatch.setattr(host, "_load_model", failing)
    gui.load_model("broken")
    assert asked == ["broken", "demo"]
    assert gui.ask().complete


def test_the_second_window_opens_whole_on_the_screen(open_gui: Any) -> None:
    screen = open_gui.window.screen().availableGeometry()
    open_gui.do(lambda: open_gui.window.move(screen.right() - 300, screen.bottom() - 200))
    open_gui.do(lambda: open_gui.workspace.layouts.detach(Plane.AXIAL.value))
    second = open_gui.window.second
    assert second.isVisible()
    assert screen.contains(second.geometry())
    open_gui.do(open_gui.workspace.layouts.attach)
    small = QRect(0, 0, 400, 300)
    assert inside(QRect(900, 900, 720, 720), small) == small


class TestTwoDiameters:
    def test_the_short_axis_that_nobody_drew_is_not_reported(self, gui: Any, nifti: Path) -> None:
        gui.open(nifti)
        pen = Pen(gui)
        pen.tool("bidirectional")
        pen.drag((12, 14), (28, 14))
        assert pen.lines()[0] == "32.0 mm"
        assert "not measured" in pen.lines()[1]
        assert set(pen.numbers()) == {"long diameter"}
        pen.tool("crosshair")
        short = pen.places()[2]
        pen.drag((short[1], short[2]), (short[1], short[2] - 6))
        assert set(pen.numbers()) == {"long diameter", "short diameter"}
        assert "×" in pen.lines()[0]
        gui.do(gui.workspace.steps.undo)
        assert set(pen.numbers()) == {"long diameter"}
        pen.drag((12, 14), (8, 14))  # an end of the long one moves the proposal along
        assert set(pen.numbers()) == {"long diameter"}


def test_every_tab_of_the_preferences_is_whole_in_the_largest_text(gui: Any) -> None:
    editor = gui.window.dialogs.editor
    gui.do(lambda: editor.set("text_size", 150))
    try:
        gui.do(gui.window.dialogs.preferences)
        settle(gui)
        dialog = gui.window.dialogs.shown
        bar = dialog.tabs.tabBar()
        assert bar.count() >= 5
        for k in range(bar.count()):
            assert bar.rect().contains(bar.tabRect(k)), bar.tabText(k)
            words = bar.fontMetrics().horizontalAdvance(bar.tabText(k))
            assert bar.tabRect(k).width() >= words
            gui.do(lambda k=k: dialog.tabs.setCurrentIndex(k))
            settle(gui)
            area = dialog.tabs.currentWidget()
            assert not area.horizontalScrollBar().isVisible(), bar.tabText(k)
        gui.do(dialog.reject)
    finally:
        gui.do(lambda: editor.set("text_size", 100))
