"""Key images as files: none is replaced, and it is said how many were written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt

from med2e3.io import write_nifti
from tests.app.annotating import Pen, exports, save_pictures
from tests.app.bodies import phantom


@pytest.fixture
def pen(gui: Any, dicom: Path) -> Pen:
    assert gui.open(dicom)
    return Pen(gui)


def test_those_of_another_series_in_the_folder_stay_and_it_is_said(
    pen: Pen, tmp_path: Path
) -> None:
    gui, folder = pen.gui, tmp_path / "pictures"
    folder.mkdir()
    said = gui.window.errors.sentence
    gui.key(Qt.Key.Key_K)
    gui.key(Qt.Key.Key_Home)
    gui.key(Qt.Key.Key_K)
    for k in (2, 4):
        save_pictures(gui, folder)
        gui.until(lambda count=k: len(list(folder.glob("*.png"))) == count)
        gui.until(lambda count=k: ("number was added" in said.text()) == (count > 2))
    first = {path.name: path.read_bytes() for path in folder.glob("*.png")}
    assert said.text() == (
        f"2 key images were written to {folder}. No file there was replaced: where a name was "
        "taken, a number was added."
    )
    gui.do(gui.workspace.notices.dismiss)
    assert gui.open(write_nifti(phantom("Another", value=60), tmp_path / "other.nii"))
    pen = Pen(gui)
    gui.key(Qt.Key.Key_K)
    button, title = gui.window.measurements.export, "Save key images (PNG)…"
    first_one, second = (exports(gui, button, title) for _ in range(2))
    gui.do(lambda: (first_one(folder), second(folder)))  # the second while the first is on its way
    gui.until(lambda: len(list(folder.glob("*.png"))) == 6)
    gui.until(lambda: said.text().startswith("1 key image was written"))
    assert {name: (folder / name).read_bytes() for name in first} == first
    assert {path.name for path in folder.glob("*.png")} - set(first) == {
        "other-nii-key-image-1-axial-13.png",
        "other-nii-key-image-1-axial-13-2.png",
    }


def test_those_that_cannot_be_written_are_not_counted(
    pen: Pen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gui, write = pen.gui, Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if "key-image-2" in path.name:
            raise OSError(28, "No space left on device", str(path))
        return write(path, data)

    gui.key(Qt.Key.Key_K)
    gui.key(Qt.Key.Key_Home)
    gui.key(Qt.Key.Key_K)
    monkeypatch.setattr(Path, "write_bytes", full)
    save_pictures(gui, tmp_path)
    gui.until(gui.window.errors.isVisible)
    said = gui.window.errors.sentence.text()
    assert said.startswith(f"Of 2, only 1 key image was written to {tmp_path}. ")
