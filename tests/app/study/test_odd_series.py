"""Odd but usable input opens and says what was done; unusable input is refused in one message."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from med2e3.io import write_dicom_series
from tests.app.bodies import SHAPE, phantom


def save(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine), path)
    return path


def doubled(folder: Path) -> Path:
    files = write_dicom_series(phantom(), folder / "doubled", seed="doubled")
    shutil.copy(files[3], folder / "doubled" / "again.dcm")
    return folder / "doubled"


def with_localizer(folder: Path) -> Path:
    files = write_dicom_series(phantom(), folder / "scout", seed="scout")
    scout = pydicom.dcmread(files[0])
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    scout.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    scout.SOPInstanceUID = pydicom.uid.generate_uid()
    scout.file_meta.MediaStorageSOPInstanceUID = scout.SOPInstanceUID
    scout.save_as(folder / "scout" / "localizer.dcm")
    return folder / "scout"


def with_nan(folder: Path) -> Path:
    values = np.zeros((6, 7, 8), np.float32)
    values[0, 0, :4] = np.nan
    return save(folder / "nan.nii", values)


@pytest.mark.parametrize(
    ("make", "words"),
    [(doubled, "stored twice"), (with_nan, "NaN")],
    ids=["a doubled slice", "NaN voxels"],
)
def test_odd_input_opens_and_says_what_was_done(
    gui: Any, tmp_path: Path, make: Callable[[Path], Path], words: str
) -> None:
    assert gui.open(make(tmp_path))
    assert gui.window.warnings.isVisible()
    assert words in gui.window.warnings.text.text()
    assert not gui.window.errors.isVisible()


def test_a_localizer_is_listed_apart_from_the_series(gui: Any, tmp_path: Path) -> None:
    assert gui.open(with_localizer(tmp_path))
    items = gui.window.series.tree.items
    said = [f"{item.text(0)} {item.toolTip(0)}".lower() for item in items]
    assert len(items) == 2
    assert sum("localizer" in text for text in said) == 1


def test_a_doubled_slice_and_a_localizer_change_no_geometry(gui: Any, tmp_path: Path) -> None:
    for make in (doubled, with_localizer):
        assert gui.open(make(tmp_path))
        assert gui.viewer.volume.shape == SHAPE


@pytest.mark.parametrize(
    ("shape", "said"), [((6, 7), "(6, 7)"), ((4, 5, 6, 3), "(4, 5, 6, 3)")], ids=["2D", "4D"]
)
def test_a_nifti_that_is_no_volume_is_refused_and_names_its_shape(
    open_gui: Any, tmp_path: Path, shape: tuple[int, ...], said: str
) -> None:
    before = open_gui.viewer.volume
    assert not open_gui.open(save(tmp_path / "odd.nii", np.zeros(shape, np.int16)))
    assert said in open_gui.window.errors.sentence.text()
    assert open_gui.viewer.volume is before


def test_an_oblique_nifti_is_called_oblique_on_the_images(gui: Any, tmp_path: Path) -> None:
    turn = np.radians(15)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    assert gui.open(save(tmp_path / "oblique.nii", np.zeros((6, 7, 8), np.int16), affine))
    for view in (cell.view for cell in gui.window.centre.cells.values()):
        assert any("oblique 15.0°" in text for text in view.corner_texts(view.state).values())


@pytest.mark.parametrize(
    ("typed", "said"), [("   ", "empty"), ("nodule " * 4000, "fewer words")], ids=["empty", "long"]
)
def test_a_question_that_cannot_be_asked_says_why_in_the_conversation(
    open_gui: Any, typed: str, said: str
) -> None:
    box = open_gui.window.assistant.ask_box
    open_gui.do(lambda: (box.line.setText(typed), QTest.keyClick(box.line, Qt.Key.Key_Return)))
    open_gui.until(lambda: open_gui.assistant.running is None)
    (turn,) = open_gui.assistant.turns
    assert turn.message is not None
    assert said in turn.message.sentence
