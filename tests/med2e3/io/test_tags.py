"""Headers as rows, of every format that opens."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
import SimpleITK

from med2e3.errors import ImageReadError
from med2e3.io import write_dicom_series
from med2e3.io.tags import matching, read_tags
from tests.med2e3.io.conftest import ramp


@pytest.mark.parametrize(
    ("ending", "name"),
    [(".nii", "pixdim"), (".nii.gz", "pixdim"), (".nrrd", "space directions"), (".mha", "Offset")],
)
def test_other_formats_show_their_own_fields(tmp_path: Path, ending: str, name: str) -> None:
    path = tmp_path / f"volume{ending}"
    SimpleITK.WriteImage(SimpleITK.Image(4, 5, 6, SimpleITK.sitkInt16), str(path))
    assert name in {tag.name for tag in read_tags(path)}


def test_every_element_of_a_dicom_file_is_there(tmp_path: Path) -> None:
    path = write_dicom_series(ramp(), tmp_path, seed="tags")[0]
    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    count = len(dataset) + len(dataset.file_meta)
    rows = read_tags(path)
    assert len(rows) == count
    assert next(r.value for r in rows if r.number == "0020,0013") == str(dataset.InstanceNumber)


def test_an_odd_value_does_not_hide_the_others(tmp_path: Path) -> None:
    path = write_dicom_series(ramp(), tmp_path, seed="odd")[0]
    path.write_bytes(path.read_bytes().replace(b"DS\x02\x002 ", b"DS\x02\x00xx"))
    rows = read_tags(path)
    assert any(r.name == "Modality" for r in rows)


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match=r"gone\.dcm: the header cannot be read"):
        read_tags(tmp_path / "gone.dcm")


def test_nothing_searched_is_everything(tmp_path: Path) -> None:
    rows = read_tags(write_dicom_series(ramp(), tmp_path, seed="all")[0])
    assert matching(rows, "  ") == rows
    assert matching(rows, "no such words anywhere") == ()
