"""NumPy, NRRD and MetaImage files; NRRD and MetaImage against SimpleITK as the writer."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - the name its manual uses

from med2e3.errors import ImageReadError
from med2e3.geometry import Plane
from med2e3.io import load_volume

SHAPE = (7, 6, 5)
VALUES = np.random.default_rng(0).integers(-1024, 3000, SHAPE).astype(np.int16)


def oblique() -> np.ndarray:
    """Directions of an image turned about two axes, one of them flipped."""
    a, b = np.radians(20), np.radians(-13)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return about_z @ about_x @ np.diag([1.0, -1.0, -1.0])


def written(path: Path, values: np.ndarray = VALUES, compress: bool = False) -> sitk.Image:
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((0.7, 0.9, 2.5))
    image.SetOrigin((-31.0, 47.0, 205.0))
    image.SetDirection(oblique().ravel().tolist())
    sitk.WriteImage(image, str(path), useCompression=compress)
    return image


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("ending", [".mha", ".mhd", ".nrrd", ".nhdr"])
def test_values_and_positions_are_those_that_itk_wrote(
    tmp_path: Path, ending: str, compress: bool
) -> None:
    image = written(tmp_path / f"scan{ending}", compress=compress)
    loaded = load_volume(tmp_path / f"scan{ending}")
    np.testing.assert_array_equal(loaded.voxels, VALUES)
    for i, j, k in ((0, 0, 0), (4, 0, 0), (0, 5, 0), (0, 0, 6), (1, 2, 3)):
        np.testing.assert_allclose(
            loaded.geometry.to_patient_mm((k, j, i)),
            image.TransformIndexToPhysicalPoint((i, j, k)),
            atol=1e-5,
        )
    assert loaded.warnings == ()


@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_every_number_type_is_read(tmp_path: Path, ending: str, dtype: type) -> None:
    written(tmp_path / f"scan{ending}", (VALUES % 200).astype(dtype))
    loaded = load_volume(tmp_path / f"scan{ending}")
    assert loaded.voxels.dtype == np.int16
    np.testing.assert_array_equal(loaded.voxels, VALUES % 200)


@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
def test_a_vector_image_is_refused(tmp_path: Path, ending: str) -> None:
    image = sitk.GetImageFromArray(np.zeros((4, 4, 4, 3), np.int16), isVector=True)
    sitk.WriteImage(image, str(tmp_path / f"scan{ending}"))
    with pytest.raises(ImageReadError, match=rf"scan{ending}"):
        load_volume(tmp_path / f"scan{ending}")


@pytest.mark.parametrize("ending", [".mha", ".nrrd", ".npy", ".mhd", ".nhdr"])
def test_a_file_of_another_kind_is_named(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"scan{ending}").write_bytes(b"Dear colleague, \n" * 50)
    with pytest.raises(ImageReadError, match=rf"scan{ending} cannot be read as"):
        load_volume(tmp_path / f"scan{ending}")


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
def test_a_truncated_file_is_named(tmp_path: Path, ending: str, compress: bool) -> None:
    path = tmp_path / f"scan{ending}"
    written(path, compress=compress)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ImageReadError, match=rf"scan{ending}: the voxels end early"):
        load_volume(path)


@pytest.mark.parametrize("ending", [".mhd", ".nhdr"])
def test_a_header_without_its_data_file_is_named(tmp_path: Path, ending: str) -> None:
    written(tmp_path / f"scan{ending}")
    for path in tmp_path.iterdir():
        if path.suffix != ending:
            path.unlink()
    with pytest.raises(ImageReadError, match=rf"scan{ending}: the voxels end early"):
        load_volume(tmp_path / f"scan{ending}")


class TestNrrdSpaces:
    def write(self, path: Path, *lines: str) -> Path:
        header = ["NRRD0004", "type: short", "dimension: 3", "sizes: 5 6 7", "encoding: raw",
                  "endian: little", *lines]  # fmt: skip
        path.write_bytes("\n".join([*header, "", ""]).encode() + VALUES.astype("<i2").tobytes())
        return path

    def test_ras_and_lps_files_of_one_volume_agree(self, tmp_path: Path) -> None:
        lps = self.write(
            tmp_path / "lps.nrrd", "space: left-posterior-superior",
            "space directions: (1,0,0) (0,2,0) (0,0,3)", "space origin: (10,20,30)",
        )  # fmt: skip
        ras = self.write(
            tmp_path / "ras.nrrd", "space: RAS",
            "space directions: (-1,0,0) (0,-2,0) (0,0,3)", "space origin: (-10,-20,30)",
        )  # fmt: skip
        one, other = load_volume(lps), load_volume(ras)
        np.testing.assert_array_equal(one.voxels, VALUES)
        np.testing.assert_allclose(one.geometry.affine_lps, other.geometry.affine_lps)
        np.testing.assert_allclose(one.geometry.to_patient_mm((1, 1, 1)), (11, 22, 33))

    @pytest.mark.parametrize(("unit", "scale"), [("cm", 10.0), ("um", 0.001), ("mm", 1.0)])
    def test_lengths_in_other_units_become_millimetres(
        self, tmp_path: Path, unit: str, scale: float
    ) -> None:
        loaded = load_volume(self.write(
            tmp_path / "a.nrrd", "space: left-posterior-superior",
            "space directions: (1,0,0) (0,2,0) (0,0,3)", "space origin: (10,20,30)",
            f'space units: "{unit}" "{unit}" "{unit}"',
        ))  # fmt: skip
        corner = np.array([11, 22, 33]) * scale
        np.testing.assert_allclose(loaded.geometry.to_patient_mm((1, 1, 1)), corner)
        plain = load_volume(
            self.write(tmp_path / "b.nrrd", "spacings: 1 2 3", f'units: "{unit}" "{unit}" "{unit}"')
        )
        assert plain.geometry.spacing_mm == pytest.approx([3 * scale, 2 * scale, scale])
        assert not any("unknown" in said for said in (*loaded.warnings, *plain.warnings))

    def test_an_unknown_unit_is_said_to_be_taken_as_mm(self, tmp_path: Path) -> None:
        loaded = load_volume(self.write(
            tmp_path / "a.nrrd", "space: left-posterior-superior",
            "space directions: (1,0,0) (0,2,0) (0,0,3)", "space origin: (0,0,0)",
            'space units: "ell" "ell" "ell"',
        ))  # fmt: skip
        assert any("“ell”, which is unknown: mm is assumed" in said for said in loaded.warnings)

    def test_a_file_without_space_opens_with_a_warning(self, tmp_path: Path) -> None:
        loaded = load_volume(self.write(tmp_path / "a.nrrd", "spacings: 1 2 3"))
        assert loaded.geometry.spacing_mm == pytest.approx((3, 2, 1))
        assert "Left and right may be swapped" in loaded.warnings[0]

    def test_spacing_stands_without_a_known_space(self, tmp_path: Path) -> None:
        loaded = load_volume(
            self.write(
                tmp_path / "a.nrrd", "space: scanner-xyz",
                "space directions: (0.7,0,0) (0,0.7,0) (0,0,5)", "space origin: (10,20,30)",
            )
        )  # fmt: skip
        assert loaded.geometry.spacing_mm == pytest.approx((5, 0.7, 0.7))
        np.testing.assert_allclose(loaded.geometry.to_patient_mm((0, 0, 0)), (10, 20, 30))
        assert "Left and right may be swapped" in loaded.warnings[0]

    def test_a_spacing_that_is_nowhere_is_said_to_be_assumed(self, tmp_path: Path) -> None:
        loaded = load_volume(self.write(tmp_path / "a.nrrd"))
        assert any("1 mm is assumed" in said for said in loaded.warnings)


class TestNrrdKinds:
    def write(self, path: Path, sizes: str, kinds: str, directions: str) -> Path:
        count = len(sizes.split())
        header = ["NRRD0004", "type: short", f"dimension: {count}", f"sizes: {sizes}",
                  "encoding: raw", "endian: little", f"kinds: {kinds}",
                  "space: left-posterior-superior", f"space directions: {directions}",
                  "space origin: (10,20,30)"]  # fmt: skip
        number = int(np.prod([int(n) for n in sizes.split()]))
        voxels = np.resize(VALUES.astype("<i2"), number)
        path.write_bytes("\n".join([*header, "", ""]).encode() + voxels.tobytes())
        return path

    @pytest.mark.parametrize(
        ("sizes", "kinds", "directions"),
        [
            ("3 10 8 6", "vector domain domain domain", "none (1,0,0) (0,2,0) (0,0,3)"),
            ("10 8 6 3", "domain domain domain RGB-color", "(1,0,0) (0,2,0) (0,0,3) none"),
            ("3 10 8", "3-vector domain domain", "none (1,0,0) (0,2,0)"),
        ],
    )
    def test_several_values_a_voxel_are_named(
        self, tmp_path: Path, sizes: str, kinds: str, directions: str
    ) -> None:
        path = self.write(tmp_path / "a.nrrd", sizes, kinds, directions)
        with pytest.raises(ImageReadError, match=r"holds 3 values a voxel \(an axis of kind"):
            load_volume(path)

    def test_an_axis_of_one_value_is_taken_off_by_its_kind(self, tmp_path: Path) -> None:
        path = self.write(
            tmp_path / "a.nrrd", "1 5 6 7", "vector domain domain domain",
            "none (1,0,0) (0,2,0) (0,0,3)",
        )  # fmt: skip
        loaded = load_volume(path)
        np.testing.assert_array_equal(loaded.voxels, VALUES)
        np.testing.assert_allclose(loaded.geometry.to_patient_mm((1, 1, 1)), (11, 22, 33))


class TestMetaImageHeaders:
    def test_older_keys_and_the_other_byte_order_are_understood(self, tmp_path: Path) -> None:
        header = (
            "ObjectType = Image\nNDims = 3\nBinaryData = True\nElementByteOrderMSB = True\n"
            "Position = 10 20 30\nOrientation = 0 1 0 -1 0 0 0 0 1\nElementSize = 1 2 3\n"
            "DimSize = 5 6 7\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
        )
        (tmp_path / "a.mha").write_bytes(header.encode() + VALUES.astype(">i2").tobytes())
        loaded = load_volume(tmp_path / "a.mha")
        np.testing.assert_array_equal(loaded.voxels, VALUES)
        np.testing.assert_allclose(loaded.geometry.to_patient_mm((0, 0, 1)), (10, 21, 30))
        np.testing.assert_allclose(loaded.geometry.to_patient_mm((0, 1, 0)), (8, 20, 30))

    def write(self, path: Path, *lines: str) -> Path:
        header = ["NDims = 3", "DimSize = 5 6 7", "ElementType = MET_SHORT", *lines,
                  "ElementDataFile = LOCAL", ""]  # fmt: skip
        path.write_bytes("\n".join(header).encode() + VALUES.astype("<i2").tobytes())
        return path

    @pytest.mark.parametrize("key", ["ElementSpacing", "ElementSize"])
    @pytest.mark.parametrize("directions", ["TransformMatrix", "Rotation", "Orientation"])
    def test_a_header_that_says_all_opens_without_a_word(
        self, tmp_path: Path, key: str, directions: str
    ) -> None:
        lines = (f"{key} = 1 2 3", f"{directions} = 1 0 0 0 1 0 0 0 1")
        loaded = load_volume(self.write(tmp_path / "a.mha", *lines))
        assert loaded.geometry.spacing_mm == pytest.approx((3, 2, 1))
        assert loaded.warnings == ()

    def test_a_spacing_that_is_nowhere_is_said_to_be_assumed(self, tmp_path: Path) -> None:
        path = self.write(tmp_path / "a.mha", "TransformMatrix = 1 0 0 0 1 0 0 0 1")
        loaded = load_volume(path)
        assert loaded.geometry.spacing_mm == pytest.approx((1, 1, 1))
        (warning,) = loaded.warnings
        assert "a.mha states no spacing of voxels (no ElementSpacing or ElementSize)" in warning
        assert "1 mm is assumed" in warning

    def test_an_orientation_that_is_nowhere_is_said_to_be_assumed(self, tmp_path: Path) -> None:
        loaded = load_volume(self.write(tmp_path / "a.mha", "ElementSpacing = 1 2 3"))
        (warning,) = loaded.warnings
        assert warning.startswith("a.mha says nothing about orientation (no TransformMatrix")
        assert "Left and right may be swapped" in warning

    def test_voxels_written_as_text_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "a.mha"
        path.write_text(
            "NDims = 3\nDimSize = 2 2 2\nElementType = MET_SHORT\nBinaryData = False\n"
            "ElementSpacing = 1 1 1\nElementDataFile = LOCAL\n-1000 -999 -998 -997 1 2 3 4\n"
        )
        with pytest.raises(ImageReadError, match="voxels are written as text"):
            load_volume(path)

    def test_voxels_over_several_files_are_refused(self, tmp_path: Path) -> None:
        header = (
            "NDims = 3\nDimSize = 5 6 7\nElementType = MET_SHORT\nElementDataFile = LIST\nslice1\n"
        )
        (tmp_path / "a.mhd").write_text(header)
        with pytest.raises(ImageReadError, match="spread over several files"):
            load_volume(tmp_path / "a.mhd")


OUTSIDE = ["../secret.raw", "sub/../../secret.raw", "..\\secret.raw", "C:\\secret.raw"]


class TestFilesThatAHeaderNames:
    """Beside or below the header; a header does not choose other files of the computer."""

    def metaimage(self, folder: Path, name: str) -> Path:
        lines = ("NDims = 3", "DimSize = 5 6 7", "ElementType = MET_SHORT",
                 f"ElementDataFile = {name}", "")  # fmt: skip
        (folder / "a.mhd").write_text("\n".join(lines))
        return folder / "a.mhd"

    def nrrd(self, folder: Path, name: str, field: str = "data file") -> Path:
        lines = ("NRRD0004", "type: short", "dimension: 3", "sizes: 5 6 7", "encoding: raw",
                 "endian: little", f"{field}: {name}", "")  # fmt: skip
        (folder / "a.nhdr").write_text("\n".join(lines))
        return folder / "a.nhdr"

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """A folder for headers, beside voxels that none of them may read."""
        (tmp_path / "secret.raw").write_bytes(VALUES.astype("<i2").tobytes())
        (tmp_path / "in" / "sub").mkdir(parents=True)
        return tmp_path / "in"

    @pytest.mark.parametrize("name", OUTSIDE)
    def test_one_outside_the_folder_is_refused_by_its_name(self, folder: Path, name: str) -> None:
        said = f"a.mhd names a file outside its own folder (ElementDataFile: {name})"
        with pytest.raises(ImageReadError, match=re.escape(said)):
            load_volume(self.metaimage(folder, name))
        for field in ("data file", "datafile"):
            said = f"a.nhdr names a file outside its own folder (data file: {name})"
            with pytest.raises(ImageReadError, match=re.escape(said)):
                load_volume(self.nrrd(folder, name, field))

    def test_an_absolute_path_is_refused_even_to_the_folder_itself(self, folder: Path) -> None:
        for header in (self.metaimage, self.nrrd):
            with pytest.raises(ImageReadError, match="names a file outside its own folder"):
                load_volume(header(folder, str(folder / "a.raw")))

    def test_one_below_the_folder_is_read(self, folder: Path) -> None:
        (folder / "sub" / "a.raw").write_bytes(VALUES.astype("<i2").tobytes())
        for header in (self.metaimage, self.nrrd):
            loaded = load_volume(header(folder, "sub/a.raw"))
            np.testing.assert_array_equal(loaded.voxels, VALUES)


class TestNumpy:
    def save(self, path: Path, array: np.ndarray) -> Path:
        np.save(path, array)
        return path

    def test_slices_rows_and_columns_are_those_of_the_array(self, tmp_path: Path) -> None:
        loaded = load_volume(self.save(tmp_path / "a.npy", VALUES))
        np.testing.assert_array_equal(loaded.in_plane(Plane.AXIAL).voxels, VALUES)
        assert loaded.geometry.spacing_mm == (1, 1, 1)
        assert "no geometry" in loaded.warnings[0]

    def test_prepared_arrays_with_a_leading_channel_open(self, tmp_path: Path) -> None:
        array = np.random.default_rng(1).random((1, 4, 5, 6), dtype=np.float32)
        loaded = load_volume(self.save(tmp_path / "a.npy", array))
        np.testing.assert_array_equal(loaded.voxels, array[0])

    def test_order_in_memory_does_not_matter(self, tmp_path: Path) -> None:
        path = self.save(tmp_path / "a.npy", np.asfortranarray(VALUES))
        np.testing.assert_array_equal(load_volume(path).voxels, VALUES)

    @pytest.mark.parametrize(
        ("array", "words"),
        [
            (np.zeros((5, 6)), "one image, not a volume"),
            (np.zeros((2, 5, 6, 7)), "7 volumes in one file"),
            (np.zeros((1, 5, 6)), "one image, not a volume"),
            (np.zeros((3, 4, 5), complex), "not single real numbers"),
        ],
    )
    def test_other_arrays_are_refused_by_what_they_are(
        self, tmp_path: Path, array: np.ndarray, words: str
    ) -> None:
        with pytest.raises(ImageReadError, match=words):
            load_volume(self.save(tmp_path / "a.npy", array))

    def test_pickled_objects_are_never_run(self, tmp_path: Path) -> None:
        np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
        with pytest.raises(ImageReadError, match="cannot be read as a NumPy array"):
            load_volume(tmp_path / "a.npy")

    def test_a_truncated_file_is_named(self, tmp_path: Path) -> None:
        path = self.save(tmp_path / "a.npy", VALUES)
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(ImageReadError, match=r"a\.npy cannot be read"):
            load_volume(path)


def test_voxels_at_the_end_of_a_file_of_any_beginning(tmp_path: Path) -> None:
    """`HeaderSize = -1`: they are the last bytes."""
    header = (
        "NDims = 3\nDimSize = 5 6 7\nElementType = MET_SHORT\nHeaderSize = -1\n"
        "ElementDataFile = a.raw\n"
    )
    (tmp_path / "a.mhd").write_text(header)
    (tmp_path / "a.raw").write_bytes(b"an odd beginning" + VALUES.astype("<i2").tobytes())
    np.testing.assert_array_equal(load_volume(tmp_path / "a.mhd").voxels, VALUES)
