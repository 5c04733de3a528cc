"""Bands of highest weight in 3D: slabs that lie where the bands do, seen from outside."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from app.imaging.camera import Camera
from app.viewmodels.assistant.answers import Seen, Turn
from app.viewmodels.assistant.levels import slabs_of
from app.views.assistant.scene_slabs import SceneSlabs, faces_towards
from med2e3.engine import Scores
from med2e3.geometry import DISPLAY_AXES, Plane
from med2e3.preprocessing import prepare
from tests.app.bodies import phantom
from tests.app.conftest import Gui


def _turn(plane: Plane, *weights: float) -> Turn:
    volume = phantom()
    given = prepare(volume, (8, 16, 16), plane=plane)
    seen = Seen(
        volume, given.plane, None, np.zeros((8, 16, 16), np.uint8), given.geometry,
        given.crop_start, given.crop_shape, given.bands, given.unread_slices,
    )  # fmt: skip
    scores = Scores(np.array(weights, np.float32), given.bands)
    return Turn("?", "model", volume, seen=seen, scores=scores)


@pytest.mark.parametrize("plane", list(Plane))
def test_a_slab_lies_between_the_limits_of_its_band(plane: Plane) -> None:
    turn = _turn(plane, 0.05, 0.3, 0.05, 0.05, 0.4, 0.05, 0.05, 0.05)
    slabs = slabs_of(turn)
    assert [slab.rank for slab in slabs] == [1, 2]
    assert turn.seen is not None
    axis = DISPLAY_AXES[plane][0][0]
    for slab, number in zip(slabs, (4, 1), strict=True):
        band = turn.seen.bands[number]
        along = slab.corners_mm[:, axis]
        assert (along.min(), along.max()) == pytest.approx((band.from_mm, band.to_mm))
        assert slab.times_uniform == pytest.approx(8 * turn.scores.values[number])  # type: ignore[union-attr]
        given = turn.seen.geometry
        size = np.ptp(slab.corners_mm, axis=0)
        extent = [given.extent_mm[0] / 8, *given.extent_mm[1:]]
        by_axis = [extent[given.patient_axes.index(a)] for a in range(3)]
        np.testing.assert_allclose(size, by_axis, rtol=1e-5)


def test_nearly_equal_weights_have_no_slabs() -> None:
    assert slabs_of(_turn(Plane.AXIAL, *[0.125] * 8)) == ()
    assert slabs_of(None) == ()


@pytest.mark.parametrize(("side", "count"), [("A", 1), ("L", 1), ("turned", 3)])
def test_only_faces_that_look_at_the_reader_are_drawn(side: str, count: int) -> None:
    corners = slabs_of(_turn(Plane.AXIAL, 0.93, *[0.01] * 7))[0].corners_mm
    camera = Camera.facing("A").turned(40, 25) if side == "turned" else Camera.facing(side)
    back = np.asarray(camera.axes[2])
    faces = faces_towards(corners, back)
    assert len(faces) == count
    for face in faces:
        nearest = (corners @ back).max()
        assert (corners[face] @ back).max() == pytest.approx(nearest)
        sides = [np.linalg.norm(corners[a] - corners[b]) for a, b in itertools.pairwise(face)]
        diagonal = np.linalg.norm(corners[face[0]] - corners[face[2]])
        assert diagonal > max(sides), "the corners go round the face"


def test_slabs_are_painted_over_3d_and_go_with_the_answer(open_gui: Gui) -> None:
    open_gui.ask()
    open_gui.do(open_gui.workspace.layouts.toggle_scene)
    open_gui.until(lambda: open_gui.workspace.scene.frame is not None)
    (sheet,) = open_gui.window.findChildren(SceneSlabs)
    assert sheet.isVisible()
    assert len(sheet.slabs()) == 1  # the fake model has one peak
    with_slabs = sheet.grab().toImage()
    turn = open_gui.assistant.chosen
    assert turn is not None
    open_gui.do(lambda: open_gui.workspace.scene.turn(30, 10))
    assert sheet.grab().toImage() != with_slabs
    open_gui.do(lambda: open_gui.assistant.choose(None))
    assert not sheet.isVisible()
    flat = dataclasses.replace(
        turn.scores,
        values=np.full(8, 1 / 8, np.float32),  # type: ignore[type-var]
    )
    turn.scores = flat
    open_gui.do(lambda: open_gui.assistant.choose(turn))
    assert not sheet.isVisible()
