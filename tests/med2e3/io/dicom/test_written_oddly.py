"""Headers that are written in an odd way are read as they are meant, with a word; or named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGLSNearLossless,
    ParametricMapStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from med2e3.io import list_series, load_volume, open_source
from med2e3.io.dicom.phase import phase_in
from tests.fuzz.subjects import write_dicom, write_enhanced
from tests.med2e3.io.dicom.test_notes import raw
from tests.med2e3.io.mixed import add, body

Edit = Callable[[pydicom.Dataset, int], Any]


def study(folder: Path, edit: Edit, slices: int = 12) -> Path:
    add(folder, "s", body(slices), edit)
    return folder


class TestPixelSpacing:
    @pytest.mark.parametrize("vr", ["UT", "LO", "SH", "LT"])
    def test_of_another_representation(self, tmp_path: Path, vr: str) -> None:
        folder = study(tmp_path, lambda d, _k: raw(d, "PixelSpacing", vr, b"0.8\\0.9 "))
        loaded = load_volume(folder)
        assert loaded.geometry.spacing_mm == pytest.approx((3, 0.8, 0.9))
        assert loaded.warnings == ()

    @pytest.mark.parametrize("kind", ["<f4", "<f8"])
    def test_as_binary_numbers(self, tmp_path: Path, kind: str) -> None:
        content = np.array([0.8, 0.9]).astype(kind).tobytes()
        vr = "FL" if kind == "<f4" else "FD"
        folder = study(tmp_path, lambda d, _k: raw(d, "PixelSpacing", vr, content))
        loaded = load_volume(folder)
        assert loaded.geometry.spacing_mm == pytest.approx((3, 0.8, 0.9))
        assert "hold numbers in binary that DICOM writes as text" in " ".join(loaded.warnings)

    def test_of_one_value_is_square_with_a_word(self, tmp_path: Path) -> None:
        """As ITK reads it."""
        loaded = load_volume(study(tmp_path, lambda d, _k: raw(d, "PixelSpacing", "DS", b"0.8 ")))
        assert loaded.geometry.spacing_mm == pytest.approx((3, 0.8, 0.8))
        (said,) = loaded.warnings
        assert said.startswith("12 files (s_011.dcm, ")
        assert said.endswith("state one pixel spacing; pixels are taken as square.")

    @pytest.mark.parametrize("content", [b"", b"0\\0 ", b"-1\\1", b"1\\2\\3 "])
    def test_that_is_none_makes_no_volume(self, tmp_path: Path, content: bytes) -> None:
        found = list_series(study(tmp_path, lambda d, _k: raw(d, "PixelSpacing", "DS", content)))
        assert not any(one.is_volume for one in found)


@pytest.mark.parametrize("is_enhanced", [False, True])
def test_a_slope_whose_text_is_called_binary_is_said(tmp_path: Path, is_enhanced: bool) -> None:
    """The four letters of "1.0 " are a float of about 7e-10."""
    if is_enhanced:
        write_enhanced(tmp_path)
    else:
        write_dicom(tmp_path)
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        assert content.count(b"\x28\x00\x53\x10DS") == 1
        path.write_bytes(content.replace(b"\x28\x00\x53\x10DS", b"\x28\x00\x53\x10FL"))
    said = " ".join(load_volume(tmp_path).warnings)
    assert "hold numbers in binary that DICOM writes as text; they may be wrong" in said


def test_a_decimal_comma_in_functional_groups_is_read_as_a_point(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path)
    usual = load_volume(path)
    path.write_bytes(path.read_bytes().replace(b"0.8\\0.7", b"0,8\\0,7"))
    loaded = load_volume(path)
    assert loaded.geometry.spacing_mm == usual.geometry.spacing_mm == pytest.approx((2, 0.8, 0.7))
    assert loaded.warnings == (
        "1 file (all.dcm) write numbers with a decimal comma; it was read as a point.",
    )


@pytest.mark.parametrize("value", [b"1e300 ", b"nan ", b"inf "])
def test_a_window_that_no_image_has_is_no_window(tmp_path: Path, value: bytes) -> None:
    for keyword in ("WindowCenter", "WindowWidth"):
        folder = study(tmp_path / keyword, lambda d, _k, word=keyword: raw(d, word, "DS", value))
        assert load_volume(folder).info.windows == ()


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient"])
def test_places_of_another_representation(tmp_path: Path, keyword: str) -> None:
    def edit(dataset: pydicom.Dataset, _k: int) -> None:
        text = "\\".join(f"{x:g}" for x in dataset[keyword].value)
        raw(dataset, keyword, "UT", text.encode() + b" " * (len(text) % 2))

    volume = load_volume(study(tmp_path, edit))
    usual = load_volume(study(tmp_path / "usual", lambda _d, _k: None))
    np.testing.assert_array_equal(volume.voxels, usual.voxels)
    np.testing.assert_allclose(volume.geometry.affine_lps, usual.geometry.affine_lps)


class TestDecimalComma:
    @pytest.mark.parametrize("reader", ["quick", "pydicom"])
    def test_is_read_as_a_point_with_a_word(self, tmp_path: Path, reader: str) -> None:
        def edit(dataset: pydicom.Dataset, k: int) -> None:
            if k == 4:
                raw(dataset, "PixelSpacing", "DS", b"1,0\\1,0 ")
                raw(dataset, "RescaleIntercept", "DS", b"-0,50 ")
            if reader == "pydicom":  # an element that only it reads
                dataset.add_new((0x5200, 0x9229), "SQ", [Dataset()])

        loaded = load_volume(study(tmp_path, edit))
        assert loaded.geometry.spacing_mm == pytest.approx((3, 1, 1))
        (said,) = loaded.warnings
        assert said == (
            "1 file (s_004.dcm) write numbers with a decimal comma; it was read as a point."
        )
        assert loaded.voxels[7].min() == pytest.approx(-1000.5)

    def test_letters_are_still_no_number(self, tmp_path: Path) -> None:
        folder = study(
            tmp_path, lambda d, k: raw(d, "RescaleSlope", "DS", b"wide") if k == 4 else 0
        )
        assert [one.path.name for one in open_source(folder).skipped] == ["s_004.dcm"]


def real_numbers(bits: int, kind: str = "<") -> Edit:
    def edit(dataset: pydicom.Dataset, _k: int) -> None:
        values = (np.frombuffer(dataset.PixelData, np.int16) / 8).astype(f"{kind}f{bits // 8}")
        del dataset.PixelData, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation
        dataset.BitsAllocated = bits
        if bits == 32:
            dataset.FloatPixelData = values.tobytes()
        else:
            dataset.DoubleFloatPixelData = values.tobytes()

    return edit


class TestRealNumbers:
    @pytest.mark.parametrize("bits", [32, 64])
    @pytest.mark.parametrize("implicit", [True, False])
    def test_float_pixel_data_is_read(self, tmp_path: Path, bits: int, implicit: bool) -> None:
        folder = study(tmp_path, real_numbers(bits))
        if implicit:
            for path in folder.iterdir():
                dataset = pydicom.dcmread(path)
                dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
                pydicom.dcmwrite(path, dataset, implicit_vr=True, little_endian=True)
        np.testing.assert_allclose(load_volume(folder).voxels, body().voxels / 8)

    def test_also_big_endian(self, tmp_path: Path) -> None:
        folder = study(tmp_path, real_numbers(32, ">"))
        for path in folder.iterdir():
            dataset = pydicom.dcmread(path)
            dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
            pydicom.dcmwrite(path, dataset, implicit_vr=False, little_endian=False)
        np.testing.assert_allclose(load_volume(folder).voxels, body().voxels / 8)

    def test_what_is_no_number_is_counted(self, tmp_path: Path) -> None:
        def edit(dataset: pydicom.Dataset, k: int) -> None:
            real_numbers(32)(dataset, k)
            values = np.frombuffer(dataset.FloatPixelData, "<f4").copy()
            values[:2] = np.nan
            dataset.FloatPixelData = values.tobytes()

        loaded = load_volume(study(tmp_path, edit))
        assert np.isfinite(loaded.voxels).all()
        assert any(said.startswith("24 voxels were not finite numbers") for said in loaded.warnings)

    def test_a_map_of_a_statistic_is_no_ct(self, tmp_path: Path) -> None:
        def edit(dataset: pydicom.Dataset, k: int) -> None:
            real_numbers(32)(dataset, k)
            dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = ParametricMapStorage
            dataset.Modality = "MR"

        said = " ".join(load_volume(study(tmp_path, edit)).warnings)
        assert "The modality is MR, not CT" in said
        assert "air" not in said


class TestTable:
    """A Modality LUT in place of slope and intercept (PS3.3 C.11.1)."""

    @pytest.mark.parametrize("packed", [True, False])
    @pytest.mark.parametrize("implicit", [True, False])
    def test_gives_the_values_with_a_word(
        self, tmp_path: Path, packed: bool, implicit: bool
    ) -> None:
        first, table = -1000, np.arange(1041)[::-1] * 3

        def edit(dataset: pydicom.Dataset, _k: int) -> None:
            del dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType
            item = Dataset()
            item.add_new("LUTDescriptor", "SS", [len(table), first, 16])
            content = table.astype("<u2")
            item.add_new(
                "LUTData", "OW" if packed else "US",
                content.tobytes() if packed else content.tolist(),
            )  # fmt: skip
            item.ModalityLUTType = "US"
            dataset.ModalityLUTSequence = [item]

        folder = study(tmp_path, edit)
        if implicit:
            for path in folder.iterdir():
                dataset = pydicom.dcmread(path)
                dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
                pydicom.dcmwrite(path, dataset, implicit_vr=True, little_endian=True)
        loaded = load_volume(folder)
        usual = body().voxels
        np.testing.assert_array_equal(loaded.voxels, table[usual - first])
        assert any("Modality LUT, type US) in place of a rescale" in w for w in loaded.warnings)
        assert not any("no usable rescale" in said for said in loaded.warnings)

    def test_slope_and_intercept_go_first(self, tmp_path: Path) -> None:
        def edit(dataset: pydicom.Dataset, _k: int) -> None:
            item = Dataset()
            item.add_new("LUTDescriptor", "SS", [2, 0, 16])
            item.add_new("LUTData", "US", [7, 8])
            dataset.ModalityLUTSequence = [item]

        np.testing.assert_array_equal(load_volume(study(tmp_path, edit)).voxels, body().voxels)

    def test_a_table_that_is_too_short_names_its_file(self, tmp_path: Path) -> None:
        def edit(dataset: pydicom.Dataset, k: int) -> None:
            if k == 11:
                del dataset.RescaleSlope, dataset.RescaleIntercept
                item = Dataset()
                item.add_new("LUTDescriptor", "SS", [200, 0, 16])
                item.add_new("LUTData", "US", [7, 8])
                dataset.ModalityLUTSequence = [item]

        (left,) = open_source(study(tmp_path, edit)).skipped
        assert left.path.name == "s_011.dcm"
        assert "Modality LUT has 2 of 200 entries" in left.reason


class TestUnits:
    @pytest.mark.parametrize("unit", ["hu", "Hu", "HU", "Hounsfield", "hounsfield units", "H.U."])
    def test_hounsfield_units_however_they_are_written(self, tmp_path: Path, unit: str) -> None:
        loaded = load_volume(study(tmp_path, lambda d, _k: setattr(d, "RescaleType", unit)))
        assert loaded.info.unit == "HU"
        assert loaded.warnings == ()

    def test_other_units_are_said(self, tmp_path: Path) -> None:
        (said,) = load_volume(
            study(tmp_path, lambda d, _k: setattr(d, "RescaleType", "ED"))
        ).warnings
        assert said == "The values are ED, not Hounsfield units."

    def test_a_modality_left_out_is_that_of_the_class(self, tmp_path: Path) -> None:
        loaded = load_volume(study(tmp_path, lambda d, _k: delattr(d, "Modality")))
        assert loaded.info.is_ct
        assert loaded.warnings == ()

    @pytest.mark.parametrize(
        ("modality", "words"),
        [
            (
                "",
                "The modality is not given; values are Hounsfield units by their Rescale Type (HU)",
            ),
            ("OT", "The modality is OT, not CT, although the Rescale Type says Hounsfield units"),
        ],
    )
    def test_the_rescale_type_is_believed(self, tmp_path: Path, modality: str, words: str) -> None:
        def edit(dataset: pydicom.Dataset, _k: int) -> None:
            dataset.Modality, dataset.RescaleType = modality, "HU"
            dataset.SOPClassUID = SecondaryCaptureImageStorage
            dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage

        (said,) = load_volume(study(tmp_path, edit)).warnings
        assert said.startswith(words)


class TestLossyPadding:
    def test_padding_that_loss_has_moved_is_air(self, tmp_path: Path) -> None:
        """JPEG-LS moves each number by up to three."""
        import imagecodecs

        random = np.random.default_rng(5)

        def edit(dataset: pydicom.Dataset, _k: int) -> None:
            stored = np.frombuffer(dataset.PixelData, np.int16).reshape(32, 28) + 3024
            stored = (stored + random.integers(0, 9, stored.shape)).astype(np.uint16)
            stored[:, :4] = 24
            stored[:, :4] += random.integers(0, 3, (32, 4)).astype(np.uint16)
            dataset.PixelData = pydicom.encaps.encapsulate(
                [bytes(imagecodecs.jpegls_encode(stored, level=3))]
            )
            dataset["PixelData"].VR = "OB"
            dataset.file_meta.TransferSyntaxUID = JPEGLSNearLossless
            dataset.PixelRepresentation, dataset.RescaleIntercept = 0, -3024
            dataset.add_new("PixelPaddingValue", "US", 24)

        loaded = load_volume(study(tmp_path, edit))
        assert (loaded.voxels[:, :, :4] == -1024).all()
        assert loaded.voxels[:, :, 4:].min() >= -1004
        (said,) = loaded.warnings
        assert said.startswith("The images were compressed with loss")

    def test_other_padding_than_declared_is_not_called_undeclared(self, tmp_path: Path) -> None:
        def edit(dataset: pydicom.Dataset, _k: int) -> None:
            stored = np.frombuffer(dataset.PixelData, np.int16).copy()
            stored[:40] = -3000
            dataset.PixelData = stored.tobytes()
            dataset.add_new("PixelPaddingValue", "SS", -2000)

        (said,) = load_volume(study(tmp_path, edit)).warnings
        assert "The lowest value is -3000 HU" in said
        assert "that the files declare with another value" in said


class TestOneSeriesUidForEachSlice:
    def own(self, *keywords: str) -> Edit:
        def edit(dataset: pydicom.Dataset, _k: int) -> None:
            for keyword in keywords:
                setattr(dataset, keyword, generate_uid())

        return edit

    @pytest.mark.parametrize(
        "keywords",
        [
            ("SeriesInstanceUID",),
            ("SeriesInstanceUID", "FrameOfReferenceUID"),
            ("SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID"),
        ],
    )
    def test_they_are_one_series_with_a_word(
        self, tmp_path: Path, keywords: tuple[str, ...]
    ) -> None:
        folder = study(tmp_path, self.own(*keywords))
        (found,) = list_series(folder)
        assert (found.count, found.is_volume) == (12, True)
        loaded = load_volume(folder)
        np.testing.assert_array_equal(loaded.voxels, body().voxels[::-1])
        assert any(
            "Each of the 12 images has a series UID of its own" in w for w in loaded.warnings
        )

    def test_one_of_its_files_opens_all(self, tmp_path: Path) -> None:
        folder = study(tmp_path, self.own("SeriesInstanceUID"))
        assert load_volume(folder / "s_003.dcm").shape[0] == 12

    @pytest.mark.parametrize("keyword", ["SeriesDescription", "ConvolutionKernel", "PatientID"])
    def test_what_differs_else_stays_apart(self, tmp_path: Path, keyword: str) -> None:
        def edit(dataset: pydicom.Dataset, k: int) -> None:
            self.own("SeriesInstanceUID")(dataset, k)
            setattr(dataset, keyword, f"B{k % 2}")

        found = list_series(study(tmp_path, edit))
        assert sorted(one.count for one in found) == [6, 6]

    def test_single_images_that_form_no_stack_stay_single(self, tmp_path: Path) -> None:
        def edit(dataset: pydicom.Dataset, k: int) -> None:
            self.own("SeriesInstanceUID")(dataset, k)
            dataset.ImagePositionPatient = [0, 0, [0, 5, 90][k]]

        found = list_series(study(tmp_path, edit, slices=3))
        assert [one.count for one in found] == [1, 1, 1]


class TestNamesWithEscapes:
    """Escape sequences that no character set explains would command the terminal."""

    NAME = b"Evil\x1b]0;title\x07^\x1b[31mRed\x9b2J "

    def folder(self, tmp_path: Path) -> Path:
        def edit(dataset: pydicom.Dataset, _k: int) -> None:
            for keyword, vr in (("PatientName", "PN"), ("SeriesDescription", "LO")):
                raw(dataset, keyword, vr, self.NAME + b" " * (len(self.NAME) % 2))

        return study(tmp_path, edit)

    def test_no_text_of_a_header_keeps_them(self, tmp_path: Path) -> None:
        info = load_volume(self.folder(tmp_path)).info
        for text in (info.patient_name, info.series_description):
            assert text.isprintable()
            assert "Evil" in text

    @pytest.mark.parametrize("command", ["info", "series"])
    def test_the_command_line_prints_none(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
    ) -> None:
        from med2e3.cli import main

        folder = self.folder(tmp_path)
        assert main([command, str(folder)]) == 0
        printed = "".join(capsys.readouterr())
        assert "Evil" in printed
        assert all(letter.isprintable() or letter == "\n" for letter in printed)

    def test_nor_of_a_files_name(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        from med2e3.cli import main

        study(tmp_path / "a", lambda d, k: setattr(d, "HighBit", 60000) if k == 5 else None)
        victim = tmp_path / "a" / "s_005.dcm"
        victim.rename(victim.with_name("\x1b[2Js_005.dcm"))
        assert main(["info", str(tmp_path / "a")]) == 1
        assert main(["info", str(tmp_path / "\x1b[2Jnothing")]) == 1
        printed = "".join(capsys.readouterr())
        assert "[2J" in printed
        assert all(letter.isprintable() or letter == "\n" for letter in printed)

    def test_escapes_of_a_character_set_are_understood(self, tmp_path: Path) -> None:
        def edit(dataset: pydicom.Dataset, _k: int) -> None:
            dataset.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
            dataset.PatientName = "Yamada^Tarou=山田^太郎"

        assert "山田^太郎" in load_volume(study(tmp_path, edit)).info.patient_name


def test_rle_with_an_odd_end_and_a_word_of_phase_are_unchanged(tmp_path: Path) -> None:
    """What was right stays right beside all this."""

    def edit(dataset: pydicom.Dataset, _k: int) -> None:
        dataset.compress(RLELossless, generate_instance_uid=False)

    np.testing.assert_array_equal(load_volume(study(tmp_path, edit)).voxels, body().voxels[::-1])
    assert phase_in("Abdomen portal venous") == "portal venous"
