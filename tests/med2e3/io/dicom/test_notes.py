"""What a reader is told of images that open and may still mislead; and what must not stop them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataelem import RawDataElement

from med2e3.errors import SeriesChoiceError
from med2e3.io import list_series, load_volume
from tests.med2e3.io.mixed import add, body

Write = Callable[..., Path]


def raw(dataset: pydicom.Dataset, keyword: str, vr: str, content: bytes) -> None:
    """An element as it stands in a file, whatever the standard says of it."""
    tag = pydicom.tag.Tag(keyword)
    dataset[tag] = RawDataElement(tag, vr, len(content), content, 0, False, True)


def changed(keyword: str, value: Callable[[int], Any]) -> Callable[[pydicom.Dataset, int], None]:
    return lambda dataset, k: setattr(dataset, keyword, value(k))


def test_images_of_two_patients_are_named(series: Write) -> None:
    (warning,) = load_volume(series(changed("PatientID", lambda k: f"P{k // 3}"))).warnings
    assert "name 2 patients (P0, P1)" in warning


def test_a_patient_left_out_in_some_files_is_no_other_one(series: Write) -> None:
    assert load_volume(series(changed("PatientID", lambda k: "P" * (k < 3)))).warnings == ()


def test_two_frames_of_reference_are_said(series: Write) -> None:
    """PS3.3 C.7.4.1: positions are comparable within one frame of reference only."""
    loaded = load_volume(series(changed("FrameOfReferenceUID", lambda k: f"1.2.{k // 3}")))
    assert "name 2 frames of reference" in loaded.warnings[0]


def test_thin_slices_far_apart_are_said(series: Write) -> None:
    (warning,) = load_volume(series(changed("SliceThickness", lambda _k: 1))).warnings
    assert warning.startswith("The slices are 1 mm thick and lie 2 mm apart")


def test_a_series_of_which_every_second_file_is_missing_is_said(series: Write) -> None:
    """The steps are even, so no gap shows; only the thickness tells."""
    (warning,) = load_volume(series(lambda _d, k: k % 2 == 0)).warnings
    assert "The slices are 2 mm thick and lie 4 mm apart" in warning


@pytest.mark.parametrize("thickness", ["", 0, 1.75, 2, 5])
def test_slices_that_touch_or_say_no_thickness_need_no_word(
    series: Write, thickness: object
) -> None:
    assert load_volume(series(changed("SliceThickness", lambda _k: thickness))).warnings == ()


@pytest.mark.parametrize(
    ("keyword", "vr", "content"),
    [
        ("WindowCenter", "DS", b"40,5"),
        ("WindowWidth", "DS", b"wide"),
        ("LossyImageCompressionRatio", "DS", b"12:1"),
        ("SeriesNumber", "IS", b"3a"),
    ],
)
def test_a_number_that_is_none_does_not_hide_the_study(
    series: Write, keyword: str, vr: str, content: bytes
) -> None:
    def edit(dataset: pydicom.Dataset, _k: int) -> None:
        dataset.LossyImageCompression = "01"
        raw(dataset, keyword, vr, content.ljust(len(content) + len(content) % 2))

    loaded = load_volume(series(edit))
    assert loaded.shape == (6, 5, 4)
    assert loaded.warnings[0].startswith("The images were compressed with loss")


def test_a_second_file_cut_short_hides_no_other_series(tmp_path: Path) -> None:
    whole = add(tmp_path, "a", body(12))
    add(tmp_path, "b", body(5), uid="1.2.3")
    dataset = pydicom.dcmread(whole[3])
    dataset.SOPInstanceUID = "1.2.3.9"
    dataset.save_as(tmp_path / "again.dcm")
    (tmp_path / "again.dcm").write_bytes((tmp_path / "again.dcm").read_bytes()[:-10])
    broken, other = sorted(list_series(tmp_path), key=lambda s: -s.count)
    assert "again.dcm" in broken.reason
    assert load_volume(tmp_path, series=other).shape == (5, 32, 28)
    with pytest.raises(SeriesChoiceError, match=r"a_003\.dcm and again\.dcm"):
        load_volume(tmp_path, series=broken)
