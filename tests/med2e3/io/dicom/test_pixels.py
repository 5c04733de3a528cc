"""Stored numbers become Hounsfield units, whatever the encoding."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    MPEG2MPML,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from med2e3.errors import ImageReadError
from med2e3.geometry import Geometry
from med2e3.io import load_volume
from med2e3.volume import SeriesInfo, Volume
from tests.med2e3.io.conftest import ramp

Write = Callable[..., Path]


def store(dataset: pydicom.Dataset, values: np.ndarray, **attributes: Any) -> None:
    """Put stored numbers and how to read them into a slice."""
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.PixelData = values.tobytes()
    dataset["PixelData"].VR = "OW"


def rewrite(folder: Path, syntax: UID) -> None:
    """The same series in another transfer syntax."""
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        if syntax.is_compressed:
            dataset.compress(syntax, generate_instance_uid=False)
            dataset.save_as(path)
            continue
        if syntax == ExplicitVRBigEndian:
            dataset.PixelData = dataset.pixel_array.astype(">i2").tobytes()
        dataset.file_meta.TransferSyntaxUID = syntax
        pydicom.dcmwrite(
            path, dataset, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian
        )


def raised(by: int) -> Volume:
    """The ramp, all of it brighter."""
    plain = ramp()
    return replace(plain, voxels=(plain.voxels + by).astype(np.int16))


def textured() -> Volume:
    """Noise over the whole range of a 12-bit CT: a swapped byte or a lost bit would show."""
    voxels = np.random.default_rng(5).integers(-1024, 3072, (4, 64, 48)).astype(np.int16)
    affine = np.diag([1.0, 1.0, 2.0, 1.0])[:, [2, 1, 0, 3]]
    return Volume(voxels, Geometry((4, 64, 48), affine), SeriesInfo(modality="CT"))


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEG2000Lossless,
        JPEGLSLossless,
    ],
    ids=lambda syntax: syntax.name,
)
def test_every_transfer_syntax_gives_the_same_values(series: Write, syntax: UID) -> None:
    folder = series(of=textured())
    rewrite(folder, syntax)
    assert pydicom.dcmread(next(folder.iterdir())).file_meta.TransferSyntaxUID == syntax
    np.testing.assert_array_equal(load_volume(folder).voxels, textured().voxels)


def test_big_endian_gives_the_same_values(series: Write) -> None:
    folder = series(of=textured())
    rewrite(folder, ExplicitVRBigEndian)
    np.testing.assert_array_equal(load_volume(folder).voxels, textured().voxels)


def test_each_slice_has_its_own_slope_and_intercept(series: Write) -> None:
    def rescale(dataset: pydicom.Dataset, k: int) -> None:
        store(
            dataset,
            np.full((5, 4), 1000 + k, np.uint16),
            PixelRepresentation=0,
            RescaleSlope=k + 1,
            RescaleIntercept=-1024 - k,
        )

    voxels = load_volume(series(rescale)).voxels
    assert voxels.dtype == np.int16
    expected = [(1000 + k) * (k + 1) - 1024 - k for k in range(6)]
    np.testing.assert_array_equal(voxels[:, 0, 0], expected)


def test_a_fractional_slope_gives_fractions(series: Write) -> None:
    def halve(dataset: pydicom.Dataset, _k: int) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = "0.25", "-10.5"

    loaded = load_volume(series(halve, of=textured()))
    assert loaded.voxels.dtype == np.float32
    np.testing.assert_allclose(loaded.voxels, textured().voxels * 0.25 - 10.5)


def test_a_fractional_slope_with_whole_values_stays_small(series: Write) -> None:
    def double(dataset: pydicom.Dataset, _k: int) -> None:
        store(dataset, np.arange(20, dtype=np.int16) * 2, RescaleSlope="0.5")

    voxels = load_volume(series(double)).voxels
    assert voxels.dtype == np.int16
    np.testing.assert_array_equal(voxels[3].ravel(), np.arange(20))


def test_values_beyond_16_bits_are_kept_by_widening(series: Write) -> None:
    """The slice that needs it comes late; those before it must survive the widening."""

    def large(dataset: pydicom.Dataset, k: int) -> None:
        values = np.full(20, 65535 if k == 5 else k, np.uint16)
        store(dataset, values, PixelRepresentation=0)

    voxels = load_volume(series(large)).voxels
    assert voxels.dtype == np.float32
    np.testing.assert_array_equal(voxels[:, 0, 0], [0, 1, 2, 3, 4, 65535])


@pytest.mark.parametrize("signed", [True, False])
def test_bits_above_the_stored_ones_are_not_part_of_the_value(series: Write, signed: bool) -> None:
    """Old files keep an overlay in the four highest bits."""
    values = np.arange(-10, 10) * 100 if signed else np.arange(20) * 200

    def overlay(dataset: pydicom.Dataset, _k: int) -> None:
        words = (values & 0x0FFF) | (np.arange(20) % 2 << 15)
        store(
            dataset, words.astype(np.uint16), BitsStored=12, HighBit=11,
            PixelRepresentation=int(signed),
        )  # fmt: skip

    np.testing.assert_array_equal(load_volume(series(overlay)).voxels[0].ravel(), values)


def test_stored_bits_may_lie_at_the_upper_end(series: Write) -> None:
    def upper(dataset: pydicom.Dataset, _k: int) -> None:
        words = (np.arange(20) * 100 << 4).astype(np.uint16)
        store(dataset, words, BitsStored=12, HighBit=15, PixelRepresentation=0)

    np.testing.assert_array_equal(load_volume(series(upper)).voxels[0].ravel(), np.arange(20) * 100)


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (32, np.int32)])
def test_8_and_32_bits_are_read(series: Write, bits: int, dtype: type) -> None:
    def other(dataset: pydicom.Dataset, _k: int) -> None:
        store(
            dataset, np.arange(20).astype(dtype), BitsAllocated=bits, BitsStored=bits,
            HighBit=bits - 1, PixelRepresentation=int(bits == 32),
        )  # fmt: skip

    np.testing.assert_array_equal(load_volume(series(other)).voxels[0].ravel(), np.arange(20))


class TestPadding:
    def padded(self, series: Write, value: int, modality: str = "CT", **more: Any) -> Volume:
        def pad(dataset: pydicom.Dataset, _k: int) -> None:
            words = np.full(20, 100, np.int16)
            words[:3] = value
            dataset.add_new("PixelPaddingValue", "SS", more.pop("declared", value))
            store(dataset, words, Modality=modality, RescaleIntercept=-10, **more)

        return load_volume(series(pad))

    def test_declared_padding_becomes_air(self, series: Write) -> None:
        voxels = self.padded(series, -2000).voxels
        assert voxels.dtype == np.int16
        np.testing.assert_array_equal(voxels[2].ravel()[:4], [-1024, -1024, -1024, 90])

    def test_a_range_of_padding_becomes_air(self, series: Write) -> None:
        def pad(dataset: pydicom.Dataset, _k: int) -> None:
            dataset.add_new("PixelPaddingValue", "SS", -2000)
            dataset.add_new("PixelPaddingRangeLimit", "SS", -1500)
            store(dataset, np.array([-2000, -1700, -1500, -1499] * 5, np.int16))

        row = load_volume(series(pad)).voxels[0].ravel()[:4]
        np.testing.assert_array_equal(row, [-1024, -1024, -1024, -1499])

    def test_negative_padding_that_was_written_as_unsigned_is_understood(
        self, series: Write
    ) -> None:
        def pad(dataset: pydicom.Dataset, _k: int) -> None:
            dataset.add_new("PixelPaddingValue", "US", 63536)  # −2000 in 16 bits
            store(dataset, np.array([-2000, 5] * 10, np.int16))

        np.testing.assert_array_equal(load_volume(series(pad)).voxels[0].ravel()[:2], [-1024, 5])

    def test_padding_that_nobody_declared_is_kept_and_named(self, series: Write) -> None:
        def pad(dataset: pydicom.Dataset, _k: int) -> None:
            store(dataset, np.array([-3024, 5] * 10, np.int16))

        loaded = load_volume(series(pad))
        assert loaded.voxels.min() == -3024
        assert any("lowest value is -3024 HU" in w for w in loaded.warnings)

    def test_other_modalities_keep_their_numbers(self, series: Write) -> None:
        loaded = self.padded(series, 0, modality="MR")
        np.testing.assert_array_equal(loaded.voxels[0].ravel()[:4], [-10, -10, -10, 90])
        assert any("MR, not CT" in w for w in loaded.warnings)


class TestWhatTheNumbersMean:
    def edited(self, series: Write, keyword: str, value: Any) -> Volume:
        def edit(dataset: pydicom.Dataset, _k: int) -> None:
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)

        return load_volume(series(edit))

    def test_an_inverted_display_does_not_invert_hounsfield_units(
        self, series: Write, volume: Volume
    ) -> None:
        loaded = self.edited(series, "PhotometricInterpretation", "MONOCHROME1")
        np.testing.assert_array_equal(loaded.voxels, volume.voxels)
        assert any("MONOCHROME1" in w for w in loaded.warnings)

    @pytest.mark.parametrize("keyword", ["RescaleSlope", "RescaleIntercept"])
    def test_missing_rescale_is_said(self, series: Write, keyword: str) -> None:
        (warning,) = self.edited(series, keyword, None).warnings
        assert "The files give no usable rescale slope and intercept, or only one" in warning

    def test_an_intercept_counts_without_its_slope(self, series: Write) -> None:
        def edit(dataset: pydicom.Dataset, _k: int) -> None:
            del dataset.RescaleSlope
            dataset.RescaleIntercept = -1024

        assert load_volume(series(edit)).value_range == (-1084, -965)

    @pytest.mark.parametrize("slope", ["0", "nan", "inf"])
    def test_a_slope_that_makes_all_values_one_is_not_used(
        self, series: Write, volume: Volume, slope: str
    ) -> None:
        def edit(dataset: pydicom.Dataset, _k: int) -> None:
            raw = slope.ljust(4).encode()
            tag = pydicom.tag.Tag("RescaleSlope")
            dataset[tag] = RawDataElement(tag, "DS", 4, raw, 0, False, True)

        loaded = load_volume(series(edit))
        np.testing.assert_array_equal(loaded.voxels, volume.voxels)
        assert "no usable rescale slope" in loaded.warnings[0]

    def test_images_of_a_series_that_lack_what_the_others_have_are_named(
        self, series: Write
    ) -> None:
        def edit(dataset: pydicom.Dataset, k: int) -> None:
            if k == 2:
                del dataset.RescaleSlope, dataset.RescaleIntercept

        (warning,) = load_volume(series(edit)).warnings
        assert warning.startswith("1 of 6 images (slice_0003.dcm) with no usable rescale slope")

    def test_a_ct_without_anything_below_water_has_lost_its_intercept(self, series: Write) -> None:
        """Air at 0 and tissue at 1000 and more: stored numbers, with an intercept of 0."""
        (warning,) = load_volume(series(of=raised(1100))).warnings
        assert "from 1040 to 1159" in warning
        assert "rescale intercept was probably lost" in warning

    def test_bright_values_beside_air_need_no_word(self, series: Write) -> None:
        bright = raised(1100)
        bright.voxels[0, 0, 0] = -1000
        assert load_volume(series(of=bright)).warnings == ()

    @pytest.mark.parametrize(
        ("units", "said"), [(("HU",), "HU"), (("mgml",), "mgml"), (("HU", "mgml"), "US"), ((), "")]
    )
    def test_the_unit_is_what_the_files_agree_on(
        self, series: Write, units: Sequence[str], said: str
    ) -> None:
        def edit(dataset: pydicom.Dataset, k: int) -> None:
            if units:
                dataset.RescaleType = units[k % len(units)]
            elif "RescaleType" in dataset:
                del dataset.RescaleType

        assert load_volume(series(edit)).info.unit == said

    def test_values_that_are_no_hounsfield_units_are_named(self, series: Write) -> None:
        assert "Z_EFF" in " ".join(self.edited(series, "RescaleType", "Z_EFF").warnings)


class TestDamage:
    def test_a_truncated_slice_is_named(self, series: Write) -> None:
        folder = series()
        victim = sorted(folder.iterdir())[3]
        victim.write_bytes(victim.read_bytes()[:-7])
        with pytest.raises(ImageReadError, match=rf"{victim.name}.*ends after 16 of 20 pixels"):
            load_volume(folder)

    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
    def test_bytes_inserted_into_the_pixels_are_said(self, series: Write, syntax: UID) -> None:
        folder = series()
        rewrite(folder, syntax)
        victim = sorted(folder.iterdir())[2]
        raw = victim.read_bytes()
        victim.write_bytes(raw[:-20] + b"\x07\x01" + raw[-20:])
        (warning,) = load_volume(folder).warnings
        assert victim.name in warning
        assert "2 bytes after the pixels" in warning

    @pytest.mark.parametrize("end", [b"\0" * 512, b"\xfc\xff\xfc\xffOB\0\0\x04\0\0\0abcd", b"\0"])
    def test_what_may_follow_the_pixels_needs_no_word(self, series: Write, end: bytes) -> None:
        folder = series()
        for path in folder.iterdir():
            path.write_bytes(path.read_bytes() + end)
        assert load_volume(folder).warnings == ()

    def test_a_corrupt_compressed_slice_is_named(self, series: Write) -> None:
        folder = series(of=textured())
        rewrite(folder, JPEG2000Lossless)
        victim = sorted(folder.iterdir())[2]
        dataset = pydicom.dcmread(victim)
        broken = bytearray(dataset.PixelData)
        broken[130:190] = b"\xff" * 60
        dataset.PixelData = bytes(broken)
        dataset.save_as(victim)
        with pytest.raises(ImageReadError, match=rf"{victim.name}.*damaged or cut short"):
            load_volume(folder)

    @pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless])
    def test_compressed_pixels_that_end_early_are_noticed(self, series: Write, syntax: UID) -> None:
        folder = series(of=textured())
        rewrite(folder, syntax)
        victim = sorted(folder.iterdir())[2]
        dataset = pydicom.dcmread(victim)
        (fragment,) = generate_frames(dataset.PixelData, number_of_frames=1)
        dataset.PixelData = encapsulate([fragment[: len(fragment) // 2]])
        dataset.save_as(victim)
        with pytest.raises(ImageReadError, match=rf"{victim.name}.*damaged or cut short"):
            load_volume(folder)

    def test_a_truncated_lossless_jpeg_is_not_shown_without_its_lower_part(
        self, fixtures: Path, tmp_path: Path
    ) -> None:
        """Lossless JPEG is what many archives keep CT in, and one common decoder hides damage."""
        for path in (fixtures / "dicom" / "jpeg_lossless").iterdir():
            shutil.copy(path, tmp_path)
        k, row, column = np.indices((2, 64, 48))
        drawn = column * 20 + row * 10 - 1000 + k * 50 + column * row % 7
        np.testing.assert_array_equal(load_volume(tmp_path).voxels, drawn)
        victim = sorted(tmp_path.iterdir())[1]
        dataset = pydicom.dcmread(victim)
        (fragment,) = generate_frames(dataset.PixelData, number_of_frames=1)
        dataset.PixelData = encapsulate([fragment[: len(fragment) // 2]])
        dataset.save_as(victim)
        with pytest.raises(ImageReadError, match=rf"{victim.name}.*damaged or cut short"):
            load_volume(tmp_path)

    def test_a_compression_of_videos_is_named(self, series: Write) -> None:
        def video(dataset: pydicom.Dataset, _k: int) -> None:
            dataset.file_meta.TransferSyntaxUID = MPEG2MPML
            dataset.PixelData = encapsulate([b"\0" * 20])
            dataset["PixelData"].is_undefined_length = True

        with pytest.raises(ImageReadError, match=r"a video \(MPEG2 .*not played here"):
            load_volume(series(video))


@pytest.mark.parametrize("slope", [1, 0.5])
def test_a_volume_knows_its_range_from_the_slices_it_was_read_from(
    series: Write, slope: float
) -> None:
    volume = load_volume(series(lambda d, _k: setattr(d, "RescaleSlope", slope)))
    assert "value_range" in vars(volume)
    assert volume.value_range == (float(volume.voxels.min()), float(volume.voxels.max()))
