"""What is open: one more study beside it, one of them closed again, all of it closed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QFileDialog

from med2e3.io import write_dicom_series
from tests.app.bodies import phantom


@pytest.fixture
def studies(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("now", "then"):
        write_dicom_series(phantom(name), tmp_path / name, seed=name)
    return tmp_path / "now", tmp_path / "then"


def test_a_study_is_added_and_closed_and_the_series_on_the_screen_stays(
    gui: Any, studies: tuple[Path, Path]
) -> None:
    now, then = studies
    gui.open(now)
    uid = gui.study.chosen.info.series_uid
    gui.do(gui.window.actions_by_name["add_folder"].trigger)
    dialog = gui.window.findChildren(QFileDialog)[-1]
    gui.do(lambda: (dialog.fileSelected.emit(str(then)), dialog.done(0)))
    gui.until(lambda: gui.study.places == (now, then) and gui.study.loading is None)
    assert len(gui.study.series) == 2
    assert gui.study.chosen.info.series_uid == uid
    menu = gui.window.tools.open_button.menu()
    gui.do(menu.aboutToShow.emit)
    (closing,) = (a for a in menu.actions() if a.text() == "Close then")
    gui.do(closing.trigger)
    gui.until(lambda: gui.study.places == (now,) and gui.study.loading is None)
    assert len(gui.study.series) == 1
    assert gui.viewer.volume is not None


def test_closing_everything_shows_the_first_page_and_keeps_what_was_drawn(
    gui: Any, studies: tuple[Path, Path]
) -> None:
    gui.open(studies[0])
    gui.do(lambda: gui.workspace.report.edit("Nothing."))
    gui.do(gui.window.actions_by_name["close_study"].trigger)
    assert gui.viewer.volume is None
    assert gui.window.centre.empty.isVisible()
    assert gui.window.windowTitle() == "Med-2E3 viewer"
    assert not gui.window.actions_by_name["close_study"].isEnabled()
    gui.open(studies[0])
    assert gui.workspace.report.text == "Nothing."
