"""The tools on real CT, drawn with the mouse, against DICOM attributes and another reader."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from med2e3.geometry import Plane
from tests.app.annotating import Pen


def place_mm(dataset: Any, row: float, column: float) -> np.ndarray:
    """LPS mm of a pixel of an acquired image, by PS3.3 C.7.6.2.1.1."""
    down_mm, right_mm = (float(v) for v in dataset.PixelSpacing)
    right, down = np.reshape([float(v) for v in dataset.ImageOrientationPatient], (2, 3))
    origin = np.array([float(v) for v in dataset.ImagePositionPatient])
    return np.asarray(origin + column * right_mm * right + row * down_mm * down)


@pytest.fixture
def head(gui: Any, shared: Path) -> dict[str, Any]:
    folder = shared / "ct" / "head_tilt_dicom"
    assert gui.open(folder)
    heads = [pydicom.dcmread(path, stop_before_pixels=True) for path in folder.iterdir()]
    return {str(dataset.SOPInstanceUID): dataset for dataset in heads}


def screen_of(pen: Pen, patient_mm: np.ndarray) -> tuple[float, float]:
    """Where a view shows a point, by its own corners and nothing else: the affine is not asked."""
    return pen.screen(tuple(pen.view.state.geometry.to_index(patient_mm)[1:]))


def drawn_length(pen: Pen, a_mm: np.ndarray, b_mm: np.ndarray) -> float:
    pen.tool("length")
    pen.gui.drag(pen.view, screen_of(pen, a_mm), screen_of(pen, b_mm))
    return pen.numbers()["length"]


def test_lengths_in_an_image_of_a_tilted_gantry_are_true(gui: Any, head: dict[str, Any]) -> None:
    pen = Pen(gui)
    volume = gui.viewer.volume
    uid = volume.in_plane(Plane.AXIAL).slice_uids[pen.view.state.slice_index]
    dataset = head[uid]
    for (r0, c0), (r1, c1) in (((100, 120), (400, 380)), ((250, 90), (250, 430))):
        a, b = place_mm(dataset, r0, c0), place_mm(dataset, r1, c1)
        expected = 0.482421875 * math.hypot(r1 - r0, c1 - c0)
        assert drawn_length(pen, a, b) == pytest.approx(expected, abs=0.1)
        np.testing.assert_allclose(pen.last.points_mm, [a, b], atol=0.1)


def test_lengths_across_tilted_slices_are_true(gui: Any, head: dict[str, Any]) -> None:
    pen = Pen(gui, Plane.SAGITTAL)
    uids = gui.viewer.volume.slice_uids
    column = 250
    low, high = (place_mm(head[uids[k]], 200, column) for k in (10, 40))
    gui.do(lambda: gui.viewer.move_crosshair(low))
    # By the table's movement of 2.5 mm a slice, which is not perpendicular to the images.
    assert math.dist(low, high) == pytest.approx(75, abs=1e-6)
    assert drawn_length(pen, low, high) == pytest.approx(75, abs=0.1)
    # The images lie 2.371 mm apart along their normal, tilted by 18.5° against the table.
    foot = low + (high - low) @ np.array([0, 0.3173047, 0.9483237]) * np.array(
        [0, 0.3173047, 0.9483237]
    )
    pen.tool("angle")
    for at in (foot, low, high):
        x, y = screen_of(pen, at)
        gui.drag(pen.view, (x, y), (x, y))
    assert pen.numbers()["angle"] == pytest.approx(18.5, abs=0.1)


def test_statistics_of_a_jpeg_2000_slice_are_those_of_its_file(gui: Any, shared: Path) -> None:
    folder = shared / "ct" / "body_j2k_dicom"
    assert gui.open(folder)
    pen = Pen(gui)
    pen.tool("ellipse")
    pen.drag((180.3, 150.2), (300.6, 240.9))
    uid = gui.viewer.volume.in_plane(Plane.AXIAL).slice_uids[pen.view.state.slice_index]
    files = [pydicom.dcmread(path) for path in folder.iterdir()]
    (dataset,) = [f for f in files if f.file_meta.MediaStorageSOPInstanceUID == uid]
    right, down = np.reshape([float(v) for v in dataset.ImageOrientationPatient], (2, 3))
    r, c = np.indices((dataset.Rows, dataset.Columns)).reshape(2, -1)
    spacing = [float(v) for v in dataset.PixelSpacing]
    origin = np.array([float(v) for v in dataset.ImagePositionPatient])
    mm = origin + np.outer(c * spacing[1], right) + np.outer(r * spacing[0], down)
    a, b = np.asarray(pen.last.points_mm)
    off = mm - (a + b) / 2
    half = np.abs((b - a) @ np.column_stack([right, down])) / 2
    inside = ((off @ right / half[0]) ** 2 + (off @ down / half[1]) ** 2) <= 1
    values = dataset.pixel_array.reshape(-1) * float(dataset.RescaleSlope) + float(
        dataset.RescaleIntercept
    )
    picked, found = values[inside], pen.numbers()
    assert found["pixels"] == picked.size > 5000
    assert found["mean"] == pytest.approx(picked.mean())
    assert found["SD"] == pytest.approx(picked.std())
    assert (found["min"], found["max"]) == (picked.min(), picked.max())
    assert found["area"] == pytest.approx(math.pi * half[0] * half[1])
