"""Regions by their values: grown from the crosshair or by threshold, seen while they are set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt

from app.services.regions import found
from app.viewmodels.images.growing import Range
from med2e3.geometry import Geometry
from med2e3.volume import SeriesInfo, Volume
from tests.app.bodies import MARK, phantom


def two_blocks() -> Volume:
    """Two blocks of about 100 in air that do not touch; one has 4 × 3 × 5 voxels."""
    voxels = np.full((12, 14, 16), -1000, np.int16)
    voxels[2:6, 3:6, 4:9] = 100
    voxels[2, 3, 4] = 104
    voxels[8:10, 8:10, 8:10] = 98
    geometry = Geometry.from_spacing((12, 14, 16), (2.0, 1.0, 0.5))
    return Volume(voxels, geometry, SeriesInfo(modality="CT"))


def test_a_connected_region_has_its_size_values_and_extent() -> None:
    region = found(two_blocks(), Range((3, 4, 5), 90, 110))
    assert region.mask.sum() == 60
    assert region.millilitres == pytest.approx(60 * 2.0 * 1.0 * 0.5 / 1000)
    assert region.mean == pytest.approx((59 * 100 + 104) / 60)
    assert region.size_mm == (2.5, 3.0, 8.0)


def test_a_threshold_takes_all_and_a_seed_outside_its_range_nothing() -> None:
    volume = two_blocks()
    assert found(volume, Range((3, 4, 5), 90, 110, connected=False)).mask.sum() == 68
    assert found(volume, Range((3, 4, 5), 99, 110, connected=False)).mask.sum() == 60
    nothing = found(volume, Range((0, 0, 0), 90, 110))
    assert (nothing.millilitres, nothing.mask.any()) == (0.0, False)


def test_a_region_is_grown_seen_kept_and_undone(open_gui: Any) -> None:
    gui, overlays, growing = open_gui, open_gui.workspace.overlays, open_gui.workspace.growing
    middle = [(s.start + s.stop - 1) / 2 for s in MARK]
    gui.do(lambda: gui.viewer.move_crosshair(phantom().geometry.to_patient_mm(middle)))
    gui.do(gui.window.actions_by_name["grow_region"].trigger)
    dialog = gui.window.growing
    assert dialog.isVisible()
    value = float(phantom().voxels[MARK].mean())
    gui.do(lambda: (dialog.low.setValue(value - 1), dialog.high.setValue(value + 1)))
    gui.until(lambda: growing.region is not None and not growing.busy)
    (live,) = overlays.layers
    assert (live.voxels > 0).sum() == phantom().voxels[MARK].size
    assert "ml · mean" in dialog.words.text()
    assert not gui.workspace.steps.undo_name
    gui.do(dialog.keep.click)
    (kept,) = overlays.layers
    assert kept.labels[0].name == "region 1"
    assert not dialog.isVisible()
    gui.do(gui.workspace.steps.undo)
    assert not overlays.layers
    # One that is not kept leaves nothing behind.
    gui.do(gui.window.actions_by_name["grow_region"].trigger)
    gui.until(lambda: growing.region is not None and not growing.busy)
    assert overlays.layers
    gui.key(Qt.Key.Key_Escape, dialog)
    assert not overlays.layers
    assert growing.wanted is None
