"""The draft report in the real window: whose it is, and that nothing typed is lost."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtTest import QTest

from app.services import studies
from app.viewmodels.answers import Turn
from app.viewmodels.study import Preview, Target
from tests.med2e3.io.mixed import add, body


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
