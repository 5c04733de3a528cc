"""Preprocessing: the published arithmetic bit for bit, and a map that leads back to the patient."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from med2e3.errors import PreprocessingError
from med2e3.geometry import DISPLAY_AXES, Geometry, Plane
from med2e3.preprocessing import (
    FULL_RANGE,
    MIN_MAX,
    ModelInput,
    prepare,
    published,
    resolve_window,
)
from med2e3.volume import WINDOWS, Volume, Window

PUBLISHED_GRID = (32, 256, 256)
PLANES = list(Plane)


def rotation(degrees: float, axis: int) -> np.ndarray:
    a = np.radians(degrees)
    turned = np.eye(3)
    i, j = [k for k in range(3) if k != axis]
    turned[i, i] = turned[j, j] = np.cos(a)
    turned[i, j], turned[j, i] = -np.sin(a), np.sin(a)
    return turned


def grids() -> dict[str, Geometry]:
    """Anisotropic grids of every kind that a file can hold, none of them centred."""
    shape, origin = (24, 20, 28), (-31.0, 47.0, 205.0)
    plain = Geometry.from_spacing(shape, (2.5, 0.7, 0.9), origin_mm=origin).affine_lps
    found = {
        f"stored {plane}": Geometry.from_spacing(shape, (2.5, 0.7, 0.9), plane=plane)
        for plane in Plane
    }
    for name, matrix in {
        "flipped": np.diag([-1.0, 1.0, -1.0]),
        "left-handed": np.diag([1.0, -1.0, 1.0]),
        "oblique": rotation(20, 0) @ rotation(-12, 2),
    }.items():
        affine = plain.copy()
        affine[:3, :3] = matrix @ plain[:3, :3]
        found[name] = Geometry(shape, affine)
    sheared = plain.copy()
    sheared[:3, 0] += (0.0, 0.6, 0.0)
    found["sheared"] = Geometry(shape, sheared)
    return found


GRIDS = grids()


def positions(geometry: Geometry) -> np.ndarray:
    """(slice, row, column, 3) LPS mm of every voxel centre."""
    return geometry.to_patient_mm(np.stack(np.indices(geometry.shape), axis=-1).astype(float))


def blob(geometry: Geometry, value: float = 100.0) -> np.ndarray:
    """Air with a bright box that leaves three voxels free on one side and two on the other."""
    voxels = np.full(geometry.shape, -1000.0, dtype=np.float32)
    voxels[3:-2, 2:-3, 3:-2] = value
    return voxels


class TestPublished:
    @pytest.mark.parametrize("case", ["up", "mixed"])
    def test_equals_the_recorded_tensors_bit_for_bit(self, fixtures: Path, case: str) -> None:
        golden = np.load(fixtures / "preprocessing" / "golden.npz")
        result = published(golden[f"cap.{case}.u8"], PUBLISHED_GRID)
        assert result.dtype == torch.float32
        assert result.shape == (1, *PUBLISHED_GRID)
        sampled = result[:, ::3, ::7, ::7].numpy()
        np.testing.assert_array_equal(sampled, golden[f"cap.{case}.out_sub"])

    @pytest.mark.parametrize("case", ["down", "up", "mixed"])
    def test_equals_the_full_recording_bit_for_bit(self, shared: Path, case: str) -> None:
        golden = np.load(shared / "golden" / "preprocessing" / "golden.npz")
        result = published(golden[f"cap.{case}.u8"], PUBLISHED_GRID)
        again = published(result, PUBLISHED_GRID, rescale=False)
        for tensor, key in ((result, "cap"), (again, "eval")):
            sampled = tensor[:, ::3, ::7, ::7].numpy()
            np.testing.assert_array_equal(sampled, golden[f"{key}.{case}.out_sub"])

    def test_prepared_arrays_pass_through_unchanged(self, fixtures: Path) -> None:
        stack = np.load(fixtures / "preprocessing" / "golden.npz")["cap.mixed.u8"]
        once = published(stack, PUBLISHED_GRID)
        assert torch.equal(published(once, PUBLISHED_GRID, rescale=False), once)

    def test_crops_to_the_recorded_box(self, fixtures: Path) -> None:
        golden = np.load(fixtures / "preprocessing" / "golden.npz")
        stack = golden["cap.mixed.u8"]
        volume = Volume(stack.astype(np.int16), Geometry.from_spacing(stack.shape, (1, 1, 1)))
        start, end = golden["cap.mixed.bbox"]
        ready = prepare(volume, PUBLISHED_GRID)
        assert ready.crop_start == tuple(start)
        assert ready.crop_shape == tuple(end - start)

    @pytest.mark.parametrize(("source", "slices"), [(15, 1), (15, 15), (15, 45), (29, 11), (57, 7)])
    def test_a_volume_prepared_without_window_is_the_published_tensor(
        self, source: int, slices: int
    ) -> None:
        """Also where rounding puts a sample a hair beside a slice, as on 11 of 29."""
        values = np.random.default_rng(3).integers(0, 3, (source, 30, 40)).astype(np.uint8) * 127
        values[:, :5] = 0
        values[7, 9, 11] = 255
        volume = Volume(values.astype(np.int16), Geometry.from_spacing(values.shape, (1, 1, 1)))
        grid = (slices, 16, 16)
        assert torch.equal(prepare(volume, grid).grid, published(values, grid))

    def test_a_flat_array_is_refused(self) -> None:
        with pytest.raises(PreprocessingError, match="above 0"):
            published(np.full((4, 4, 4), 7, dtype=np.uint8), (2, 2, 2))

    def test_a_stack_of_volumes_is_refused_by_its_shape(self) -> None:
        with pytest.raises(PreprocessingError, match=r"\(2, 4, 4, 4\)"):
            published(np.ones((2, 4, 4, 4), dtype=np.float32), (2, 2, 2))


class TestGeometryOfTheGrid:
    @pytest.mark.parametrize("plane", PLANES)
    @pytest.mark.parametrize("name", GRIDS)
    @pytest.mark.parametrize("axis", range(3))
    def test_a_voxel_holds_the_position_that_the_geometry_claims(
        self, name: str, plane: Plane, axis: int
    ) -> None:
        """Values equal to a patient coordinate come back as the coordinate of the grid's voxels."""
        geometry = GRIDS[name]
        values = positions(geometry)[..., axis].astype(np.float32)
        ready = prepare(Volume(values, geometry), (6, 5, 7), plane=plane, crop=False)
        low, high = values.min(), values.max()
        found = ready.grid[0].numpy().astype(float) * (high - low) + low
        np.testing.assert_allclose(found, positions(ready.geometry)[..., axis], atol=2e-3)

    @pytest.mark.parametrize("plane", PLANES)
    @pytest.mark.parametrize("name", GRIDS)
    def test_the_crop_is_inverted(self, name: str, plane: Plane) -> None:
        """Inside a cropped bright box, the grid still holds the position it claims to lie at."""
        geometry = GRIDS[name]
        ramp = positions(geometry)[..., DISPLAY_AXES[plane][0][0]]
        low, high = ramp.min() - 1, ramp.max()
        values = np.where(blob(geometry) > 0, ramp, -5000).astype(np.float32)
        window = Window((low + high) / 2, high - low)
        ready = prepare(Volume(values, geometry), (6, 5, 7), plane=plane, window=window)
        turn = geometry.orientation(plane)
        inside = np.argwhere(turn.apply(blob(geometry)) > 0)
        assert ready.crop_start == tuple(inside.min(axis=0))
        assert ready.crop_shape == tuple(np.ptp(inside, axis=0) + 1)
        found = ready.grid[0].numpy().astype(float) * window.width + window.low
        claimed = positions(ready.geometry)[..., DISPLAY_AXES[plane][0][0]]
        np.testing.assert_allclose(found, claimed, atol=5e-3)

    @pytest.mark.parametrize("plane", PLANES)
    @pytest.mark.parametrize("name", GRIDS)
    def test_slices_rows_and_columns_run_as_displayed(self, name: str, plane: Plane) -> None:
        ready = prepare(Volume(blob(GRIDS[name]), GRIDS[name]), (4, 4, 4), plane=plane)
        for k, (axis, sign) in enumerate(DISPLAY_AXES[plane]):
            assert ready.geometry.directions[axis, k] * sign > 0.5

    def test_the_plane_defaults_to_that_of_the_stored_slices(self) -> None:
        for plane in Plane:
            geometry = GRIDS[f"stored {plane}"]
            assert prepare(Volume(blob(geometry), geometry), (4, 4, 4)).plane is plane

    def test_the_grid_covers_exactly_the_crop(self) -> None:
        geometry = GRIDS["oblique"]
        ready = prepare(Volume(blob(geometry), geometry), (3, 4, 5), plane=Plane.CORONAL)
        crop = geometry.oriented(Plane.CORONAL).cropped(ready.crop_start, ready.crop_shape)
        for corner in itertools.product((0, 1), repeat=3):
            of_grid = np.where(corner, np.array(ready.geometry.shape) - 0.5, -0.5)
            of_crop = np.where(corner, np.array(crop.shape) - 0.5, -0.5)
            np.testing.assert_allclose(
                ready.geometry.to_patient_mm(of_grid), crop.to_patient_mm(of_crop), atol=1e-9
            )


