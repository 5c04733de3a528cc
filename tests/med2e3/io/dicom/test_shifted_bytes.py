"""Bytes that are lost or inserted in pixels without a checksum: the lengths around them tell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    RLELossless,
)

from med2e3.errors import InputError
from med2e3.io import load_volume
from med2e3.volume import Volume
from tests.fuzz.subjects import write_dicom

VICTIM = "slice_0003.dcm"

Damage = Callable[[bytes, int], bytes]


def one_lost(raw: bytes, at: int) -> bytes:
    return raw[:at] + raw[at + 1 :]


def eight_more(raw: bytes, at: int) -> bytes:
    return raw[:at] + bytes(range(8)) + raw[at:]


@pytest.mark.parametrize("damage", [one_lost, eight_more])
@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGLosslessSV1, RLELossless])
def test_a_shift_in_packed_pixels_is_said_or_refused(
    tmp_path: Path, syntax: UID, damage: Damage
) -> None:
    folder = write_dicom(tmp_path, syntax)
    path = folder / VICTIM
    raw, undamaged = path.read_bytes(), load_volume(folder)
    pixels = len(pydicom.dcmread(path).PixelData)
    for at in (len(raw) - 20, len(raw) - pixels // 3):  # the file ends with them
        path.write_bytes(damage(raw, at))
        said_or_same(folder, undamaged)


@pytest.mark.parametrize("damage", [one_lost, eight_more])
def test_a_shift_in_a_deflated_stream_is_said_or_refused(tmp_path: Path, damage: Damage) -> None:
    folder = write_dicom(tmp_path, DeflatedExplicitVRLittleEndian)
    path = folder / VICTIM
    raw, undamaged = path.read_bytes(), load_volume(folder)
    for at in range(1800, len(raw) - 10, 150):
        path.write_bytes(damage(raw, at))
        said_or_same(folder, undamaged)


def said_or_same(folder: Path, undamaged: Volume) -> None:
    refusals: list[str] = []
    try:
        loaded = load_volume(folder)
    except InputError as error:
        refusals.append(str(error))
    assert all(VICTIM in words for words in refusals)
    if not refusals:
        news = set(loaded.warnings) - set(undamaged.warnings)
        assert np.array_equal(loaded.voxels, undamaged.voxels) or news


@pytest.mark.parametrize("count", [100, 1000, 200_000])
def test_zeros_inserted_in_the_last_row_do_not_hide_what_they_push_out(
    tmp_path: Path, count: int
) -> None:
    folder = write_dicom(tmp_path)
    path = folder / VICTIM
    raw = path.read_bytes()
    path.write_bytes(raw[:-20] + bytes(count) + raw[-20:])
    assert "after the pixels are no DICOM" in " ".join(load_volume(folder).warnings)


def test_zeros_that_fill_a_medium_up_are_not_spoken_of(tmp_path: Path) -> None:
    folder = write_dicom(tmp_path)
    path = folder / VICTIM
    path.write_bytes(path.read_bytes() + bytes(200_000))
    assert load_volume(folder).warnings == ()


def test_packed_parts_that_add_up_are_not_spoken_of(tmp_path: Path) -> None:
    folder = write_dicom(tmp_path, RLELossless)
    assert load_volume(folder).warnings == ()


def test_a_deflated_file_with_an_element_behind_its_pixels_is_not_spoken_of(
    tmp_path: Path,
) -> None:
    folder = write_dicom(tmp_path, DeflatedExplicitVRLittleEndian)
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.DataSetTrailingPadding = bytes(1000)
        dataset.save_as(path)
    assert load_volume(folder).warnings == ()
