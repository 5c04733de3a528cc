"""Files that are sound and written oddly open as an independent reader opens them, or are named.

SimpleITK and nibabel are the readers; what neither reads is compared with what was written.
"""

from __future__ import annotations

import bz2
import gzip
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - the name its manual uses

from med2e3.errors import ImageReadError
from med2e3.io import load_volume, open_source
from med2e3.volume import Volume

#: (slice, row, column)
SHAPE = (4, 5, 6)
VALUES = np.random.default_rng(0).integers(-900, 900, SHAPE).astype("<i2")
RAW = VALUES.tobytes()
AFFINE = np.array([[2.0, 0, 0, -30], [0, 1.5, 0, 12], [0, 0, 3, 99], [0, 0, 0, 1]])


def same_as_itk(path: Path, *, voxels: bool = True) -> Volume:
    """The volume, which lies where SimpleITK says, and holds what was written."""
    loaded = load_volume(path)
    image = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(loaded.voxels, VALUES)
    if voxels:
        np.testing.assert_array_equal(np.squeeze(sitk.GetArrayFromImage(image)), loaded.voxels)
    for i, j, k in ((0, 0, 0), (5, 0, 0), (0, 4, 0), (0, 0, 3)):
        index = (i, j, k) + (0,) * (image.GetDimension() - 3)
        np.testing.assert_allclose(
            loaded.geometry.to_patient_mm((k, j, i)),
            image.TransformIndexToPhysicalPoint(index)[:3],
            atol=1e-4,
        )
    return loaded


