"""DICOM Segmentations of a study in the window: offered, laid over with names and colours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.views.images.overlay_panel import OverlayPanel
from med2e3.geometry import Plane
from med2e3.io import write_dicom_series
from tests.app.bodies import MARK, SHAPE, phantom
from tests.med2e3.io import segmentation_files as made

FRAME = "1.2.826.0.1.9"


def study(folder: Path, frame: str = FRAME) -> Path:
    """The phantom and a segmentation of its mark, with a lesion that lies within it."""
    plain = phantom()
    info = replace(plain.info, frame_of_reference_uid=FRAME)
    write_dicom_series(replace(plain, info=info), folder / "series", seed="phantom")
    mark, lesion = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    mark[MARK] = True
    lesion[3:5, 8:10, 8:12] = True
    made.write(folder / "seg.dcm", plain.geometry, {1: mark, 2: lesion}, frame_of_reference=frame)
    return folder


def lay(gui: Any) -> Any:
    """Click on the segmentation that the panel offers; the panel."""
    panel = gui.window.findChild(OverlayPanel)
    gui.until(panel.isVisible)
    button = panel.offers.layout().itemAt(0).widget()
    assert "seg.dcm" in button.text()
    gui.do(lambda: QTest.mouseClick(button, Qt.MouseButton.LeftButton))
    return panel


def test_a_segmentation_of_the_study_is_laid_over_by_a_click(gui: Any, tmp_path: Path) -> None:
    assert gui.open(study(tmp_path))
    panel, overlays = lay(gui), gui.workspace.overlays
    gui.until(lambda: len(overlays.layers) == 2)
    assert not panel.offers.isVisible()
    organ, lesion = overlays.layers
    assert [one.name for one in (*organ.labels, *lesion.labels)] == ["Liver", "Lesion"]
    mark = phantom().voxels[MARK]
    assert organ.labels[0].millilitres == mark.size * phantom().geometry.voxel_ml
    middle = phantom().geometry.to_patient_mm([(s.start + s.stop - 1) / 2 for s in MARK])
    gui.do(lambda: gui.viewer.move_crosshair(middle))
    assert set(overlays.names_at(middle)) <= {"Liver", "Lesion"}
    pixels = gui.pixels(gui.view(Plane.AXIAL)).astype(int)
    assert ((pixels[..., 0] - pixels[..., 2]) > 60).any()  # the liver's red is on the screen
    gui.do(gui.workspace.steps.undo)
    assert not overlays.layers


def test_a_segmentation_of_another_frame_of_reference_is_asked_about(
    gui: Any, tmp_path: Path
) -> None:
    assert gui.open(study(tmp_path, frame="1.2.826.0.1.77"))
    lay(gui)
    notices = gui.workspace.notices
    gui.until(lambda: notices.message is not None)
    assert "another frame of reference" in notices.message.sentence
    assert not gui.workspace.overlays.layers


def test_contours_of_radiotherapy_are_named_as_not_drawn(gui: Any, tmp_path: Path) -> None:
    assert gui.open(study(tmp_path))
    dataset = pydicom.dcmread(tmp_path / "seg.dcm")
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    del dataset.PixelData
    dataset.save_as(tmp_path / "structures.dcm")
    assert not gui.run(gui.workspace.overlays.open(tmp_path / "structures.dcm"))
    assert "RT Structure Set" in gui.workspace.notices.message.sentence
