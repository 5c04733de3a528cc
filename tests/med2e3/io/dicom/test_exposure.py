"""The exposure of a series in mAs, whatever states it, and its range where it changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest

from app.settings import Corners
from app.viewmodels.images.corners import Corner, corner_lines
from app.viewmodels.images.viewer import Viewer
from med2e3.geometry import Plane
from med2e3.io import load_volume
from tests.med2e3.io.mixed import add, body

#: What a header may state of slice k, and the text for slices 0 to 3.
STATED: dict[str, tuple[Any, str]] = {
    "mAs": (lambda k: {"Exposure": 180}, "180"),
    "µAs": (lambda k: {"ExposureInuAs": 95400}, "95"),
    "current and time": (lambda k: {"XRayTubeCurrent": 300, "ExposureTime": 500}, "150"),
    "modulated": (lambda k: {"Exposure": 80 + 10 * k}, "80–110"),
    "little": (lambda k: {"ExposureInuAs": 2500}, "2.5"),
    "nothing": (lambda k: {}, ""),
    "zero": (lambda k: {"Exposure": 0}, ""),
}


@pytest.mark.parametrize("name", STATED)
def test_the_exposure_is_read_from_what_states_it(tmp_path: Path, name: str) -> None:
    stated, text = STATED[name]

    def edit(dataset: pydicom.Dataset, k: int) -> None:
        for keyword, value in stated(k).items():
            setattr(dataset, keyword, value)

    add(tmp_path, "series", body(4), edit)
    assert load_volume(tmp_path).info.exposure_mas == text


def test_it_stands_in_the_corner_with_kernel_and_voltage() -> None:
    viewer, volume = Viewer(), body(4)
    info = replace(volume.info, kernel="B30f", peak_kilovolts="120", exposure_mas="80–110")
    viewer.show(replace(volume, info=info))
    viewer.dress(replace(Corners(), corner_technique=True), viewer.display, viewer.mouse)
    lines = corner_lines(viewer, Plane.AXIAL, viewer.planes[Plane.AXIAL])
    assert "B30f · 120 kV · 80–110 mAs" in lines[Corner.TOP_LEFT].split("\n")
