"""The head of an exported report: whose it is, when it was made, and who wrote it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from app.viewmodels.report.report import BY_A_MODEL, Report
from med2e3.volume import SeriesInfo
from tests.app.bodies import phantom

NOON = datetime(2026, 3, 4, 12, 5)

INFO = SeriesInfo(
    patient_name="Doe^John",
    patient_id="4711",
    study_date="20240131",
    study_description="CT chest",
    series_description="Lung 1.0",
    modality="CT",
)


def test_a_report_typed_by_hand_names_patient_study_series_and_time_and_no_model() -> None:
    report = Report(clock=lambda: NOON)
    report.enter(replace(phantom(), info=INFO))
    report.edit("No nodule.")
    text = report.export()
    assert BY_A_MODEL not in text
    assert "Model:" not in text
    for line in ("Patient: Doe John · 4711", "Study: 2024-01-31 · CT chest"):
        assert line in text
    assert "Lung 1.0" in text
    assert "Exported: 2026-03-04 12:05" in text
    assert text.startswith("DRAFT — NOT SIGNED.")
    assert text.endswith("\n\nNo nodule.\n")


def test_a_report_with_a_models_text_says_so_and_names_the_model(open_gui: Any) -> None:
    open_gui.do(open_gui.window.commands["draft_report"])
    open_gui.until(lambda: open_gui.assistant.running is None)
    text = open_gui.workspace.report.export()
    assert BY_A_MODEL in text.splitlines()[0]
    assert "Model: demo" in text
    assert "Patient: not named" in text  # a NIfTI file names nobody


def test_a_measurement_goes_into_the_report_once_and_follows_its_changes() -> None:
    report = Report()
    report.enter(phantom())
    assert report.note({"a": "Length: 10.0 mm."}) == "1 added in the report."
    assert report.note({"a": "Length: 10.0 mm."}) == "In the report already."
    assert report.note({"a": "Length: 12.0 mm."}) == "1 brought up to date in the report."
    assert report.text == "Length: 12.0 mm."
    report.edit("The nodule has 12.0 mm.")
    assert report.note({"a": "Length: 14.0 mm."}) == "1 added in the report."
    assert report.text == "The nodule has 12.0 mm.\nLength: 14.0 mm."