class TestNifti:
    def save(self, path: Path, kind: Any = nibabel.Nifti1Image, affine: Any = AFFINE) -> Path:
        nibabel.save(kind(np.ascontiguousarray(VALUES.T), affine), path)
        return path

    def patched(self, path: Path, at: int, form: str, *values: Any) -> Path:
        raw = bytearray(path.read_bytes())
        struct.pack_into(form, raw, at, *values)
        path.write_bytes(bytes(raw))
        return path

    @pytest.mark.parametrize("name", ["scan.hdr", "scan.img", "scan.hdr.gz", "scan.img.gz"])
    def test_either_file_of_a_pair_opens_it(self, tmp_path: Path, name: str) -> None:
        first = "scan.img.gz" if name.endswith("gz") else "scan.img"
        self.save(tmp_path / first, nibabel.Nifti1Pair)
        assert same_as_itk(tmp_path / name).warnings == ()

    def test_both_files_of_a_pair_are_of_one_volume_in_their_folder(self, tmp_path: Path) -> None:
        self.save(tmp_path / "scan.img", nibabel.Nifti1Pair)
        source = open_source(tmp_path)
        (found,) = source.series
        assert {file.name for file in found.files} == {"scan.hdr", "scan.img"}
        assert source.skipped == ()

    def test_a_header_whose_voxels_are_missing_is_named(self, tmp_path: Path) -> None:
        self.save(tmp_path / "scan.img", nibabel.Nifti1Pair)
        (tmp_path / "scan.img").unlink()
        with pytest.raises(ImageReadError, match=r"scan\.img, which holds its voxels, is not"):
            load_volume(tmp_path / "scan.hdr")

    def test_analyze_opens_with_a_word_about_its_sides(self, tmp_path: Path) -> None:
        image = nibabel.AnalyzeImage(np.ascontiguousarray(VALUES.T), None)
        image.header.set_zooms((1.0, 2.0, 3.0))
        nibabel.save(image, tmp_path / "scan.img")
        loaded = load_volume(tmp_path / "scan.hdr")
        itk = sitk.ReadImage(str(tmp_path / "scan.hdr"))
        np.testing.assert_array_equal(loaded.voxels, sitk.GetArrayFromImage(itk))
        assert loaded.geometry.spacing_mm == pytest.approx(itk.GetSpacing()[::-1])
        (said,) = loaded.warnings
        assert "left and right may be swapped" in said

    @pytest.mark.parametrize("kind", [nibabel.Nifti2Image, nibabel.Nifti2Pair])
    def test_the_second_version_opens(self, tmp_path: Path, kind: Any) -> None:
        path = self.save(tmp_path / ("a.nii" if kind is nibabel.Nifti2Image else "a.img"), kind)
        loaded = load_volume(path)
        np.testing.assert_array_equal(loaded.voxels, VALUES)
        np.testing.assert_allclose(
            loaded.geometry.to_patient_mm((3, 4, 5)),
            nibabel.affines.apply_affine(AFFINE, (5, 4, 3)) * (-1, -1, 1),
        )

    @pytest.mark.parametrize("packed", [True, False])
    def test_whether_it_is_packed_is_told_by_its_bytes(self, tmp_path: Path, packed: bool) -> None:
        raw = self.save(tmp_path / "plain.nii").read_bytes()
        path = tmp_path / ("scan.nii" if packed else "scan.nii.gz")
        path.write_bytes(gzip.compress(raw) if packed else raw)
        loaded = load_volume(path)
        np.testing.assert_array_equal(loaded.voxels, VALUES)
        assert loaded.warnings == ()

    def test_a_stream_in_several_parts_with_zeros_behind_is_whole(self, tmp_path: Path) -> None:
        """As bgzip and pigz write it, and tapes fill it."""
        raw = self.save(tmp_path / "plain.nii").read_bytes()
        parts = gzip.compress(raw[:500]) + gzip.compress(raw[500:]) + bytes(512)
        (tmp_path / "scan.nii.gz").write_bytes(parts)
        np.testing.assert_array_equal(load_volume(tmp_path / "scan.nii.gz").voxels, VALUES)

    def test_a_count_of_no_volumes_is_one_with_a_word(self, tmp_path: Path) -> None:
        path = self.patched(self.save(tmp_path / "a.nii"), 40, "<5h", 4, 6, 5, 4, 0)
        (said,) = same_as_itk(path).warnings
        assert said.startswith("The file counts 0 volumes (dim[4] is 0)")

    @pytest.mark.parametrize("slope", [0.0, float("nan")])
    def test_a_slope_that_is_none_scales_nothing(self, tmp_path: Path, slope: float) -> None:
        path = self.patched(self.save(tmp_path / "a.nii"), 112, "<f", slope)
        assert same_as_itk(path).warnings == ()

    @pytest.mark.parametrize(("slope", "intercept"), [(float("inf"), 0.0), (2.0, float("nan"))])
    def test_a_scaling_that_is_no_number_is_said(
        self, tmp_path: Path, slope: float, intercept: float
    ) -> None:
        path = self.patched(self.save(tmp_path / "a.nii"), 112, "<2f", slope, intercept)
        loaded = load_volume(path)
        np.testing.assert_array_equal(loaded.voxels, VALUES)
        assert any("no numbers to compute with" in said for said in loaded.warnings)

    @pytest.mark.parametrize("stated", [0.0, -1.5, float("nan"), float("inf")])
    def test_a_spacing_that_is_none_is_said_to_be_assumed(
        self, tmp_path: Path, stated: float
    ) -> None:
        path = self.patched(self.save(tmp_path / "a.nii"), 252, "<2h", 0, 0)
        loaded = load_volume(self.patched(path, 84, "<f", stated))
        assert loaded.geometry.spacing_mm == pytest.approx((3, 1.5 if stated == -1.5 else 1, 2))
        assert any("which is none: 2, " in said for said in loaded.warnings)

    def test_a_kind_of_orientation_that_does_not_exist_is_said(self, tmp_path: Path) -> None:
        path = self.patched(self.save(tmp_path / "a.nii"), 252, "<2h", 1, 77)
        said = load_volume(path).warnings
        assert any("sform_code 77" in one for one in said)

    @pytest.mark.parametrize(
        ("code", "words"),
        [
            (1, "stores its voxels as single bits"),
            (0, "a type that its header does not name"),
            (32, r"holds complex numbers \(complex64\)"),
            (128, r"holds colours or other records \(R, G, B\)"),
            (2304, r"holds colours or other records \(R, G, B, A\)"),
            (1536, "real numbers of 128 bits"),
        ],
    )
    def test_a_type_that_is_not_read_is_called_by_its_name(
        self, tmp_path: Path, code: int, words: str
    ) -> None:
        if code == 1536 and np.dtype(np.longdouble).itemsize == 16 and _reads_128_bits():
            pytest.skip("nibabel reads numbers of 128 bits here")
        path = self.patched(self.save(tmp_path / "a.nii"), 70, "<h", code)
        path.write_bytes(path.read_bytes() + bytes(4000))
        with pytest.raises(ImageReadError, match=words) as caught:
            load_volume(path)
        assert "damaged" not in str(caught.value)

    def test_several_values_a_voxel_are_named(self, tmp_path: Path) -> None:
        image = nibabel.Nifti1Image(np.zeros((6, 5, 4, 1, 3), np.float32), AFFINE)
        image.header.set_intent("vector")
        nibabel.save(image, tmp_path / "a.nii")
        with pytest.raises(ImageReadError, match=r"holds 3 values a voxel \(intent: vector\)"):
            load_volume(tmp_path / "a.nii")

    def test_a_map_of_a_statistic_is_said_to_be_no_hu(self, tmp_path: Path) -> None:
        path = self.patched(self.save(tmp_path / "a.nii"), 68, "<h", 3)
        (said,) = same_as_itk(path).warnings
        assert said.startswith("The file is a map of a statistic (t test)")


