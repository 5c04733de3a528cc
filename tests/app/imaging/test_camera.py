"""The camera of the 3D view: turns, standard views, and the letters that follow from them."""

from __future__ import annotations

import numpy as np
import pytest

from app.imaging.camera import PIXELS_A_RADIAN, STANDARD_VIEWS, Camera, Projection
from app.rendering.scene.clip_box import handle_at, handles
from app.rendering.scene.cube import visible_faces
from app.viewmodels.images.scene import WHOLE, extent_of
from med2e3.geometry import Geometry, direction_letters
from med2e3.volume import Volume

#: What lies at the left, right, top and bottom edge for somebody who stands on that side.
EDGES = {"A": "RLSI", "P": "LRSI", "R": "PASI", "L": "APSI", "S": "LRAP", "I": "RLAP"}


@pytest.mark.parametrize("side", STANDARD_VIEWS)
def test_standard_views_have_the_sides_that_anatomy_says(side: str) -> None:
    right, up, back = Camera.facing(side).axes
    edges = "".join(direction_letters(v) for v in (-right, right, up, -up))
    assert edges == EDGES[side]
    assert direction_letters(back) == side


def test_no_turn_ever_mirrors_or_skews() -> None:
    camera = Camera.facing("A")
    for step in range(200):
        camera = camera.turned(37 - step, 11 + step / 3)
        assert np.linalg.det(camera.axes) == pytest.approx(1, abs=1e-9)
        assert camera.axes @ camera.axes.T == pytest.approx(np.eye(3), abs=1e-9)


def test_what_faces_the_viewer_goes_with_the_mouse() -> None:
    quarter = PIXELS_A_RADIAN * np.pi / 2
    front = Camera.facing("A")
    # The front turned to the right: the patient's right side comes to face us.
    assert direction_letters(front.turned(quarter, 0).back) == "R"
    # The front turned down: the head comes to face us.
    assert direction_letters(front.turned(0, quarter).back) == "S"
    assert front.turned(quarter, 0).turned(-quarter, 0).axes == pytest.approx(front.axes)


@pytest.mark.parametrize("side", STANDARD_VIEWS)
def test_the_cube_shows_the_side_that_faces_us_the_right_way_round(side: str) -> None:
    (face,) = visible_faces(Camera.facing(side), (50, 50), 10)
    assert face.letter == side
    assert np.asarray(face.corners) == pytest.approx(
        np.array([(40, 40), (60, 40), (60, 60), (40, 60)])
    )


def test_letters_on_the_cube_are_never_mirror_writing() -> None:
    camera = Camera.facing("A")
    for step in range(60):
        camera = camera.turned(23, 17 - step)
        for face in visible_faces(camera, (50, 50), 10):
            corners = np.asarray(face.corners)
            a, b = corners[1] - corners[0], corners[3] - corners[0]
            assert a[0] * b[1] - a[1] * b[0] > 0, face.letter


def test_pan_and_zoom_move_by_the_millimetre() -> None:
    projection = Projection(Camera.facing("A"), (300, 200), (10.0, 20.0, 30.0), 50.0)
    assert projection.pixels_per_mm == 2
    assert projection.to_screen(np.array([10, 20, 30])) == pytest.approx((150, 100, 0))
    # 5 mm to the patient's left is to the right, 5 mm to the front is nearer.
    assert projection.to_screen(np.array([15, 15, 30])) == pytest.approx((160, 100, 5))
    panned = Projection(Camera.facing("A").panned(7, 3), (300, 200), (10, 20, 30), 50.0)
    assert panned.to_screen(np.array([10, 20, 30])) == pytest.approx((164, 94, 0))


def test_the_extent_is_the_outline_in_the_order_of_lps() -> None:
    geometry = Geometry.from_spacing((10, 20, 30), (3, 2, 1), origin_mm=(5, 6, 7))
    extent = extent_of(Volume(np.zeros((10, 20, 30), np.int16), geometry))
    # Slices run downwards: the last one, at 7 − 27 mm, is the lowest.
    assert extent.corner_mm == pytest.approx((4.5, 5.0, 7 - 27 - 1.5))
    assert np.asarray(extent.edges_mm) == pytest.approx(np.diag([30, 40, 30]))
    assert extent.centre_mm == pytest.approx(tuple(geometry.centre_mm))


def test_a_handle_dragged_along_its_axis_moves_by_what_the_mouse_does() -> None:
    geometry = Geometry.from_spacing((10, 10, 10), (10, 10, 10))
    extent = extent_of(Volume(np.zeros((10, 10, 10), np.int16), geometry))
    projection = Projection(Camera.facing("A"), (216, 216), extent.centre_mm, extent.radius_mm)
    found = handles(WHOLE, extent, projection)
    right = next(h for h in found if (h.axis, h.end) == (0, 0))
    assert right.at == pytest.approx((8, 108))  # the patient's right is on the left
    assert right.fraction_for(50, 13) == pytest.approx(0.25)
    front = next(h for h in found if (h.axis, h.end) == (1, 0))
    assert front.fraction_for(50, 50) == 0.0  # seen end-on: a drag says nothing about it
    assert handle_at(found, 10, 105) is right
    assert handle_at(found, 60, 60) is None
