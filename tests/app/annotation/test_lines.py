"""Lines of many points, and the values along a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.viewmodels.annotation import kinds, values
from app.viewmodels.annotation.model import Annotation
from med2e3.geometry import Geometry
from med2e3.measures import SlicePlane
from med2e3.volume import SeriesInfo, Volume
from tests.app.annotating import Pen

#: (row, column) in a slice whose pixels are 2 mm high and 1 mm wide.
CORNERS = [(5, 10), (5, 40), (25, 40), (25, 15)]


def slope() -> Volume:
    """Values that grow by 3 a mm to the patient's left, and by nothing else."""
    geometry = Geometry.from_spacing((4, 20, 30), (2.0, 1.0, 0.5))
    x = geometry.to_patient_mm(np.stack(np.indices((4, 20, 30)), -1).reshape(-1, 3).astype(float))
    voxels = (3 * x[:, 0]).reshape(4, 20, 30).astype(np.float32)
    return Volume(voxels, geometry, SeriesInfo(modality="CT"))


def line(volume: Volume, first: tuple[float, ...], last: tuple[float, ...]) -> Annotation:
    plane = SlicePlane.of_slice(volume.geometry, 1)
    ends = [volume.geometry.to_patient_mm(one) for one in (first, last)]
    return Annotation(kinds.PROFILE, plane, tuple(tuple(map(float, end)) for end in ends))


def test_a_profile_follows_the_values_in_mm() -> None:
    volume = slope()
    found = values.line_profile(line(volume, (1, 4, 2), (1, 4, 26)), volume)
    assert found is not None
    along, read = found
    assert (along[0], along[-1]) == (0, pytest.approx(12.0))
    assert np.diff(along).max() <= 0.25 + 1e-9
    assert np.diff(read) == pytest.approx(3 * np.diff(along), abs=1e-3)


def test_a_profile_that_leaves_the_volume_ends_there() -> None:
    volume = slope()
    found = values.line_profile(line(volume, (1, 4, 20), (1, 4, 60)), volume)
    assert found is not None
    assert found[0][-1] == pytest.approx((29.5 - 20) * 0.5, abs=0.3)
    assert values.line_profile(line(volume, (1, 4, 60), (1, 4, 90)), volume) is None


@pytest.fixture
def pen(gui: Any, dicom: Path) -> Pen:
    assert gui.open(dicom)
    return Pen(gui)


def test_both_are_drawn_by_their_keys_and_read(pen: Pen) -> None:
    shift = Qt.KeyboardModifier.ShiftModifier
    pen.gui.do(lambda: QTest.keyClick(pen.view, Qt.Key.Key_L, shift))
    for at in (*CORNERS, CORNERS[-1]):
        pen.click(at)
    assert pen.last.kind is kinds.POLYLINE
    assert pen.numbers() == {"length along": pytest.approx(95, abs=0.01)}
    pen.gui.do(lambda: QTest.keyClick(pen.view, Qt.Key.Key_P, shift))
    pen.drag((10, 10), (10, 40))
    assert pen.last.kind is kinds.PROFILE
    assert pen.numbers()["length"] == pytest.approx(30, abs=0.01)
    panel = pen.gui.window.measurements
    pen.gui.do(lambda: pen.gui.window.assistant.tabs.setCurrentWidget(panel))
    assert panel.profile.isVisible()
    assert panel.profile.along[-1] == pytest.approx(30, abs=0.01)
    assert not panel.histogram.isVisible()
