"""A loaded tiny model, and the published layout's, behind `load / read / ask`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import med2e3
from med2e3.geometry import Geometry
from med2e3.volume import SeriesInfo, Volume


@pytest.fixture(scope="session")
def tiny(tiny_folder: Callable[..., Path]) -> med2e3.Model:
    """A random model that never stops by itself soon, with weights that differ between slices."""
    return med2e3.load(tiny_folder(score_norm="layer_norm"), device="cpu")


@pytest.fixture(scope="session")
def ct() -> Volume:
    """A little CT: 20 slices of 5 mm with SOP Instance UIDs, bright blocks at known places."""
    voxels = np.full((20, 40, 40), -1000, dtype=np.int16)
    voxels[2:18, 5:35, 5:35] = 40
    voxels[9:11, 12:20, 12:20] = 300
    return Volume(
        voxels,
        Geometry.from_spacing(voxels.shape, (5.0, 1.0, 1.0), origin_mm=(-20.0, -20.0, 50.0)),
        SeriesInfo(modality="CT", series_uid="1.2.3", study_uid="1.2"),
        slice_uids=tuple(f"1.2.3.{k}" for k in range(20)),
        source="made by the test",
    )


@pytest.fixture(scope="session")
def other_ct(ct: Volume) -> Volume:
    """The same scan, darker in the lower half."""
    voxels = ct.voxels.copy()
    voxels[12:] -= 60
    return Volume(voxels, ct.geometry, ct.info, ct.slice_uids, ct.source)


@pytest.fixture(scope="session")
def released(golden_folder: Path) -> med2e3.Model:
    """The published layout at tiny sizes."""
    return med2e3.load(golden_folder / "checkpoint", hub=golden_folder / "hub", device="cpu")


@pytest.fixture(scope="session")
def golden_volumes(golden_folder: Path) -> Any:
    """The recorded inputs by name, 0..1 float32 (1, S, H, W)."""
    arrays = np.load(golden_folder / "inputs" / "volumes_u8.npz")
    return {name: arrays[name].astype(np.float32) / 255 for name in arrays.files}