def slab_input(name: str, plane: Plane, view_slice: int, slices: int) -> ModelInput:
    """The grid of a dim volume in which one slice of `plane`, in display order, is bright."""
    geometry = GRIDS[name]
    voxels = np.full(geometry.shape, 10, dtype=np.int16)
    geometry.orientation(plane).apply(voxels)[view_slice] = 1000
    return prepare(Volume(voxels, geometry), (slices, 4, 4), plane=plane, window=Window(500, 1000))


class TestBands:
    @pytest.mark.parametrize("plane", PLANES)
    @pytest.mark.parametrize("name", GRIDS)
    def test_a_bright_slab_lights_the_band_that_names_its_mm_and_slices(
        self, name: str, plane: Plane
    ) -> None:
        geometry = GRIDS[name]
        axis = DISPLAY_AXES[plane][0][0]
        view = geometry.oriented(plane)
        flipped = geometry.orientation(plane).flips[0]
        for view_slice in range(view.shape[0]):
            ready = slab_input(name, plane, view_slice, slices=view.shape[0] // 2)
            brightest = int(ready.grid.mean(dim=(0, 2, 3)).argmax())
            band = ready.bands[brightest]
            assert band.model_slice == brightest
            middle = [(n - 1) / 2 for n in view.shape[1:]]
            mm = view.to_patient_mm((view_slice, *middle))[axis]
            assert band.from_mm < mm < band.to_mm
            first, last = band.view_slices
            assert first <= view_slice <= last
            source = view.shape[0] - 1 - view_slice if flipped else view_slice
            assert band.source_slices[0] <= source <= band.source_slices[1]

    @pytest.mark.parametrize("slices", [1, 5, 7, 24, 40])
    def test_bands_lie_end_to_end_and_share_out_the_slices(self, slices: int) -> None:
        geometry = GRIDS["flipped"]
        ready = prepare(Volume(blob(geometry), geometry), (slices, 3, 3), crop=False)
        spans = sorted((b.from_mm, b.to_mm) for b in ready.bands)
        for (_, end), (start, _) in itertools.pairwise(spans):
            assert start == pytest.approx(end)
        assert spans[-1][1] - spans[0][0] == pytest.approx(24 * 2.5)
        counted = [k for b in ready.bands for k in range(b.view_slices[0], b.view_slices[1] + 1)]
        assert set(counted) == set(range(24))
        if slices <= 24:
            assert len(counted) == 24
            shown = geometry.oriented(Plane.AXIAL)
            for band in ready.bands:
                for k in range(band.view_slices[0], band.view_slices[1] + 1):
                    z = shown.to_patient_mm((float(k), 9.5, 13.5))[2]
                    assert band.from_mm - 1e-9 <= z <= band.to_mm + 1e-9

    def test_source_slices_count_along_the_stored_axis_and_view_slices_along_the_display(
        self,
    ) -> None:
        # Stored from inferior to superior, as DICOM is; displayed from superior to inferior.
        affine = np.diag([1.0, 1.0, 2.0, 1.0])[:, [2, 1, 0, 3]]
        voxels = np.full((8, 4, 4), 100, dtype=np.int16)
        ready = prepare(Volume(voxels, Geometry((8, 4, 4), affine)), (4, 4, 4), crop=False,
                        window=Window(0, 400))  # fmt: skip
        top = ready.bands[0]
        assert (top.from_mm, top.to_mm) == (11.0, 15.0)
        assert top.view_slices == (0, 1)
        assert top.source_slices == (6, 7)

    def test_slices_between_samples_and_outside_the_crop_are_named_as_unread(self) -> None:
        voxels = np.full((20, 4, 4), -1000, dtype=np.int16)
        voxels[4:] = 100
        volume = Volume(voxels, Geometry.from_spacing((20, 4, 4), (1, 1, 1)))
        ready = prepare(volume, (4, 4, 4), window=Window(0, 400))
        # 16 slices onto 4: samples at 1.5, 5.5, 9.5, 13.5 read the two slices around them.
        read = {4 + k for k in (1, 2, 5, 6, 9, 10, 13, 14)}
        assert ready.unread_slices == tuple(sorted(set(range(20)) - read))

    def test_unread_slices_really_do_not_matter(self) -> None:
        geometry = GRIDS["flipped"]
        voxels = np.random.default_rng(0).integers(-200, 300, geometry.shape).astype(np.int16)
        voxels[-5:] = -1000  # cropped away, at one end only
        window = Window(0, 1000)
        ready = prepare(Volume(voxels, geometry), (5, 4, 4), window=window)
        assert ready.unread_slices
        for k in range(geometry.shape[0]):
            changed = voxels.copy()
            changed[k] += 50
            other = prepare(Volume(changed, geometry), (5, 4, 4), window=window)
            assert torch.equal(other.grid, ready.grid) == (k in ready.unread_slices)

    def test_all_slices_are_read_when_the_model_has_as_many(self) -> None:
        geometry = GRIDS["stored axial"]
        ready = prepare(Volume(blob(geometry), geometry), (24, 4, 4), crop=False)
        assert ready.unread_slices == ()


class TestWindow:
    def test_the_window_becomes_0_to_1_and_is_clipped(self) -> None:
        voxels = np.empty((5, 2, 2), dtype=np.int16)
        voxels[:] = np.array([-3000, -160, 40, 240, 3000])[:, None, None]
        volume = Volume(voxels, Geometry.from_spacing((5, 2, 2), (1, 1, 1)))
        ready = prepare(volume, (5, 2, 2), window=WINDOWS["soft tissue"], crop=False)
        np.testing.assert_array_equal(ready.grid[0, :, 0, 0], [0, 0, 0.5, 1, 1])

    def test_a_window_that_shows_nothing_is_refused_with_a_way_out(self) -> None:
        volume = Volume(
            np.full((4, 4, 4), -1000, np.int16), GRIDS["flipped"].cropped((0, 0, 0), (4, 4, 4))
        )
        with pytest.raises(PreprocessingError, match=r"above -160.*Choose a window"):
            prepare(volume, (2, 2, 2), window=WINDOWS["soft tissue"])

    def test_nothing_is_refused_without_a_crop(self) -> None:
        volume = Volume(
            np.full((4, 4, 4), -1000, np.int16), Geometry.from_spacing((4, 4, 4), (1, 1, 1))
        )
        ready = prepare(volume, (2, 2, 2), window=WINDOWS["soft tissue"], crop=False)
        assert not ready.grid.any()

    def test_the_result_does_not_depend_on_the_voxel_type(self) -> None:
        geometry = GRIDS["oblique"]
        voxels = np.random.default_rng(1).integers(-1000, 1000, geometry.shape).astype(np.int16)
        grids = [
            prepare(Volume(v, geometry), (5, 6, 7), window=WINDOWS["lung"]).grid
            for v in (voxels, voxels.astype(np.float32))
        ]
        assert torch.equal(*grids)

    def test_values_that_are_not_numbers_are_refused(self) -> None:
        voxels = np.zeros((4, 4, 4), dtype=np.float32)
        voxels[1, 1, 1] = np.nan
        volume = Volume(voxels, Geometry.from_spacing((4, 4, 4), (1, 1, 1)))
        with pytest.raises(PreprocessingError, match="not finite"):
            prepare(volume, (2, 2, 2))

    @pytest.mark.parametrize("shape", [(0, 4, 4), (4, 4)])
    def test_a_grid_without_three_sizes_is_refused(self, shape: tuple[int, ...]) -> None:
        volume = Volume(
            np.eye(4, dtype=np.int16)[None].repeat(4, 0),
            GRIDS["flipped"].cropped((0, 0, 0), (4, 4, 4)),
        )
        with pytest.raises(PreprocessingError, match="three sizes"):
            prepare(volume, shape)


class TestResolveWindow:
    volume = Volume(
        np.array([[[-1000, 0], [40, 3000]]] * 2, dtype=np.int16),
        Geometry.from_spacing((2, 2, 2), (1, 1, 1)),
    )

    def resolve(self, spec: str | Window | None) -> Window | None:
        return resolve_window(spec, self.volume, Window(1, 2))

    @pytest.mark.parametrize("name", WINDOWS)
    def test_presets_go_by_name_in_any_case(self, name: str) -> None:
        assert self.resolve(name.upper()) == WINDOWS[name]

    def test_the_full_range_runs_from_the_darkest_to_the_brightest_voxel(self) -> None:
        window = self.resolve(FULL_RANGE)
        assert window is not None
        assert (window.low, window.high) == (-1000, 3000)

    def test_min_max_stands_for_the_published_scaling(self) -> None:
        assert self.resolve(MIN_MAX) is None

    def test_nothing_given_is_the_default(self) -> None:
        assert self.resolve(None) == Window(1, 2)

    @pytest.mark.parametrize("text", ["W400 L40", "w400 l40", "w 400, l 40", "W400.0 L40.0"])
    def test_numbers_are_named_by_what_they_are(self, text: str) -> None:
        assert self.resolve(text) == Window(40, 400)

    def test_a_negative_level_is_understood(self) -> None:
        assert self.resolve("W1500 L-600") == WINDOWS["lung"]

    @pytest.mark.parametrize("text", ["longue", "40", "400,40", ""])
    def test_an_unknown_name_is_answered_with_the_known_ones(self, text: str) -> None:
        with pytest.raises(PreprocessingError, match=r"soft tissue.*min-max.*W400 L40"):
            self.resolve(text)

    @pytest.mark.parametrize("window", [Window(0, 0), Window(0, -5), Window(float("nan"), 5)])
    def test_a_window_without_width_is_refused(self, window: Window) -> None:
        with pytest.raises(PreprocessingError, match="width above 0"):
            self.resolve(window)
