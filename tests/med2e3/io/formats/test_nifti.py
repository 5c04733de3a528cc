"""NIfTI: every voxel stays where nibabel says it is."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from med2e3.errors import GeometryError, ImageReadError
from med2e3.geometry import Plane
from med2e3.io import list_series, load_volume

SHAPE = (5, 6, 7)
VALUES = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
PLAIN = np.array([[2.0, 0, 0, -30], [0, 1.5, 0, 12], [0, 0, 3, 99], [0, 0, 0, 1]])


def turned(degrees: float) -> np.ndarray:
    a = np.radians(degrees)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
    return matrix


def sheared() -> np.ndarray:
    affine = PLAIN.copy()
    affine[1, 2] = 0.8
    return affine


AFFINES = {
    "ras": PLAIN,
    "las": PLAIN @ np.diag([-1, 1, 1, 1]),
    "lps": PLAIN @ np.diag([-1, -1, 1, 1]),
    "slices downwards": PLAIN @ np.diag([1, 1, -1, 1]),
    "stored sagittal": PLAIN[:, [2, 0, 1, 3]],
    "stored coronal": PLAIN[:, [0, 2, 1, 3]],
    "oblique": turned(20) @ PLAIN,
    "sheared": sheared(),
}


def save(path: Path, array: Any = VALUES, affine: Any = PLAIN, **header: Any) -> Path:
    image = nibabel.Nifti1Image(array, affine)
    for key, value in header.items():
        image.header[key] = value
    nibabel.save(image, path)
    return path


def with_header(path: Path, **fields: Any) -> None:
    """Change header fields in the file itself: nibabel would put its own idea in their place."""
    header = nibabel.load(path).header
    for key, value in fields.items():
        header[key] = value
    path.write_bytes(header.binaryblock + path.read_bytes()[len(header.binaryblock) :])


@pytest.mark.parametrize("name", AFFINES)
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_each_voxel_lies_where_nibabel_says(tmp_path: Path, name: str, ending: str) -> None:
    loaded = load_volume(save(tmp_path / f"scan{ending}", affine=AFFINES[name]))
    assert loaded.voxels.dtype == np.int16
    for i, j, k in ((0, 0, 0), (4, 0, 0), (0, 5, 0), (0, 0, 6), (1, 2, 3), (4, 5, 6)):
        ras = nibabel.affines.apply_affine(AFFINES[name], (i, j, k))
        index = loaded.geometry.to_index(ras * (-1, -1, 1))
        np.testing.assert_allclose(index, np.rint(index), atol=1e-5)
        assert loaded.voxels[tuple(np.rint(index).astype(int))] == VALUES[i, j, k]
    assert loaded.warnings == ()


@pytest.mark.parametrize(
    ("name", "plane"),
    [("ras", Plane.AXIAL), ("stored sagittal", Plane.CORONAL), ("stored coronal", Plane.CORONAL)],
)
def test_the_plane_is_that_of_the_last_axis(tmp_path: Path, name: str, plane: Plane) -> None:
    assert load_volume(save(tmp_path / "a.nii", affine=AFFINES[name])).geometry.plane is plane


def test_patient_right_is_shown_left_however_the_file_is_flipped(tmp_path: Path) -> None:
    """The voxel furthest to the patient's right is in the first column of the display."""
    for name in ("ras", "las", "lps", "slices downwards"):
        array = np.zeros(SHAPE, np.int16)
        corners = [0, SHAPE[0] - 1]
        right = min(corners, key=lambda i: (AFFINES[name] @ (i, 0, 0, 1))[0] * -1)
        left = corners[1 - corners.index(right)]
        array[left], array[right] = 1, 2  # RAS: x grows to the right
        shown = load_volume(save(tmp_path / "a.nii", array, AFFINES[name])).in_plane(Plane.AXIAL)
        assert (shown.voxels[:, :, 0] == 2).all()
        assert (shown.voxels[:, :, -1] == 1).all()


