"""The study that ships is the phantom that the code draws now, with the truth that it states."""

from __future__ import annotations

import numpy as np

from med2e3.io import load_volume
from med2e3.resources import resource_path
from med2e3.training.demo_study import demo_phantom


def test_the_shipped_study_is_the_phantom_of_today() -> None:
    shipped, drawn = load_volume(resource_path("demo-study")), demo_phantom().volume
    highest_first = drawn.voxels[::-1]  # files are read from the feet up, the phantom from the head
    assert shipped.geometry.shape == drawn.geometry.shape
    np.testing.assert_array_equal(shipped.voxels, np.round(highest_first))
