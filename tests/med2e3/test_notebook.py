"""3D scenes for notebooks: everything lies in LPS mm, and left is where it belongs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from med2e3 import notebook
from med2e3.errors import InputError
from med2e3.geometry import Geometry
from med2e3.notebook import scene3d
from med2e3.volume import SeriesInfo, Volume

ROOT = Path(__file__).resolve().parents[2]

SHAPE = (20, 30, 40)


def body(*, mirrored: bool = False, shape: tuple[int, int, int] = SHAPE) -> Volume:
    """A straight CT, axial, whose columns run to the left of the patient or to the right."""
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = -3.0, 1.5, -1.25 if mirrored else 1.25
    affine[:, 3] = (10, 20, 300, 1)
    voxels = np.full(shape, -1000, np.int16)
    voxels[2:-2, 3:-3, 4:-4] = 400
    return Volume(voxels, Geometry(shape, affine), SeriesInfo(modality="CT"))


def outer(geometry: Geometry, start: tuple, stop: tuple) -> np.ndarray:
    """(low, high) in mm of voxels from `start` to before `stop`, outer edges included."""
    ends = geometry.to_patient_mm(np.array([np.array(start) - 0.5, np.array(stop) - 0.5]))
    return np.array([ends.min(axis=0), ends.max(axis=0)])


@pytest.mark.parametrize("mirrored", [False, True])
def test_volume_and_masks_lie_where_they_are_in_the_patient(mirrored: bool) -> None:
    volume = body(mirrored=mirrored)
    mask = np.zeros(SHAPE, bool)
    mask[4:10, 6:12, 25:35] = True
    scene = scene3d(volume, {"lesion": mask}, off_screen=True)
    bounds = np.array(scene.actors["lesion"].GetBounds()).reshape(3, 2).T
    np.testing.assert_allclose(bounds, outer(volume.geometry, (4, 6, 25), (10, 12, 35)), atol=0.8)
    bounds = np.array(scene.actors["volume"].GetBounds()).reshape(3, 2).T
    centres = outer(volume.geometry, (0.5, 0.5, 0.5), np.array(SHAPE) - 0.5)
    np.testing.assert_allclose(bounds, centres, atol=1e-6)
    assert (
        scene.actors["name of lesion"].input == f"lesion  {6 * 6 * 10 * 3 * 1.5 * 1.25e-3:.1f} ml"
    )
    scene.close()


def test_a_large_volume_is_thinned_and_stays_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook, "MOST_VOXELS", 10)
    volume = body(mirrored=True)
    scene = scene3d(volume, off_screen=True)
    actor = scene.actors["volume"]
    assert tuple(actor.mapper.dataset.dimensions) == (10, 10, 10)
    bounds = np.array(actor.GetBounds()).reshape(3, 2).T
    step = np.array([4 * 1.25, 3 * 1.5, 2 * 3.0])
    centres = outer(volume.geometry, (0.5, 0.5, 0.5), np.array(SHAPE) - 0.5)
    assert (np.abs(bounds - centres) < step).all()
    scene.close()


def test_masks_that_bring_their_place_need_no_volume() -> None:
    volume = body()
    placed = SimpleNamespace(voxels=volume.voxels > 0, geometry=volume.geometry)
    scene = scene3d(None, [placed, placed], off_screen=True)
    assert {"mask 1", "mask 2"} <= set(scene.actors)
    scene.close()
    with pytest.raises(InputError, match="“mask 1” is an array without a place"):
        scene3d(None, [volume.voxels > 0])
    with pytest.raises(InputError, match="nothing to show"):
        scene3d(None)


def test_the_patients_left_is_on_the_right_of_the_picture(tmp_path: Path) -> None:
    """Rendered in a process of its own: OpenGL and the window's tests do not share one."""
    program = f"""
import numpy as np
from med2e3.geometry import Geometry
from med2e3.notebook import scene3d
from tests.med2e3.test_notebook import body
for mirrored in (False, True):
    volume = body(mirrored=mirrored)
    index = volume.geometry.to_index(volume.geometry.centre_mm + (18, 0, 0)).astype(int)
    mask = np.zeros(volume.shape, bool)
    mask[index[0] - 3:index[0] + 3, :5, index[2] - 3:index[2] + 3] = True
    scene = scene3d(volume, {{"left": mask}}, off_screen=True)
    scene.window_size = (300, 300)
    scene.screenshot({str(tmp_path)!r} + f"/{{mirrored}}.png")
    scene.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name in ("False", "True"):
        picture = np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB")).astype(int)
        picture = picture[40:]  # below the name of the mask, which is in its colour
        orange = (picture[..., 0] - picture[..., 2] > 100) & (picture[..., 0] > 130)
        assert orange.sum() > 30
        tissue = (picture.max(axis=2) - 26 > 20) & ~orange
        assert np.nonzero(orange)[1].mean() > np.nonzero(tissue)[1].mean() + 20
