"""Geometry on grids whose answers are known: every axis order, flip, tilt and shear."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from med2e3.errors import GeometryError
from med2e3.geometry import (
    DISPLAY_AXES,
    TILT_DEGREES,
    Geometry,
    Orientation,
    Plane,
    direction_letters,
)

SHAPE = (3, 4, 5)
SPACING = (2.5, 0.7, 0.9)
ORIGIN = (-31.0, 47.0, 205.0)

#: Every way to store an upright grid: which patient axis each array axis follows, and its sign.
STORED = list(
    itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3))
)


def stored_grid(axes: tuple[int, ...], signs: tuple[int, ...]) -> Geometry:
    affine = np.eye(4)
    affine[:3, :3] = 0
    for k, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[axis, k] = sign * SPACING[k]
    affine[:3, 3] = ORIGIN
    return Geometry(SHAPE, affine)


def turned(degrees: float, about: int, affine: np.ndarray) -> np.ndarray:
    """The affine after turning the grid about a patient axis."""
    a = math.radians(degrees)
    matrix = np.eye(4)
    i, j = [k for k in range(3) if k != about]
    matrix[i, i] = matrix[j, j] = math.cos(a)
    matrix[i, j], matrix[j, i] = -math.sin(a), math.sin(a)
    return matrix @ affine


def plain(plane: Plane = Plane.AXIAL) -> Geometry:
    return Geometry.from_spacing(SHAPE, SPACING, plane=plane, origin_mm=ORIGIN)


def sheared(mm_per_slice: float) -> Geometry:
    """Slices that move towards posterior from one to the next, as under a tilted gantry."""
    affine = plain().affine_lps.copy()
    affine[1, 0] += mm_per_slice
    return Geometry(SHAPE, affine)


def all_kinds() -> list[Geometry]:
    upright = [stored_grid(*one) for one in STORED]
    oblique = [Geometry(SHAPE, turned(25, a, turned(-14, 1, g.affine_lps)))
               for a, g in itertools.product((0, 2), upright[::7])]  # fmt: skip
    return [*upright, *oblique, sheared(0.9), sheared(-0.9)]


class TestMapping:
    def test_the_affine_takes_voxel_centres_to_millimetres(self) -> None:
        geometry = plain()
        np.testing.assert_allclose(geometry.to_patient_mm((0, 0, 0)), ORIGIN)
        np.testing.assert_allclose(
            geometry.to_patient_mm((1, 2, 3)), (-31 + 3 * 0.9, 47 + 2 * 0.7, 205 - 2.5)
        )

    @pytest.mark.parametrize("geometry", all_kinds())
    def test_index_and_millimetres_invert_each_other(self, geometry: Geometry) -> None:
        index = np.random.default_rng(0).uniform(-2, 8, (50, 3))
        np.testing.assert_allclose(
            geometry.to_index(geometry.to_patient_mm(index)), index, atol=1e-10
        )

    def test_the_centre_is_the_mean_of_all_voxels(self) -> None:
        geometry = sheared(0.9)
        every = np.stack(np.indices(SHAPE), axis=-1).reshape(-1, 3).astype(float)
        np.testing.assert_allclose(
            geometry.centre_mm, geometry.to_patient_mm(every).mean(axis=0), atol=1e-9
        )

    def test_spacing_and_extent_are_lengths_along_the_array_axes(self) -> None:
        geometry = Geometry(SHAPE, turned(30, 0, plain().affine_lps))
        assert geometry.spacing_mm == pytest.approx(SPACING)
        assert geometry.extent_mm == pytest.approx((7.5, 2.8, 4.5))

    @pytest.mark.parametrize(
        ("index", "inside"),
        [((0, 0, 0), True), ((-0.5, 3.5, 4.5), True), ((2.6, 0, 0), False), ((0, -0.6, 0), False)],
    )
    def test_a_grid_reaches_to_the_outer_edges_of_its_voxels(
        self, index: tuple[float, float, float], inside: bool
    ) -> None:
        assert plain().contains(index) is inside

    def test_voxels_of_any_grid_fill_what_their_edges_span(self) -> None:
        ml = math.prod(SPACING) / 1000
        for geometry in (plain(), sheared(0.9), Geometry(SHAPE, turned(25, 1, plain().affine_lps))):
            assert geometry.voxel_ml == pytest.approx(ml)

    def test_a_crop_keeps_voxels_where_they_were(self) -> None:
        geometry = sheared(0.9)
        crop = geometry.cropped((1, 2, 3), (2, 2, 1))
        assert crop.shape == (2, 2, 1)
        np.testing.assert_allclose(crop.to_patient_mm((1, 1, 0)), geometry.to_patient_mm((2, 3, 3)))


class TestPlanes:
    @pytest.mark.parametrize("plane", list(Plane))
    def test_a_grid_made_for_a_plane_is_in_it_and_displayed_as_it_is(self, plane: Plane) -> None:
        geometry = plain(plane)
        assert geometry.plane is plane
        assert geometry.orientation(plane) == Orientation((0, 1, 2), (False, False, False))

    @pytest.mark.parametrize("plane", list(Plane))
    @pytest.mark.parametrize("geometry", all_kinds())
    def test_turning_moves_no_voxel_in_the_patient(self, geometry: Geometry, plane: Plane) -> None:
        """Voxels that hold their own position still hold it after turning array and geometry."""
        every = np.stack(np.indices(SHAPE), axis=-1).astype(float)
        held = geometry.to_patient_mm(every)
        view = geometry.oriented(plane)
        indices = np.stack(np.indices(view.shape), axis=-1).astype(float)
        for axis in range(3):
            shown = geometry.orientation(plane).apply(held[..., axis])
            assert shown.shape == view.shape
            np.testing.assert_allclose(shown, view.to_patient_mm(indices)[..., axis], atol=1e-9)

    @pytest.mark.parametrize("plane", list(Plane))
    @pytest.mark.parametrize("stored", STORED)
    def test_every_stored_order_is_displayed_the_radiological_way(
        self, stored: tuple[tuple[int, ...], tuple[int, ...]], plane: Plane
    ) -> None:
        view = stored_grid(*stored).oriented(plane)
        for k, (axis, sign) in enumerate(DISPLAY_AXES[plane]):
            expected = np.zeros(3)
            expected[axis] = sign
            np.testing.assert_allclose(view.directions[:, k], expected, atol=1e-12)

    @pytest.mark.parametrize("plane", list(Plane))
    @pytest.mark.parametrize("stored", STORED)
    def test_undo_is_the_exact_inverse_of_apply(
        self, stored: tuple[tuple[int, ...], tuple[int, ...]], plane: Plane
    ) -> None:
        turn = stored_grid(*stored).orientation(plane)
        array = np.arange(60).reshape(SHAPE)
        np.testing.assert_array_equal(turn.undo(turn.apply(array)), array)

    def test_turning_copies_nothing(self) -> None:
        array = np.zeros(SHAPE, dtype=np.int16)
        shown = stored_grid((1, 2, 0), (1, -1, 1)).orientation(Plane.AXIAL).apply(array)
        assert np.shares_memory(shown, array)

    def test_patient_right_is_on_the_viewers_left_and_anterior_or_superior_on_top(self) -> None:
        letters = {plane: plain(plane).edge_letters() for plane in Plane}
        assert letters == {
            Plane.AXIAL: ("R", "L", "A", "P"),
            Plane.CORONAL: ("R", "L", "S", "I"),
            Plane.SAGITTAL: ("A", "P", "S", "I"),
        }

    @pytest.mark.parametrize("degrees", [-44, -20, 20, 44])
    def test_an_oblique_grid_belongs_to_the_nearest_plane(self, degrees: float) -> None:
        geometry = Geometry(SHAPE, turned(degrees, 0, plain().affine_lps))
        assert geometry.plane is Plane.AXIAL
        assert geometry.obliquity_degrees == pytest.approx(abs(degrees))
        assert geometry.is_oblique

    def test_beyond_45_degrees_an_axial_grid_is_coronal(self) -> None:
        assert Geometry(SHAPE, turned(46, 0, plain().affine_lps)).plane is Plane.CORONAL

    def test_no_two_array_axes_claim_one_patient_axis(self) -> None:
        """Two columns lie nearest to x here; the assignment must still be a permutation."""
        affine = np.eye(4)
        affine[:3, :3] = np.array([[0.8, 0.75, 0.1], [0.6, -0.6, 0.3], [0.0, 0.28, 0.95]])
        assert sorted(Geometry(SHAPE, affine).patient_axes) == [0, 1, 2]

    def test_rounded_cosines_are_not_oblique(self) -> None:
        assert not Geometry(SHAPE, turned(0.1, 2, plain().affine_lps)).is_oblique


class TestTilt:
    def test_rectangular_grids_have_none(self) -> None:
        for stored in STORED:
            assert not stored_grid(*stored).is_tilted

    def test_the_angle_is_that_between_stacking_and_the_normal(self) -> None:
        geometry = sheared(2.5 * math.tan(math.radians(18.5)))
        assert geometry.tilt_degrees == pytest.approx(18.5)
        assert geometry.is_tilted

    def test_turning_the_patient_does_not_tilt_the_gantry(self) -> None:
        assert Geometry(SHAPE, turned(33, 0, plain().affine_lps)).tilt_degrees < TILT_DEGREES

    def test_a_left_handed_grid_is_not_tilted(self) -> None:
        affine = plain().affine_lps.copy()
        affine[:3, 0] *= -1
        assert Geometry(SHAPE, affine).tilt_degrees == pytest.approx(0, abs=1e-5)


class TestLetters:
    @pytest.mark.parametrize(
        ("direction", "letters"),
        [
            ((1, 0, 0), "L"),
            ((-1, 0, 0), "R"),
            ((0, 1, 0), "P"),
            ((0, -1, 0), "A"),
            ((0, 0, 1), "S"),
            ((0, 0, -1), "I"),
            ((0.9, 0.3, 0), "LP"),
            ((0.3, -0.9, 0.1), "ALS"),
            ((1, 0.001, 0), "L"),
            ((0, 0, -40), "I"),
        ],
    )
    def test_a_direction_is_named_by_its_strongest_sides(
        self, direction: tuple[float, ...], letters: str
    ) -> None:
        assert direction_letters(direction) == letters


class TestRefusals:
    def test_two_axes_alone_are_no_volume(self) -> None:
        with pytest.raises(GeometryError, match="three axes"):
            Geometry((3, 4), np.eye(4))  # type: ignore[arg-type]

    def test_an_empty_axis_is_no_volume(self) -> None:
        with pytest.raises(GeometryError, match="at least one voxel"):
            Geometry((3, 0, 4), np.eye(4))

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_an_affine_must_be_finite(self, value: float) -> None:
        affine = np.eye(4)
        affine[0, 3] = value
        with pytest.raises(GeometryError, match="finite"):
            Geometry(SHAPE, affine)

    @pytest.mark.parametrize("place", [(0, 3), (1, 1), (2, 0)])
    @pytest.mark.parametrize("value", [1.1e6, 1e100, 1e230, -1.7e308])
    def test_a_grid_far_from_every_patient_is_refused(
        self, place: tuple[int, int], value: float
    ) -> None:
        """Products of such numbers overflow, and warnings are errors here."""
        affine = Geometry.from_spacing((4, 5, 6), (1, 1, 1)).affine_lps.copy()
        affine[place] = value
        with pytest.raises(GeometryError, match="from the origin, and nothing in a patient lies"):
            Geometry((4, 5, 6), affine)

    def test_a_grid_that_ends_far_from_every_patient_is_refused(self) -> None:
        affine = Geometry.from_spacing((4, 5, 6), (1, 1, 1)).affine_lps.copy()
        affine[:3, :3] *= 1e5
        with pytest.raises(GeometryError, match=r"reaches 5\.9e"):
            Geometry((4, 5, 60), affine)

    def test_a_projective_affine_is_refused(self) -> None:
        affine = np.eye(4)
        affine[3, 0] = 0.1
        with pytest.raises(GeometryError, match="last row"):
            Geometry(SHAPE, affine)

    @pytest.mark.parametrize("column", [(0.0, 0.0, 0.0), (0.0, 1.0, 0.0), (1e-9, 0.0, 0.0)])
    def test_axes_that_span_no_volume_are_refused(self, column: tuple[float, ...]) -> None:
        affine = np.eye(4)
        affine[:3, 0] = column
        with pytest.raises(GeometryError, match="degenerate"):
            Geometry(SHAPE, affine)

    def test_the_affine_cannot_be_changed_afterwards(self) -> None:
        mine = np.eye(4)
        geometry = Geometry(SHAPE, mine)
        mine[0, 0] = 7
        assert geometry.affine_lps[0, 0] == 1
        with pytest.raises(ValueError, match="read-only"):
            geometry.affine_lps[0, 0] = 7
