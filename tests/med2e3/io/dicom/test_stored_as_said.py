"""Pixels that are stored in another way than usual, or than the file says: right, or refused."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from med2e3.errors import ImageReadError
from med2e3.geometry import Geometry
from med2e3.io import list_series, load_volume, open_source, write_dicom_series
from med2e3.io.watch import Watch
from med2e3.volume import SeriesInfo, Volume

SHAPE = (12, 72, 60)
VALUES = np.random.default_rng(2).integers(-1000, 1000, SHAPE).astype(np.int16)

#: General Electric's private syntax: little endian header, big endian pixels.
GE = "1.2.840.113619.5.2"


def base(folder: Path, change: Callable[[pydicom.Dataset, int], Any] | None = None) -> Path:
    """A small even CT: stored numbers are values + 1024, with intercept -1024."""
    geometry = Geometry.from_spacing(SHAPE, (2.0, 0.8, 0.8))
    volume = Volume(VALUES, geometry, SeriesInfo(modality="CT", series_number="3"))
    for k, path in enumerate(write_dicom_series(volume, folder, seed="base")):
        dataset = pydicom.dcmread(path)
        stored = dataset.pixel_array + int(dataset.RescaleIntercept) + 1024
        dataset.RescaleIntercept, dataset.RescaleSlope = -1024, 1
        put(dataset, stored.astype(np.int16))
        if change is not None:
            change(dataset, k)
        dataset.save_as(path, enforce_file_format=False)
    return folder


def put(dataset: pydicom.Dataset, stored: np.ndarray) -> None:
    dataset.PixelData = stored.tobytes()
    dataset["PixelData"].VR = "OW"


def stored_of(dataset: pydicom.Dataset) -> np.ndarray:
    return np.frombuffer(dataset.PixelData, np.int16).reshape(SHAPE[1:])


def values(folder: Path) -> np.ndarray:
    return load_volume(folder).voxels


def in_file_order(folder: Path) -> np.ndarray:
    """The values as `base` writes them, in the order in which the series is read."""
    return values(base(folder))


class TestSyntaxes:
    @pytest.mark.parametrize("implicit", [True, False])
    def test_ges_private_syntax_has_its_bytes_swapped(self, tmp_path: Path, implicit: bool) -> None:
        folder = base(tmp_path / "ge")
        for path in folder.iterdir():
            dataset = pydicom.dcmread(path)
            put(dataset, stored_of(dataset).byteswap())
            dataset.file_meta.TransferSyntaxUID = GE
            pydicom.dcmwrite(path, dataset, implicit_vr=implicit, little_endian=True)
        loaded = load_volume(folder)
        np.testing.assert_array_equal(loaded.voxels, in_file_order(tmp_path / "usual"))
        assert loaded.warnings == ()

    @pytest.mark.parametrize("syntax", ["1.2.3.4.5", "1.2.840.113619.5.3"])
    def test_any_other_unknown_syntax_is_refused_by_its_name(
        self, tmp_path: Path, syntax: str
    ) -> None:
        def unknown(dataset: pydicom.Dataset, _k: int) -> None:
            dataset.file_meta.TransferSyntaxUID = syntax

        with pytest.raises(ImageReadError, match=f"stored as {syntax}, and no decoder"):
            load_volume(base(tmp_path, unknown))

    @pytest.mark.parametrize("stated", ["a length", "no length"])
    def test_packed_pixels_of_an_uncompressed_syntax_are_refused(
        self, tmp_path: Path, stated: str
    ) -> None:
        def packed(dataset: pydicom.Dataset, _k: int) -> None:
            dataset.PixelData = encapsulate([dataset.PixelData])
            dataset["PixelData"].VR = "OB"

        folder = base(tmp_path, packed)
        for path in folder.iterdir():
            raw = path.read_bytes()
            at = raw.index(b"\xe0\x7f\x10\x00OB\0\0") + 8
            assert raw[at + 4 : at + 8] == b"\xfe\xff\x00\xe0"
            if stated == "no length":
                end = b"\xfe\xff\xdd\xe0\0\0\0\0"
                path.write_bytes(raw[:at] + b"\xff" * 4 + raw[at + 4 :] + end)
        with pytest.raises(ImageReadError, match="packed although the file says they are not"):
            load_volume(folder)

    def test_plain_pixels_of_a_compressed_syntax_are_refused(self, tmp_path: Path) -> None:
        folder = base(tmp_path)
        for path in folder.iterdir():
            raw = path.read_bytes()
            there, lied = ExplicitVRLittleEndian.encode(), JPEGLSLossless.encode()
            old = b"\x02\x00\x10\x00UI" + struct.pack("<H", len(there) + 1) + there + b"\0"
            new = b"\x02\x00\x10\x00UI" + struct.pack("<H", len(lied)) + lied
            assert raw.count(old) == 1
            path.write_bytes(raw.replace(old, new))
        with pytest.raises(ImageReadError, match="not packed although the file says they are"):
            load_volume(folder)

    def test_a_stream_of_another_compression_is_decoded_by_its_signature(
        self, tmp_path: Path
    ) -> None:
        def mislabelled(dataset: pydicom.Dataset, _k: int) -> None:
            dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
            dataset.file_meta.TransferSyntaxUID = JPEGLSLossless

        loaded = load_volume(base(tmp_path / "other", mislabelled))
        np.testing.assert_array_equal(loaded.voxels, in_file_order(tmp_path / "usual"))
        assert any("the file says JPEG-LS Lossless" in said for said in loaded.warnings)

    @pytest.mark.parametrize("second", [ImplicitVRLittleEndian, RLELossless, "1.2.3.4"])
    def test_of_two_file_meta_groups_the_first_counts(self, tmp_path: Path, second: str) -> None:
        folder = base(tmp_path / "two")
        for path in folder.iterdir():
            raw = path.read_bytes()
            end = 132 + 12 + struct.unpack_from("<I", raw, 140)[0]
            uid = second.encode() + b"\0" * (len(second) % 2)
            again = b"\x02\x00\x10\x00UI" + struct.pack("<H", len(uid)) + uid
            path.write_bytes(raw[:end] + again + raw[end:])
        np.testing.assert_array_equal(values(folder), in_file_order(tmp_path / "usual"))


class TestLengths:
    def test_pixel_data_that_is_too_short_is_not_continued_into_what_follows(
        self, tmp_path: Path
    ) -> None:
        def short(dataset: pydicom.Dataset, _k: int) -> None:
            dataset.PixelData = dataset.PixelData[:-40]
            dataset.add_new((0xFFFC, 0xFFFC), "OB", b"\1" * 64)

        said = r"Pixel Data has 8600 bytes, and 60 × 72 .* need 8640"
        with pytest.raises(ImageReadError, match=said):
            load_volume(base(tmp_path, short))

    def test_pixel_data_that_is_too_long_is_said(self, tmp_path: Path) -> None:
        def long(dataset: pydicom.Dataset, k: int) -> None:
            if k == 4:
                dataset.PixelData += b"\0" * 40

        (warning,) = load_volume(base(tmp_path, long)).warnings
        assert "Pixel Data is longer than the header explains in 1 file (slice_0005.dcm)" in warning


class TestGreyValues:
    @pytest.mark.parametrize("colour", ["PALETTE COLOR", "RGB", "YBR_FULL"])
    def test_colours_with_one_sample_are_no_ct_values(self, tmp_path: Path, colour: str) -> None:
        def coloured(dataset: pydicom.Dataset, _k: int) -> None:
            dataset.PhotometricInterpretation = colour

        (series,) = list_series(base(tmp_path, coloured))
        assert (series.is_volume, series.reason) == (False, "colour images, not CT values")

    @pytest.mark.parametrize("syntax", [RLELossless, DeflatedExplicitVRLittleEndian])
    def test_the_high_bit_counts_in_compressed_frames(self, tmp_path: Path, syntax: str) -> None:
        def upper(dataset: pydicom.Dataset, _k: int) -> None:
            put(dataset, (stored_of(dataset).astype(np.uint16) << 4) | 5)
            dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 15, 0
            if syntax == RLELossless:
                dataset.compress(syntax, generate_instance_uid=False)
            dataset.file_meta.TransferSyntaxUID = syntax

        loaded = values(base(tmp_path / "upper", upper))
        np.testing.assert_array_equal(loaded, in_file_order(tmp_path / "usual"))

    @pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
    def test_a_stream_of_fewer_bits_than_the_high_bit_is_not_shifted(
        self, tmp_path: Path, syntax: str
    ) -> None:
        def low(dataset: pydicom.Dataset, _k: int) -> None:
            dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, 0
            dataset.compress(syntax, generate_instance_uid=False)
            dataset.HighBit = 15

        loaded = values(base(tmp_path / "low", low))
        np.testing.assert_array_equal(loaded, in_file_order(tmp_path / "usual"))

    @pytest.mark.parametrize("bit", [0, 65535])
    def test_a_high_bit_that_cannot_be_names_its_file_and_the_rest_opens(
        self, tmp_path: Path, bit: int
    ) -> None:
        def odd(dataset: pydicom.Dataset, k: int) -> None:
            if k == 11:
                dataset.HighBit = bit

        source = open_source(base(tmp_path, odd))
        assert [series.count for series in source.series] == [11]
        (skipped,) = source.skipped
        assert skipped.path.name == "slice_0012.dcm"


class TestPadding:
    def padded(self, folder: Path, value: int, **more: Any) -> Volume:
        """The base with `value` stored in the outer three columns, or where `more` says."""
        where = more.pop("where", (slice(None), slice(0, 3)))
        declared = more.pop("declared")

        def pad(dataset: pydicom.Dataset, _k: int) -> None:
            stored = stored_of(dataset).astype(np.int32)
            stored[where] = value
            put(dataset, stored.astype(np.uint16))
            dataset.PixelRepresentation = int(value < 0)
            dataset.add_new("PixelPaddingValue", *declared)
            for keyword, stated in more.items():
                setattr(dataset, keyword, stated)

        return load_volume(base(folder, pad))

    def test_padding_declared_signed_for_unsigned_pixels_becomes_air(self, tmp_path: Path) -> None:
        loaded = self.padded(tmp_path, 63536, declared=("SS", -2000))
        assert (loaded.voxels[:, :, :3] == -1024).all()
        assert loaded.voxels.max() < 1000

    def test_padding_of_two_values_is_both(self, tmp_path: Path) -> None:
        loaded = self.padded(tmp_path, 63536, declared=("US", [63536, 63537]))
        assert (loaded.voxels[:, :, :3] == -1024).all()

    def test_values_above_the_scale_of_ct_are_said(self, tmp_path: Path) -> None:
        loaded = self.padded(tmp_path, 63536, declared=("US", 1))
        assert loaded.voxels.max() == 62512
        assert any("highest value is 62512 HU, above the scale of CT" in w for w in loaded.warnings)

    def test_padding_that_replaces_tissue_is_counted_and_said(self, tmp_path: Path) -> None:
        inside = (slice(10, 14), slice(8, 13))
        loaded = self.padded(tmp_path, 1030, where=inside, declared=("US", 1030))
        (said,) = [w for w in loaded.warnings if "as padding that tissue has too (6 HU)" in w]
        replaced = int((loaded.voxels == -1024).sum())
        assert replaced >= 12 * 20
        assert f"{replaced} voxels became air (-1024 HU)" in said
        assert "voxels of them lie inside the body" in said

    def test_the_same_at_the_edge_is_not_inside_the_body(self, tmp_path: Path) -> None:
        stored_nowhere = 5000  # above all values of the base
        loaded = self.padded(tmp_path, stored_nowhere, declared=("US", stored_nowhere))
        (said,) = loaded.warnings
        assert "2592 voxels became air" in said  # 12 slices of 72 × 3
        assert "inside" not in said

    def test_usual_padding_needs_no_word(self, tmp_path: Path) -> None:
        assert self.padded(tmp_path, 24, declared=("US", 24)).warnings == ()


class TestEqualUids:
    def mixed(self, folder: Path, number: int | None, by: int = 137) -> Path:
        """Two series with the same UIDs, their files mixed; the second one is brighter."""
        first, second = base(folder / "a"), base(folder / "b")
        both = folder / "both"
        both.mkdir()
        for k, (one, two) in enumerate(
            zip(sorted(first.iterdir()), sorted(second.iterdir()), strict=True)
        ):
            dataset = pydicom.dcmread(two)
            put(dataset, stored_of(dataset) + np.int16(by))
            if number is not None:
                dataset.SeriesNumber = number
            names = (f"{k:03d}a.dcm", f"{k:03d}b.dcm")
            one.rename(both / names[k % 2])
            dataset.save_as(both / names[1 - k % 2])
        return both

    def test_other_pixels_make_another_stack_with_a_word(self, tmp_path: Path) -> None:
        source = open_source(self.mixed(tmp_path, 1003))
        assert [(s.info.series_number, s.count) for s in source.series] == [("3", 12), ("1003", 12)]
        one, two = (source.load(series, Watch()) for series in source.series)
        np.testing.assert_array_equal(two.voxels, one.voxels + 137)
        for volume in (one, two):
            assert any("have one SOP Instance UID in 12 positions" in w for w in volume.warnings)

    def test_where_nothing_tells_them_apart_they_are_no_volume(self, tmp_path: Path) -> None:
        (series,) = list_series(self.mixed(tmp_path, None))
        assert not series.is_volume
        assert "different images lie at the same place in 12 positions" in series.reason

    def test_equal_pixels_are_copies(self, tmp_path: Path) -> None:
        volume = load_volume(self.mixed(tmp_path, None, by=0))
        assert volume.shape[0] == 12
        assert any("12 images stored twice" in said for said in volume.warnings)


class TestReports:
    def test_what_the_decoder_reports_is_said_of_that_slice(self, tmp_path: Path) -> None:
        """Bytes lost in the middle of RLE: the segment's pixels shift, and pydicom only warns."""

        def lossy(dataset: pydicom.Dataset, k: int) -> None:
            dataset.compress(RLELossless, generate_instance_uid=False)
            if k == 6:
                (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
                # The upper bytes again behind themselves: more than the image has.
                start, end = struct.unpack_from("<2I", frame, 4)
                doubled = frame[:end] + frame[start:]
                header = bytearray(doubled[:64])
                struct.pack_into("<I", header, 8, end + end - start)
                doubled = bytes(header) + doubled[64:]
                dataset.PixelData = encapsulate([doubled])

        loaded = load_volume(base(tmp_path, lossy))
        assert all(said.startswith("The decoder reports of slice_0007") for said in loaded.warnings)
        assert any("8640 vs. 4320 bytes expected" in said for said in loaded.warnings)

    def test_bytes_lost_inside_jpeg_2000_are_noticed_though_the_length_is_right(
        self, tmp_path: Path
    ) -> None:
        def lossy(dataset: pydicom.Dataset, k: int) -> None:
            dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
            if k == 6:
                (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
                at = len(frame) // 2
                dataset.PixelData = encapsulate([frame[:at] + frame[at + 8 :] + b"\0" * 8])

        with pytest.raises(ImageReadError, match=r"slice_0007.*damaged or cut short"):
            load_volume(base(tmp_path, lossy))

    @pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
    def test_a_stream_of_another_size_than_the_header_is_refused(
        self, tmp_path: Path, syntax: str
    ) -> None:
        def larger(dataset: pydicom.Dataset, k: int) -> None:
            dataset.compress(syntax, generate_instance_uid=False)
            if k == 6:
                (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
                if syntax == JPEG2000Lossless:
                    frame = frame[:8] + struct.pack(">II", 60000, 60000) + frame[16:]
                else:
                    at = frame.index(b"\xff\xf7")
                    frame = frame[: at + 5] + struct.pack(">HH", 60000, 60000) + frame[at + 9 :]
                dataset.PixelData = encapsulate([frame])

        with pytest.raises(ImageReadError, match=r"slice_0007.*says 60 × 72 .* has 60000 × 60000"):
            load_volume(base(tmp_path, larger))
