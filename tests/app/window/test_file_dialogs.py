"""Dialogs for files and folders: what they ask for, and what they hand on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PySide6.QtWidgets import QFileDialog

from app.views.parts import file_dialogs

MODES, ACCEPT = QFileDialog.FileMode, QFileDialog.AcceptMode


def dialog_of(gui: Any, command: str) -> QFileDialog:
    gui.do(gui.window.commands[command])
    return gui.window.findChildren(QFileDialog)[-1]


@pytest.mark.parametrize(
    ("command", "title", "mode"),
    [
        ("open_files", "Open", MODES.ExistingFile),
        ("open_folder", "Open", MODES.Directory),
        ("open_overlay", "Lay over the images", MODES.ExistingFile),
    ],
)
def test_commands_ask_from_the_folder_of_the_last_place(
    gui: Any, nifti: Path, command: str, title: str, mode: QFileDialog.FileMode
) -> None:
    gui.open(nifti)
    dialog = dialog_of(gui, command)
    assert (dialog.windowTitle(), dialog.fileMode()) == (title, mode)
    assert Path(dialog.directory().path()) == nifti.parent
    gui.do(dialog.reject)


def test_what_was_chosen_is_opened(gui: Any, dicom: Path) -> None:
    dialog = dialog_of(gui, "open_folder")
    gui.do(lambda: dialog.fileSelected.emit(str(dicom)))
    gui.until(lambda: gui.viewer.volume is not None and not gui.viewer.previewing)
    assert gui.study.path == dicom
    gui.do(dialog.reject)


def test_a_text_is_saved_as_it_was_when_the_dialog_opened(gui: Any, tmp_path: Path) -> None:
    saved = []
    exporter = SimpleNamespace(start=lambda path, text: saved.append((path, text)))
    saver = file_dialogs.Saver(gui.window, exporter)
    dialog = gui.do(lambda: saver.ask("report.txt", "a draft"))
    assert (dialog.acceptMode(), Path(dialog.selectedFiles()[0]).name) == (
        ACCEPT.AcceptSave,
        "report.txt",
    )
    gui.do(lambda: dialog.fileSelected.emit(str(tmp_path / "mine.txt")))
    assert saved == [(tmp_path / "mine.txt", "a draft")]
    gui.do(dialog.reject)