def _reads_128_bits() -> bool:
    return 1536 in nibabel.nifti1.data_type_codes.value_set() and bool(
        nibabel.nifti1.data_type_codes.dtype[1536].itemsize
    )


class TestNrrd:
    SPACE = ("space: left-posterior-superior", "space directions: (1,0,0) (0,2,0) (0,0,3)",
             "space origin: (10,20,30)")  # fmt: skip

    def write(
        self, path: Path, *lines: str, data: bytes = RAW, encoding: str = "raw",
        sizes: str = "6 5 4",
    ) -> Path:  # fmt: skip
        head = ["NRRD0004", "type: short", f"dimension: {len(sizes.split())}", f"sizes: {sizes}",
                f"encoding: {encoding}", "endian: little", *lines, "", ""]  # fmt: skip
        path.write_bytes("\n".join(head).encode() + data)
        return path

    def spread(self, folder: Path, files: int) -> list[str]:
        """The voxels in several files of as many slices."""
        names = [f"s{k + 1:03d}.raw" for k in range(files)]
        for name, part in zip(names, np.split(VALUES, files), strict=True):
            (folder / name).write_bytes(part.tobytes())
        return names

    @pytest.mark.parametrize(
        ("encoding", "content"),
        [
            ("hex", lambda: RAW.hex().encode()),
            ("text", lambda: " ".join(map(str, VALUES.ravel())).encode()),
            ("ascii", lambda: "\n".join(map(str, VALUES.ravel())).encode()),
            ("gzip", lambda: gzip.compress(RAW)),
        ],
    )
    def test_every_encoding_is_read(
        self, tmp_path: Path, encoding: str, content: Callable[[], bytes]
    ) -> None:
        path = self.write(tmp_path / "a.nrrd", *self.SPACE, data=content(), encoding=encoding)
        assert same_as_itk(path).warnings == ()

    def test_bzip2_is_read(self, tmp_path: Path) -> None:
        """ITK has it not."""
        data = bz2.compress(RAW)
        path = self.write(tmp_path / "a.nrrd", *self.SPACE, data=data, encoding="bzip2")
        np.testing.assert_array_equal(load_volume(path).voxels, VALUES)

    @pytest.mark.parametrize(
        ("line", "before", "encoding"),
        [
            ("byte skip: 5", b"extra", "raw"),
            ("byte skip: -1", b"anything", "raw"),
            ("line skip: 2", b"one\ntwo\n", "raw"),
            ("line skip: 1", b"one\n", "gzip"),
            ("byte skip: 5", b"extra", "gzip"),
        ],
    )
    def test_what_is_to_be_skipped_is_skipped(
        self, tmp_path: Path, line: str, before: bytes, encoding: str
    ) -> None:
        if encoding == "raw":
            data = before + RAW
        elif line.startswith("byte"):  # of what is unpacked
            data = gzip.compress(before + RAW)
        else:
            data = before + gzip.compress(RAW)
        path = self.write(tmp_path / "a.nrrd", *self.SPACE, line, data=data, encoding=encoding)
        same_as_itk(path)

    @pytest.mark.parametrize(("files", "ending"), [(4, ""), (4, " 2"), (2, " 3")])
    def test_a_list_of_files_is_read_in_its_order(
        self, tmp_path: Path, files: int, ending: str
    ) -> None:
        names = self.spread(tmp_path, files)
        path = self.write(tmp_path / "a.nhdr", *self.SPACE, data=b"")
        head = path.read_bytes().rstrip(b"\n")
        path.write_bytes(
            head
            + f"\ndata file: LIST{ending}\n".encode()
            + "".join(f"{name}\n" for name in names).encode()
        )
        loaded = same_as_itk(path)
        assert loaded.warnings == ()
        (found,) = open_source(tmp_path).series
        assert {file.name for file in found.files} == {"a.nhdr", *names}
        assert open_source(tmp_path).skipped == ()

    @pytest.mark.parametrize(("files", "ending"), [(4, ""), (4, " 2"), (2, " 3")])
    def test_files_that_are_counted_are_read(self, tmp_path: Path, files: int, ending: str) -> None:
        self.spread(tmp_path, files)
        line = f"data file: s%03d.raw 1 {files} 1{ending}"
        same_as_itk(self.write(tmp_path / "a.nhdr", *self.SPACE, line, data=b""))

    @pytest.mark.parametrize("encoding", ["raw", "gzip"])
    def test_voxels_in_a_file_of_their_own_are_read(self, tmp_path: Path, encoding: str) -> None:
        (tmp_path / "v.raw").write_bytes(RAW if encoding == "raw" else gzip.compress(RAW))
        lines = (*self.SPACE, "data file: ./v.raw")
        same_as_itk(self.write(tmp_path / "a.nhdr", *lines, data=b"", encoding=encoding))

    def test_a_list_that_misses_a_file_names_it(self, tmp_path: Path) -> None:
        self.spread(tmp_path, 4)
        (tmp_path / "s003.raw").unlink()
        path = self.write(tmp_path / "a.nhdr", *self.SPACE, "data file: s%03d.raw 1 4 1", data=b"")
        with pytest.raises(ImageReadError, match=r"there is no file s003\.raw"):
            load_volume(path)

    @pytest.mark.parametrize("form", ["%s%03d.raw", "%999999d.raw", "%%d.raw", "%n.raw"])
    def test_a_format_that_counts_nothing_is_refused(self, tmp_path: Path, form: str) -> None:
        line = f"data file: {form} 1 4 1"
        with pytest.raises(ImageReadError, match="cannot be counted"):
            load_volume(self.write(tmp_path / "a.nhdr", *self.SPACE, line, data=b""))

    def test_where_axes_begin_is_the_face_of_a_cell(self, tmp_path: Path) -> None:
        lines = ("spacings: 1 2 3", "axis mins: 10 20 30")
        assert same_as_itk(self.write(tmp_path / "a.nrrd", *lines)).geometry.spacing_mm == (3, 2, 1)

    @pytest.mark.parametrize(
        ("centre", "ends", "first"),
        [("cell", "6 10 12", (0.5, 1, 1.5)), ("node", "5 8 9", (0, 0, 0))],
    )
    def test_spacing_follows_from_where_axes_begin_and_end(
        self, tmp_path: Path, centre: str, ends: str, first: tuple[float, ...]
    ) -> None:
        lines = ("axis mins: 0 0 0", f"axis maxs: {ends}", f"centers: {centre} {centre} {centre}")
        loaded = load_volume(self.write(tmp_path / "a.nrrd", *lines))
        assert loaded.geometry.spacing_mm == pytest.approx((3, 2, 1))
        np.testing.assert_allclose(loaded.geometry.to_patient_mm((0, 0, 0)), first)

    def test_one_moment_of_a_space_with_time_is_a_volume(self, tmp_path: Path) -> None:
        lines = ("space: left-posterior-superior-time",
                 "space directions: (1,0,0,0) (0,2,0,0) (0,0,3,0) (0,0,0,1)",
                 "space origin: (10,20,30,0)")  # fmt: skip
        same_as_itk(self.write(tmp_path / "a.nrrd", *lines, sizes="6 5 4 1"))

    def test_an_axis_without_direction_holds_values(self, tmp_path: Path) -> None:
        lines = ("space: LPS", "space directions: none (1,0,0) (0,2,0) (0,0,3)",
                 "space origin: (0,0,0)")  # fmt: skip
        one = self.write(tmp_path / "a.nrrd", *lines, sizes="1 6 5 4")
        np.testing.assert_array_equal(load_volume(one).voxels, VALUES)
        three = self.write(tmp_path / "b.nrrd", *lines, sizes="3 6 5 4", data=RAW * 3)
        with pytest.raises(ImageReadError, match="holds 3 values a voxel"):
            load_volume(three)

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("type: block", "stores blocks of bytes"),
            ("encoding: zrl", "is packed as “zrl”"),
        ],
    )
    def test_what_is_not_read_is_called_by_its_name(
        self, tmp_path: Path, line: str, words: str
    ) -> None:
        path = self.write(tmp_path / "a.nrrd", *self.SPACE)
        field = line.split(":")[0]
        kept = path.read_bytes().split(b"\n", 7)
        kept = [line.encode() if one.startswith(field.encode()) else one for one in kept]
        path.write_bytes(b"\n".join(kept))
        with pytest.raises(ImageReadError, match=words) as caught:
            load_volume(path)
        assert "damaged" not in str(caught.value)


