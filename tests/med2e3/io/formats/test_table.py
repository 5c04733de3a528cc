"""A row of the table of formats is all that opening, headers and searches need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from med2e3.errors import ImageReadError
from med2e3.geometry import Geometry
from med2e3.io import list_series, load_volume
from med2e3.io.formats import table
from med2e3.io.formats.array_file import ArrayFile, HeaderField
from med2e3.io.series import ScanResult
from med2e3.io.suffixes import DICOM, image_suffixes
from med2e3.io.tags import Tag, read_tags
from med2e3.retrieval.collection import find_candidates

SHAPE = (2, 3, 4)
VALUES = np.arange(24, dtype=np.int16).reshape(SHAPE)


def scan_bytes(path: Path) -> ScanResult:
    geometry = Geometry.from_spacing(SHAPE, (3.0, 2.0, 1.0))
    return ArrayFile(path, geometry, lambda _: np.fromfile(path, np.int16)).scan


def bytes_header(path: Path) -> Iterator[HeaderField]:
    yield HeaderField("size", path.stat().st_size, "bytes")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a volume of a format that only this test knows, and a letter."""
    row = table.Format("Bytes", (".int16",), scan_bytes, bytes_header)
    monkeypatch.setattr(table, "FORMATS", (*table.FORMATS, row))
    VALUES.tofile(tmp_path / "SCAN.INT16")
    (tmp_path / "letter.txt").write_text("Dear colleague")
    return tmp_path


def test_a_file_of_a_further_format_opens(folder: Path) -> None:
    volume = load_volume(folder / "SCAN.INT16")
    np.testing.assert_array_equal(volume.voxels, VALUES)
    assert volume.geometry.spacing_mm == (3, 2, 1)


def test_its_header_is_shown(folder: Path) -> None:
    assert read_tags(folder / "SCAN.INT16") == (Tag("", "bytes", "size", "48"),)


def test_it_is_found_in_a_folder(folder: Path) -> None:
    (summary,) = list_series(folder)
    assert summary.files == (folder / "SCAN.INT16",)


def test_a_search_below_a_folder_finds_it(folder: Path) -> None:
    (candidate,), _ = find_candidates(folder)
    assert candidate.name == "SCAN.INT16"


def test_file_dialogs_and_messages_name_it(folder: Path) -> None:
    assert ".int16" in image_suffixes()
    with pytest.raises(ImageReadError, match=r"letter\.txt is not a DICOM file.*\.int16"):
        load_volume(folder / "letter.txt")


def test_without_its_row_it_is_unknown(tmp_path: Path) -> None:
    VALUES.tofile(tmp_path / "scan.int16")
    with pytest.raises(ImageReadError, match="is not a DICOM file"):
        load_volume(tmp_path / "scan.int16")


def test_every_suffix_has_one_reader_and_small_letters() -> None:
    every = image_suffixes()
    assert len(set(every)) == len(every)
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in every)
    assert every[: len(DICOM)] == DICOM
