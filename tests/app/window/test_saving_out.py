"""Films as MP4, and series without the patient's name: what is written, and what is said before."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtWidgets import QFileDialog

from app.rendering.slices import Slices
from app.viewmodels.images.viewer import Viewer
from app.views.window.deidentify_dialog import NAME, DeidentifyDialog
from med2e3.errors import InputError
from med2e3.geometry import Plane
from med2e3.io import load_volume
from med2e3.io.deidentify import STAYS
from tests.app.bodies import phantom


@pytest.fixture
def slices() -> Slices:
    viewer = Viewer()
    viewer.show(phantom())
    return Slices(viewer, viewer.planes[Plane.AXIAL])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of its reader
def test_a_film_of_all_slices_can_be_read_again(slices: Slices, tmp_path: Path) -> None:
    import imageio_ffmpeg

    path = tmp_path / "film.mp4"
    said = slices.film(100, path)
    assert "24 slices" in said
    frames = imageio_ffmpeg.read_frames(str(path))
    about = next(frames)
    assert about["codec"] == "h264"
    assert about["fps"] == pytest.approx(10)
    width, height = about["size"]
    assert (width, height) == (56, 80)
    pictures = [np.frombuffer(one, np.uint8).reshape(height, width, 3) for one in frames]
    assert len(pictures) == 24
    for index in (0, 12):
        wanted = np.asarray(slices.image(index)).astype(int)
        assert np.abs(pictures[index].astype(int) - wanted).mean() < 6


def test_without_the_extra_the_message_names_it(
    slices: Slices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(InputError, match=r"pip install 'med2e3\[video\]'"):
        slices.film(100, tmp_path / "film.mp4")
    assert "24 slices" in slices.film(100, tmp_path / "film.gif")


def test_what_goes_is_said_and_then_the_series_is_written(open_gui: Any, tmp_path: Path) -> None:
    gui = open_gui
    info = replace(gui.viewer.volume.info, patient_name="Roe^Jane", patient_id="ID-4711")
    gui.do(lambda: gui.viewer.show(replace(gui.viewer.volume, info=info)))
    for button, place in (("dicom", tmp_path), ("nifti", tmp_path / "out.nii.gz")):
        gui.do(gui.window.actions_by_name["save_series"].trigger)
        dialog = gui.window.findChildren(DeidentifyDialog)[-1]
        said = [line.text() for line in dialog.lines]
        assert "Patient's Name" in said[0]
        assert STAYS in said
        gui.do(getattr(dialog, button).click)
        chooser = gui.window.findChildren(QFileDialog)[-1]
        assert "Roe" not in " ".join(chooser.selectedFiles())
        gui.do(lambda c=chooser, p=place: (c.fileSelected.emit(str(p)), c.done(0)))
        gui.until(lambda: gui.workspace.notices.message is not None)
        assert gui.workspace.notices.message.is_good
        gui.do(gui.workspace.notices.dismiss)
    shape = gui.viewer.volume.shape
    for place in (tmp_path / NAME, tmp_path / "out.nii.gz"):
        again = load_volume(place)
        assert again.shape == shape
        assert (again.info.patient_name, again.info.patient_id) == ("", "")