class TestMetaImage:
    GRID = ("ElementSpacing = 1 2 3", "TransformMatrix = 0 1 0 -1 0 0 0 0 1", "Offset = 10 20 30")

    def write(
        self, path: Path, *lines: str, data: bytes = RAW, file: str = "LOCAL", axes: str = "6 5 4"
    ) -> Path:
        head = ["ObjectType = Image", f"NDims = {len(axes.split())}", f"DimSize = {axes}",
                "ElementType = MET_SHORT", *lines, f"ElementDataFile = {file}", ""]  # fmt: skip
        path.write_bytes("\n".join(head).encode() + data)
        return path

    @pytest.mark.parametrize("origin", ["Offset", "Origin", "Position"])
    @pytest.mark.parametrize("directions", ["TransformMatrix", "Rotation", "Orientation"])
    @pytest.mark.parametrize("spacing", ["ElementSpacing", "ElementSize"])
    def test_every_name_of_a_key_is_known(
        self, tmp_path: Path, origin: str, directions: str, spacing: str
    ) -> None:
        lines = (f"{spacing} = 1 2 3", f"{directions} = 0 1 0 -1 0 0 0 0 1", f"{origin} = 10 20 30")
        assert same_as_itk(self.write(tmp_path / "a.mha", *lines)).warnings == ()

    @pytest.mark.parametrize("key", ["ElementByteOrderMSB", "BinaryDataByteOrderMSB"])
    @pytest.mark.parametrize("true", ["True", "true", "1"])
    def test_the_other_byte_order_is_read(self, tmp_path: Path, key: str, true: str) -> None:
        data = VALUES.astype(">i2").tobytes()
        same_as_itk(self.write(tmp_path / "a.mha", *self.GRID, f"{key} = {true}", data=data))

    def test_four_axes_with_one_volume_are_a_volume(self, tmp_path: Path) -> None:
        lines = ("ElementSpacing = 1 2 3 1", "Offset = 10 20 30 0",
                 "TransformMatrix = 0 1 0 0 -1 0 0 0 0 0 1 0 0 0 0 1")  # fmt: skip
        same_as_itk(self.write(tmp_path / "a.mha", *lines, axes="6 5 4 1"))

    @pytest.mark.parametrize("states_size", [True, False])
    def test_packed_voxels_need_no_size(self, tmp_path: Path, states_size: bool) -> None:
        """ITK reads nothing where the size is not stated."""
        data = zlib.compress(RAW)
        size = (f"CompressedDataSize = {len(data)}",) * states_size
        lines = (*self.GRID, "CompressedData = True", *size)
        same_as_itk(self.write(tmp_path / "a.mha", *lines, data=data), voxels=states_size)

    @pytest.mark.parametrize("file", ["s%d.raw 1 4 1", "LIST", "LIST 2"])
    def test_voxels_in_several_files_are_read(self, tmp_path: Path, file: str) -> None:
        for k, one in enumerate(VALUES, start=1):
            (tmp_path / f"s{k}.raw").write_bytes(one.tobytes())
        names = b"s1.raw\ns2.raw\ns3.raw\ns4.raw\n" if "LIST" in file else b""
        path = self.write(tmp_path / "a.mhd", *self.GRID, data=names, file=file)
        same_as_itk(path, voxels=file != "LIST 2")

    def test_lengths_in_centimetres_become_millimetres(self, tmp_path: Path) -> None:
        loaded = load_volume(self.write(tmp_path / "a.mha", *self.GRID, "DistanceUnits = cm"))
        assert loaded.geometry.spacing_mm == pytest.approx((30, 20, 10))
        np.testing.assert_allclose(loaded.geometry.to_patient_mm((0, 0, 0)), (100, 200, 300))

    def test_a_scaling_that_is_not_applied_is_said(self, tmp_path: Path) -> None:
        lines = ("ElementToIntensityFunctionSlope = 2", "ElementToIntensityFunctionOffset = 5")
        (said,) = same_as_itk(self.write(tmp_path / "a.mha", *self.GRID, *lines)).warnings
        assert "states a scaling (ElementToIntensityFunctionSlope = 2" in said

    def test_another_modality_is_said_to_be_no_hu(self, tmp_path: Path) -> None:
        path = self.write(tmp_path / "a.mha", *self.GRID, "Modality = MET_MOD_MR")
        (said,) = same_as_itk(path).warnings
        assert "its modality is MR, not CT" in said

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("ElementNumberOfChannels = 3", "holds 3 values a voxel"),
            ("BinaryData = False", "voxels are written as text"),
        ],
    )
    def test_what_is_not_read_is_called_by_its_name(
        self, tmp_path: Path, line: str, words: str
    ) -> None:
        with pytest.raises(ImageReadError, match=words) as caught:
            load_volume(self.write(tmp_path / "a.mha", *self.GRID, line))
        assert "damaged" not in str(caught.value)


class TestNumpy:
    def test_an_archive_of_arrays_opens_by_its_name(self, tmp_path: Path) -> None:
        np.savez_compressed(tmp_path / "a.npz", image=VALUES, spacing=np.array([3.0, 2.0, 1.0]))
        loaded = load_volume(tmp_path / "a.npz")
        np.testing.assert_array_equal(loaded.voxels, VALUES)
        assert any("a.npz/spacing.npy has shape (3,)" in said for said in loaded.warnings)

    @pytest.mark.parametrize("order", ["C", "F"])
    @pytest.mark.parametrize("kind", [">i2", "<u8", "<f2", "<f8", "|b1", "|i1"])
    def test_every_type_and_order_is_read(self, tmp_path: Path, order: str, kind: str) -> None:
        values = np.asarray(VALUES % 2, dtype=kind, order=order)  # type: ignore[call-overload]
        np.save(tmp_path / "a.npy", values)
        np.testing.assert_array_equal(load_volume(tmp_path / "a.npy").voxels, VALUES % 2)
