"""The draft report in the real window: whose it is, and that nothing typed is lost."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import replace
from pathlib import Path
from shutil import copy
from typing import Any

import pytest
from PySide6.QtTest import QTest

from app.services import studies
from app.services.report_store import ReportStore
from app.viewmodels.assistant.answers import Turn
from app.viewmodels.study.study import Preview, Target
from med2e3.io import write_nifti
from med2e3.resources import resource_path
from tests.app.bodies import phantom
from tests.app.conftest import Gui
from tests.med2e3.io.mixed import add, body


def write(gui: Gui, words: str) -> None:
    gui.do(lambda: gui.window.assistant.report.editor.insertPlainText(words))


def shown(gui: Gui) -> str:
    return str(gui.window.assistant.report.editor.toPlainText())


def reopen(gui: Gui, path: Path, words: str) -> None:
    """Open a series and wait for its kept report."""
    assert gui.open(path)
    gui.until(lambda: shown(gui) == words)


def test_what_was_typed_is_there_again_in_the_next_run_though_the_window_closed_at_once(
    start: Any, dicom: Path, folder: Path
) -> None:
    gui = start()
    assert gui.open(dicom)
    write(gui, "No effusion.")
    gui = start()
    reopen(gui, dicom, "No effusion.")
    assert gui.window.assistant.report.author.text() == "unsigned, written here"
    (path,) = folder.iterdir()
    if os.name == "posix":
        assert (path.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)
    content = json.loads(path.read_text("utf-8"))
    assert content["series"]["series_uid"] == gui.viewer.volume.info.series_uid
    gui.do(gui.window.assistant.report.editor.clear)
    gui.until(lambda: not path.exists())
    gui = start()
    assert gui.open(dicom)
    gui.run(gui.workspace.autosave.saved())
    assert shown(gui) == ""
    assert not list(folder.iterdir())


def test_a_report_that_version_0_1_0_kept_is_there_with_its_series(
    start: Any, folder: Path, fixtures: Path
) -> None:
    (kept,) = (fixtures / "reports").glob("*.json")
    folder.mkdir(parents=True)
    copy(kept, folder)
    gui = start()
    gui.open(resource_path("demo-study"))
    said = json.loads(kept.read_text(encoding="utf-8"))
    gui.until(lambda: gui.workspace.report.text)
    assert gui.workspace.report.text == said["text"]
    assert gui.workspace.report.edited


def test_it_is_in_its_file_soon_after_it_was_typed_and_only_what_the_reader_wrote_is(
    start: Any, dicom: Path, folder: Path
) -> None:
    gui = start()
    assert gui.open(dicom)
    gui.load_model()
    gui.do(gui.window.assistant.ask_box.ask_report)
    gui.until(lambda: gui.assistant.running is None)
    gui.run(gui.workspace.autosave.saved())
    assert not folder.exists()
    write(gui, "Corrected: ")
    gui.until(lambda: folder.exists() and [p.suffix for p in folder.iterdir()] == [".json"])
    gui = start()
    reopen(gui, dicom, "Corrected: There is a nodule.")
    assert gui.window.assistant.report.author.text() == "unsigned, by demo, edited"
    gui.load_model()
    gui.do(gui.window.assistant.ask_box.ask_report)
    gui.until(lambda: gui.assistant.running is None)
    assert gui.window.assistant.report.offer.isVisible()
    gui.do(gui.workspace.report.accept)
    (path,) = folder.iterdir()
    gui.until(lambda: not json.loads(path.read_text("utf-8"))["edited"])
    (mine,) = json.loads(path.read_text("utf-8"))["earlier"]
    assert mine["text"] == "Corrected: There is a nodule."


def test_each_series_has_its_own_report_in_this_run_and_the_next(
    start: Any, tmp_path: Path
) -> None:
    one, other = (tmp_path / name / "same.nii" for name in ("one", "other"))
    for path in (one, other):  # without a name of its own, a series is what lies in its place
        path.parent.mkdir()
        write_nifti(replace(phantom(), info=replace(phantom().info, series_uid="")), path)
    gui = start()
    assert gui.open(one)
    write(gui, "One.")
    assert gui.open(other)
    assert shown(gui) == ""
    write(gui, "Other.")
    reopen(gui, one, "One.")
    gui = start()
    reopen(gui, other, "Other.")
    reopen(gui, one, "One.")


@pytest.mark.parametrize("damage", ["", "ÿ"])
def test_a_damaged_file_is_told_and_kept(
    start: Any, dicom: Path, folder: Path, damage: str
) -> None:
    gui = start()
    assert gui.open(dicom)
    write(gui, "No effusion.")
    gui = start()
    (path,) = folder.iterdir()
    path.write_bytes(damage.encode("latin-1"))
    assert gui.open(dicom)
    gui.until(gui.window.errors.isVisible)
    aside = folder / f"{path.stem}.damaged-1.json"
    assert aside.name in gui.window.errors.sentence.text()
    write(gui, "Again.")
    gui.until(path.exists)
    assert aside.read_bytes() == damage.encode("latin-1")
    reopen(start(), dicom, "Again.")


def test_what_is_typed_before_the_file_was_read_stands_below_what_was_kept(
    start: Any, dicom: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gui = start()
    assert gui.open(dicom)
    write(gui, "No effusion.")
    read, load = threading.Event(), ReportStore._load

    def slow(*given: Any) -> Any:
        read.wait(10)
        return load(*given)

    monkeypatch.setattr(ReportStore, "_load", slow)
    gui = start()
    assert gui.open(dicom)
    write(gui, "A nodule.")
    assert shown(gui) == "A nodule."
    read.set()
    gui.until(lambda: shown(gui) == "No effusion.\nA nodule.")
    reopen(start(), dicom, "No effusion.\nA nodule.")


def test_a_file_that_cannot_be_read_now_is_told_and_not_replaced(
    start: Any, dicom: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gui = start()
    assert gui.open(dicom)
    write(gui, "No effusion.")
    gui = start()
    with monkeypatch.context() as patched:

        def away(*given: Any) -> Any:
            raise OSError("the network is gone")

        patched.setattr(ReportStore, "_load", away)
        assert gui.open(dicom)
        gui.until(gui.window.errors.isVisible)
        assert "could not be read" in gui.window.errors.sentence.text()
        write(gui, "A nodule.")
        gui = start()
    reopen(gui, dicom, "No effusion.")


def test_a_report_that_cannot_be_saved_is_told_and_saved_with_the_next_change(
    start: Any, dicom: Path, folder: Path
) -> None:
    gui = start()
    folder.parent.mkdir(parents=True)
    folder.write_text("in the way", "utf-8")
    assert gui.open(dicom)
    write(gui, "No effusion.")
    gui.until(gui.window.errors.isVisible)
    message = gui.workspace.notices.message
    assert "could not be saved" in message.sentence, message.details
    folder.unlink()
    write(gui, "!")
    gui.until(lambda: folder.is_dir() and list(folder.glob("*.json")))
    reopen(start(), dicom, "No effusion.!")


def test_while_a_series_is_read_its_patient_is_named_and_no_report_can_be_written(
    gui: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, count in (("Anna", 6), ("Bert", 7)):
        add(tmp_path / name, name, body(count, patient_name=f"Test^{name}"), uid=f"1.{count}")
    go_on, load = threading.Event(), studies._load

    class Slow:
        """The context of a load that stands still as soon as something is seen."""

        def __init__(self, context: Any) -> None:
            self.context = context

        def __getattr__(self, name: str) -> Any:
            return getattr(self.context, name)

        def emit(self, event: object) -> None:
            self.context.emit(event)
            if isinstance(event, Preview):
                go_on.wait(10)

    panel, report = gui.window.series, gui.window.assistant.report
    buttons = (report.copy, report.save)

    def begin(name: str) -> None:
        gui.do(lambda: gui.study.start(Target(tmp_path / name)))
        gui.until(lambda: gui.viewer.previewing)

    monkeypatch.setattr(studies, "_load", lambda p, s, c, r: load(p, s, Slow(c), r))
    begin("Anna")
    assert panel.patient.text() == "Test Anna"
    go_on.set()
    gui.until(lambda: gui.study.loading is None)
    gui.do(lambda: QTest.keyClicks(report.editor, "No effusion."))
    gui.workspace.report.offered = Turn("?", "demo", gui.viewer.volume, "Anna", True)
    go_on.clear()
    begin("Bert")
    assert panel.patient.text() == "Test Bert"
    gui.do(lambda: QTest.keyClicks(report.editor, "Bleeding."))
    gui.do(lambda: gui.workspace.report.changed.emit())  # as where an answer still streams in
    assert report.editor.toPlainText() == report.author.text() == ""
    assert "still being read" in report.editor.placeholderText()
    assert not any(b.isEnabled() for b in buttons)
    assert not report.offer.isVisible()
    gui.do(gui.study.cancel)
    go_on.set()
    assert panel.patient.text() == "Test Anna"
    assert report.editor.toPlainText() == "No effusion."
    assert all(b.isEnabled() for b in buttons)
    assert report.offer.isVisible()
    gui.do(lambda: QTest.keyClicks(report.editor, "Yes: "))
    assert gui.workspace.report.text == "Yes: No effusion."
    assert gui.open(tmp_path / "Bert")
    assert report.editor.toPlainText() == gui.workspace.report.text == ""
    assert not report.editor.isReadOnly()
