"""A volume with known answers: which voxel is where, and which value it has."""

from __future__ import annotations

import numpy as np

from med2e3.geometry import Geometry
from med2e3.volume import SeriesInfo, Volume

#: (slice, row, column) of the phantom and its spacing: three different numbers each.
SHAPE, SPACING_MM = (24, 40, 56), (5.0, 2.0, 1.0)

#: The bright box of the phantom lies in the patient's right, anterior, superior corner.
MARK = (slice(2, 6), slice(6, 14), slice(6, 16))


def phantom(name: str = "Phantom", *, value: int = 900) -> Volume:
    """A body of 40 HU in air, with a bright box in the right anterior superior corner.

    Index (0, 0, 0) is the right anterior superior voxel, as an axial view shows it.
    """
    voxels = np.full(SHAPE, -1000, np.int16)
    voxels[1:-1, 4:-4, 4:-4] = 40
    voxels[MARK] = value
    voxels[10, 20, 30] = 123
    geometry = Geometry.from_spacing(SHAPE, SPACING_MM, origin_mm=(-20.0, -30.0, 200.0))
    info = SeriesInfo(modality="CT", series_description=name, patient_name="Test^Phantom")
    return Volume(voxels, geometry, info)
