"""The longest diameters of a region, in the patient, on grids of any spacing and shear."""

from __future__ import annotations

import numpy as np
import pytest

from med2e3.errors import GeometryError
from med2e3.geometry import Geometry
from med2e3.measures import longest_axes


def ball(grid: Geometry, centre_mm: np.ndarray, half_mm: np.ndarray) -> np.ndarray:
    """An ellipsoid along the patient's axes as a mask."""
    every = np.moveaxis(np.indices(grid.shape), 0, -1).reshape(-1, 3).astype(float)
    away = (grid.to_patient_mm(every) - centre_mm) / half_mm
    return (np.linalg.norm(away, axis=1) <= 1).reshape(grid.shape)


def test_a_row_of_voxels_is_as_long_as_its_spacings() -> None:
    grid = Geometry.from_spacing((5, 6, 20), (3.0, 2.0, 0.7))
    mask = np.zeros(grid.shape, bool)
    mask[2, 3, 4:15] = True
    found = longest_axes(mask, grid)
    assert found is not None
    assert found.long_mm == pytest.approx(11 * 0.7)
    assert found.short_mm == pytest.approx(3.0)
    ends = np.array([found.first, found.second])
    assert np.linalg.norm(ends[0] - ends[1]) == pytest.approx(found.long_mm)


def test_an_ellipsoid_has_its_axes_in_millimetres_on_sheared_grids_too() -> None:
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = [0, 0.7, 2.0], [0, 1.1, 0], [0.8, 0.1, 0]
    for grid in (Geometry((60, 70, 80), affine), Geometry.from_spacing((60, 60, 60), (1.5, 1, 1))):
        centre = grid.to_patient_mm((np.array(grid.shape) - 1) / 2)
        half = np.array([12.0, 14.0, 24.0])
        found = longest_axes(ball(grid, centre, half), grid)
        assert found is not None
        assert found.long_mm == pytest.approx(48.0, abs=2.0)
        assert found.short_mm == pytest.approx(28.0, abs=2.0)
        along = np.subtract(found.second, found.first) / found.long_mm
        assert abs(along[2]) > 0.95


def test_nothing_has_no_axes_and_another_grid_is_refused() -> None:
    grid = Geometry.from_spacing((3, 4, 5), (1.0, 1.0, 1.0))
    assert longest_axes(np.zeros(grid.shape, bool), grid) is None
    with pytest.raises(GeometryError, match="shape"):
        longest_axes(np.zeros((2, 2, 2), bool), grid)
    one = np.zeros(grid.shape, bool)
    one[1, 1, 1] = True
    found = longest_axes(one, grid)
    assert found is not None
    assert found.long_mm == pytest.approx(1.0)