def test_slope_and_intercept_are_applied(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii", scl_slope=2.0, scl_inter=-1024.0)
    image = nibabel.load(path)
    loaded = load_volume(path)
    assert loaded.voxels.dtype == np.int16
    np.testing.assert_array_equal(loaded.voxels.T, image.get_fdata())
    assert loaded.value_range == (-1024, 2 * 209 - 1024)


def test_fractions_become_float32(tmp_path: Path) -> None:
    loaded = load_volume(save(tmp_path / "a.nii", scl_slope=0.1, scl_inter=0.0))
    assert loaded.voxels.dtype == np.float32
    np.testing.assert_allclose(loaded.voxels.T, VALUES * 0.1, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_whole_numbers_of_any_type_stay_small(tmp_path: Path, dtype: type) -> None:
    loaded = load_volume(save(tmp_path / "a.nii", VALUES.astype(dtype)))
    assert loaded.voxels.dtype == np.int16
    np.testing.assert_array_equal(loaded.voxels.T, VALUES)


def test_what_is_no_number_becomes_air_and_is_counted(tmp_path: Path) -> None:
    array = VALUES.astype(np.float32)
    array[0, 0, 0], array[1, 2, 3], array[4, 5, 6] = np.nan, np.inf, -np.inf
    loaded = load_volume(save(tmp_path / "a.nii", array))
    assert loaded.voxels.dtype == np.int16
    assert [loaded.voxels.T[i] for i in ((0, 0, 0), (1, 2, 3), (4, 5, 6))] == [-1024] * 3
    assert loaded.voxels.T[2, 2, 2] == VALUES[2, 2, 2]
    assert loaded.warnings[0].startswith("3 voxels were not finite numbers")


def test_positions_in_metres_become_millimetres(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(VALUES, np.diag([0.002, 0.0015, 0.003, 1]))
    image.header.set_xyzt_units("meter")
    nibabel.save(image, tmp_path / "a.nii")
    assert load_volume(tmp_path / "a.nii").geometry.spacing_mm == pytest.approx((3, 1.5, 2))


def test_a_file_without_orientation_opens_with_a_warning(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii")
    with_header(path, sform_code=0, qform_code=0)
    assert "left and right may be swapped" in load_volume(path).warnings[0]


def test_a_last_axis_of_one_is_no_fourth_dimension(tmp_path: Path) -> None:
    loaded = load_volume(save(tmp_path / "a.nii", VALUES[..., None]))
    np.testing.assert_array_equal(loaded.voxels.T, VALUES)


def test_the_list_has_the_one_volume_with_its_shape(tmp_path: Path) -> None:
    (summary,) = list_series(save(tmp_path / "scan.nii.gz"))
    assert (summary.count, summary.shape, summary.is_volume) == (7, (7, 6, 5), True)
    assert summary.label == 'Series "scan.nii.gz"'


class TestRefusals:
    @pytest.mark.parametrize("shape", [(5, 6), (5, 6, 1), (5, 1, 7)])
    def test_one_image_is_no_volume(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        path = save(tmp_path / "a.nii", np.zeros(shape, np.int16))
        with pytest.raises(ImageReadError, match=r"a\.nii has shape \(5, .*not a volume"):
            load_volume(path)

    def test_several_volumes_are_counted(self, tmp_path: Path) -> None:
        path = save(tmp_path / "a.nii", np.zeros((5, 6, 7, 3), np.int16))
        with pytest.raises(ImageReadError, match=r"\(5, 6, 7, 3\): 3 volumes .* Split it"):
            load_volume(path)

    def test_colours_are_no_values(self, tmp_path: Path) -> None:
        colours = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
        with pytest.raises(ImageReadError, match="not single real numbers"):
            load_volume(save(tmp_path / "a.nii", colours))

    def test_a_file_that_is_no_nifti_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "a.nii").write_text("Dear colleague" * 100)
        with pytest.raises(ImageReadError, match=r"a\.nii cannot be read as NIfTI"):
            load_volume(tmp_path / "a.nii")

    @pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
    def test_a_truncated_file_is_named(self, tmp_path: Path, ending: str) -> None:
        noise = np.random.default_rng(0).integers(-1000, 1000, (20, 20, 20)).astype(np.int16)
        path = save(tmp_path / f"a{ending}", noise)
        path.write_bytes(path.read_bytes()[:-3000])
        with pytest.raises(ImageReadError, match="end early or are damaged"):
            load_volume(path)

    def test_a_gzip_that_is_none_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "a.nii.gz").write_bytes(b"PK\3\4 not gzip")
        with pytest.raises(ImageReadError, match="cannot be read as NIfTI"):
            load_volume(tmp_path / "a.nii.gz")

    def test_compressed_data_that_was_changed_is_noticed(self, tmp_path: Path) -> None:
        noise = np.random.default_rng(0).integers(-1000, 1000, (20, 20, 20)).astype(np.int16)
        raw = save(tmp_path / "a.nii", noise).read_bytes()
        packed = bytearray(gzip.compress(raw))
        packed[len(packed) // 2] ^= 0xFF
        (tmp_path / "b.nii.gz").write_bytes(bytes(packed))
        with pytest.raises(ImageReadError, match="damaged"):
            load_volume(tmp_path / "b.nii.gz")

    def test_an_affine_without_volume_is_refused(self, tmp_path: Path) -> None:
        affine = PLAIN.copy()
        affine[:3, 2] = affine[:3, 1]
        path = save(tmp_path / "a.nii")
        with_header(path, qform_code=0, srow_x=affine[0], srow_y=affine[1], srow_z=affine[2])
        with pytest.raises(GeometryError, match="degenerate"):
            load_volume(path)


@pytest.mark.parametrize(
    ("qform", "differs"), [(PLAIN, False), (PLAIN @ np.diag([-1, 1, 1, 1]), True)]
)
def test_two_orientations_that_differ_are_said(
    tmp_path: Path, qform: np.ndarray, differs: bool
) -> None:
    image = nibabel.Nifti1Image(VALUES, PLAIN)
    image.set_sform(PLAIN, code=1)
    image.set_qform(qform, code=1)
    nibabel.save(image, tmp_path / "a.nii")
    warnings = load_volume(tmp_path / "a.nii").warnings
    assert any("two orientations that differ" in said for said in warnings) is differs


def test_a_qform_that_is_no_rotation_leaves_the_sform(tmp_path: Path) -> None:
    """Quaternions written in single precision may be a little longer than 1."""
    path = save(tmp_path / "a.nii")
    expected = load_volume(path).geometry
    with_header(path, qform_code=1, sform_code=1, quatern_b=0.8, quatern_c=0.6001, quatern_d=0.01)
    loaded = load_volume(path)
    np.testing.assert_allclose(loaded.geometry.affine_lps, expected.affine_lps)
    assert any("qform is no rotation" in said for said in loaded.warnings)


def test_a_unit_that_does_not_exist_is_said_to_be_taken_as_mm(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii")
    expected = load_volume(path).geometry
    with_header(path, xyzt_units=4)
    loaded = load_volume(path)
    np.testing.assert_allclose(loaded.geometry.affine_lps, expected.affine_lps)
    assert any("mm is assumed" in said for said in loaded.warnings)


class TestPlaceOfTheVoxels:
    @pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
    def test_an_offset_of_0_is_the_end_of_the_header_with_a_word(
        self, tmp_path: Path, ending: str
    ) -> None:
        plain = save(tmp_path / "plain.nii")
        with_header(plain, vox_offset=0)
        path = tmp_path / f"scan{ending}"
        raw = plain.read_bytes()
        path.write_bytes(gzip.compress(raw) if "gz" in ending else raw)
        loaded = load_volume(path)
        np.testing.assert_array_equal(loaded.voxels, VALUES.T)
        (said,) = loaded.warnings
        assert "vox_offset 0" in said
        assert "byte 352" in said

    def test_an_offset_within_the_header_is_refused(self, tmp_path: Path) -> None:
        path = save(tmp_path / "scan.nii")
        with_header(path, vox_offset=16)
        with pytest.raises(ImageReadError, match="vox offset 16 too low"):
            load_volume(path)
