"""The quick header reader gives what pydicom gives, or leaves the file to pydicom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from med2e3.io import write_dicom_series
from med2e3.io.dicom.headers import KEYWORDS, read_header
from med2e3.io.dicom.quick import PIECE, quick_header, tags_of
from tests.med2e3.io.conftest import ramp

WANTED = tags_of(KEYWORDS)


@pytest.fixture
def one(tmp_path: Path) -> tuple[Path, Dataset]:
    """A CT image with what real headers have, not yet saved."""
    path = write_dicom_series(ramp(patient_name="Test^One"), tmp_path, seed="one")[0]
    dataset = pydicom.dcmread(path)
    item = Dataset()
    item.CodeValue, item.CodeMeaning = "T-1", "with an inner one"
    inner = Dataset()
    inner.CodeValue = "T-2"
    item.ConceptNameCodeSequence = Items([inner])
    dataset.ProcedureCodeSequence = Items([item, item])
    dataset.ConvolutionKernel = ["Br38f", "3"]
    dataset.WindowCenter, dataset.WindowWidth = [40, 300], [300, 1500]
    dataset.AcquisitionNumber = 14
    dataset.add_new((0x0029, 0x0010), "LO", "PRIVATE")
    return path, dataset


def plain(value: Any) -> Any:
    """A value as text and numbers only, whichever reader it is from."""
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(v) for v in value]
    return str(value).strip() if isinstance(value, str) or "Name" in type(value).__name__ else value


def agree(path: Path) -> None:
    quick = quick_header(path, WANTED)
    assert quick is not None
    header, offset = quick
    whole = pydicom.dcmread(path)
    present = {word for word, _ in WANTED.values() if word in whole}
    assert set(header) == present
    for word in present:
        ours, theirs = plain(header.get(word)), plain(whole.get(word))
        assert (ours or None) == (theirs or None), word
    assert offset is not None
    count = int(whole.Rows) * int(whole.Columns)
    pixels = np.fromfile(path, "<i2", count, offset=offset)
    assert np.array_equal(pixels, np.frombuffer(whole.PixelData, "<i2", count))


def test_a_usual_file_is_read_as_pydicom_reads_it(one: tuple[Path, Dataset]) -> None:
    path, dataset = one
    dataset.save_as(path)
    agree(path)


def test_sequences_of_undefined_length_are_passed_over(one: tuple[Path, Dataset]) -> None:
    path, dataset = one
    for element in (
        dataset["ProcedureCodeSequence"],
        *(item["ConceptNameCodeSequence"] for item in dataset.ProcedureCodeSequence),
    ):
        element.is_undefined_length = True
        for item in element.value:
            item.is_undefined_length_sequence_item = True
    dataset.save_as(path)
    assert b"\xff\xff\xff\xff" in path.read_bytes()
    agree(path)


@pytest.mark.parametrize("size", [PIECE - 900, PIECE - 600, PIECE, 5 * PIECE])
def test_long_private_elements_are_passed_over(one: tuple[Path, Dataset], size: int) -> None:
    path, dataset = one
    dataset.add_new((0x0029, 0x1010), "OB", b"\1" * size)
    dataset.add_new((0x0009, 0x0010), "LO", "EARLY")
    dataset.add_new((0x0009, 0x1001), "OB", b"\2" * size)
    dataset.save_as(path)
    agree(path)


def test_implicit_little_endian_is_read_too(one: tuple[Path, Dataset]) -> None:
    path, dataset = one
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.PixelPaddingValue = -2000
    dataset.save_as(path, implicit_vr=True, little_endian=True)
    header = read_header(path)
    assert header is not None
    assert header.frames[0].pixels.padding == (-2000, -2000)
    quick = quick_header(path, WANTED)
    assert quick is not None
    assert quick[0].get("ConvolutionKernel") == ("Br38f", "3")


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Müller^Jörg"),
        ("ISO_IR 192", "山田^太郎"),
        ("ISO_IR 144", "Люкceмбypг"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
        ("GB18030", "王^小东"),
    ],
)
def test_names_are_read_in_the_files_own_letters(
    one: tuple[Path, Dataset], charset: Any, name: str
) -> None:
    path, dataset = one
    dataset.SpecificCharacterSet = charset
    dataset.PatientName = name
    dataset.save_as(path)
    header = read_header(path)
    assert header is not None
    assert str(header.dataset.get("PatientName")) == name
    assert quick_header(path, WANTED) is not None


def test_what_is_not_simple_is_left_to_pydicom_and_read_all_the_same(
    one: tuple[Path, Dataset],
) -> None:
    path, dataset = one
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
    pydicom.dcmwrite(path, dataset, implicit_vr=False, little_endian=False)
    assert quick_header(path, WANTED) is None
    header = read_header(path)
    assert header is not None
    assert header.frames[0].pixels.big_endian


@pytest.mark.parametrize("keep", [0, 100, 131, 133, 141, 301, 701])
def test_a_file_cut_short_is_no_quick_one(one: tuple[Path, Dataset], keep: int) -> None:
    path, dataset = one
    dataset.save_as(path)
    path.write_bytes(path.read_bytes()[:keep])
    assert quick_header(path, WANTED) is None
