"""DICOM Segmentations: places, names and colours as they are stated, overlaps, and refusals."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import UID, JPEGLSLossless, RLELossless

from med2e3.errors import ImageReadError, ResourceError
from med2e3.geometry import Geometry
from med2e3.io import bounds, open_source
from med2e3.io.dicom import segmentation
from med2e3.io.dicom.segmentation import read_segmentation, srgb_of
from tests.med2e3.io import segmentation_files as made

SHAPE = (7, 10, 13)


def oblique() -> Geometry:
    """Sheared as a tilted gantry, with three spacings, and rows that do not run along an axis."""
    turn = np.radians(20)
    affine = np.eye(4)
    affine[:3, 2] = np.array([np.cos(turn), np.sin(turn), 0.0]) * 0.7
    affine[:3, 1] = np.array([-np.sin(turn), np.cos(turn), 0.0]) * 0.9
    affine[:3, 0] = [0.0, 0.4, 2.5]
    affine[:3, 3] = [-50.0, 20.0, 300.0]
    return Geometry(SHAPE, affine)


def masks(*, overlap: bool = False) -> dict[int, np.ndarray]:
    """Segment 1 in slices 1 to 4, with none in slice 3; segment 2 in slice 5, or within 1."""
    one, two = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    one[1:5, 2:6, 3:9] = True
    one[3] = False
    two[5, 4:8, 1:4] = True
    if overlap:
        two[4, 3:5, 4:6] = True
    return {1: one, 2: two}


def in_patient(voxels: np.ndarray, geometry: Geometry, value: int) -> np.ndarray:
    """The places of a label in mm, in an order of their own."""
    places = geometry.to_patient_mm(np.argwhere(voxels == value).astype(float))
    return places[np.lexsort(np.round(places, 3).T)]


@pytest.mark.parametrize("grid", [oblique(), Geometry.from_spacing(SHAPE, (2.0, 1.0, 0.5))])
def test_segments_lie_where_they_were_drawn_with_names_and_colours(
    tmp_path: Path, grid: Geometry
) -> None:
    drawn = masks()
    (one,) = read_segmentation(made.write(tmp_path / "seg.dcm", grid, drawn))
    assert dict(one.names) == {1: "Liver", 2: "Lesion"}
    for value in (1, 2):
        expected = in_patient(drawn[value], grid, True)
        found = in_patient(one.volume.voxels, one.volume.geometry, value)
        assert np.allclose(found, expected, atol=2e-3)
    for value, colour in ((1, (255, 0, 0)), (2, (0, 255, 0))):
        shown = one.colours[value]
        assert np.abs(np.array([int(shown[k : k + 2], 16) for k in (1, 3, 5)]) - colour).max() < 8
    assert one.volume.info.frame_of_reference_uid == "1.2.826.0.1.9"


def test_segments_that_overlap_lie_in_maps_of_their_own_and_none_is_lost(tmp_path: Path) -> None:
    grid, drawn = Geometry.from_spacing(SHAPE, (2.0, 1.0, 0.5)), masks(overlap=True)
    first, second = read_segmentation(made.write(tmp_path / "seg.dcm", grid, drawn))
    for value in (1, 2):
        counts = [int((one.volume.voxels == value).sum()) for one in (first, second)]
        assert sorted(counts) == [0, int(drawn[value].sum())]


def test_fractions_count_from_half_on_and_label_maps_by_their_numbers(tmp_path: Path) -> None:
    grid = Geometry.from_spacing(SHAPE, (2.0, 1.0, 0.5))
    shares = np.zeros(SHAPE, np.uint8)
    shares[2, 2, 2:5] = (127, 128, 255)
    path = made.write(tmp_path / "f.dcm", grid, {1: shares}, kind="FRACTIONAL")
    (one,) = read_segmentation(path)
    assert (one.volume.voxels == 1).sum() == 2
    assert "half" in one.volume.warnings[0]
    numbers = np.where(masks()[1], 1, 0) + np.where(masks()[2], 2, 0)
    path = made.write(tmp_path / "m.dcm", grid, {0: numbers}, kind="LABELMAP")
    assert segmentation.is_segmentation(path)
    (one,) = read_segmentation(path)
    assert [int((one.volume.voxels == k).sum()) for k in (1, 2)] == [
        int(masks()[k].sum()) for k in (1, 2)
    ]


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
@pytest.mark.parametrize("kind", ["FRACTIONAL", "LABELMAP"])
def test_compressed_frames_are_decoded_by_a_process_of_their_own(
    tmp_path: Path, kind: str, syntax: UID, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = Geometry.from_spacing(SHAPE, (2.0, 1.0, 0.5))
    drawn = masks()
    segments = {0: drawn[1] + 2 * drawn[2]} if kind == "LABELMAP" else {1: 255 * drawn[1]}
    path = made.write(tmp_path / "seg.dcm", grid, segments, kind=kind)
    (expected,) = read_segmentation(path)
    dataset = pydicom.dcmread(path)
    dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(path)
    monkeypatch.setattr(pydicom.pixels.decoders.base.Decoder, "iter_array", None)
    monkeypatch.setattr(pydicom.pixels.decoders.base.Decoder, "as_array", None)
    (found,) = read_segmentation(path)
    assert np.array_equal(found.volume.voxels, expected.volume.voxels)
    whole = pydicom.dcmread(path)
    whole.PixelData = whole.PixelData[: len(whole.PixelData) // 2]
    whole.save_as(path)
    with pytest.raises(ImageReadError, match=r"seg\.dcm"):
        read_segmentation(path)


def test_segments_that_memory_cannot_hold_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made.write(tmp_path / "seg.dcm", Geometry.from_spacing(SHAPE, (2.0, 1.0, 0.5)), masks())
    monkeypatch.setattr(bounds, "free_bytes", lambda: 1000)
    with pytest.raises(ResourceError, match=r"seg\.dcm"):
        read_segmentation(path)


def test_white_black_and_grey_keep_their_colour() -> None:
    assert srgb_of((65535, 32896, 32896)) == "#ffffff"
    assert srgb_of((0, 32896, 32896)) == "#000000"
    middle = int(srgb_of((35000, 32896, 32896))[1:3], 16)
    assert abs(middle - 127) < 4


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"PixelData": b"\0\0"}, "its pixels end early"),
        ({"SharedFunctionalGroupsSequence": []}, "no orientation"),
        ({"PerFrameFunctionalGroupsSequence": []}, "it has no frames"),
        ({"Rows": None}, "one of its elements is damaged"),
        ({"BitsAllocated": 32}, "32 bits a voxel"),
        ({"PixelData": b"\0" * 4000}, "no voxel belongs"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    grid = Geometry.from_spacing(SHAPE, (2.0, 1.0, 0.5))
    path = made.write(tmp_path / "seg.dcm", grid, masks(), **changes)
    with pytest.raises(ImageReadError, match=re.escape(words)) as refused:
        read_segmentation(path)
    assert "seg.dcm" in str(refused.value)


def test_frames_at_uneven_distances_are_refused(tmp_path: Path) -> None:
    grid = Geometry.from_spacing(SHAPE, (2.0, 1.0, 0.5))
    path = made.write(tmp_path / "seg.dcm", grid, masks())
    dataset = pydicom.dcmread(path)
    frame = dataset.PerFrameFunctionalGroupsSequence[1]
    frame.PlanePositionSequence[0].ImagePositionPatient[2] += 0.77
    dataset.save_as(path)
    with pytest.raises(ImageReadError, match="even distances"):
        read_segmentation(path)


def test_what_highdicom_writes_is_read_the_same(tmp_path: Path) -> None:
    highdicom = pytest.importorskip("highdicom")
    from pydicom.sr.codedict import codes

    from med2e3.io import write_dicom_series
    from med2e3.volume import Volume

    grid = Geometry.from_spacing(SHAPE, (2.0, 1.0, 0.5))
    files = write_dicom_series(Volume(np.zeros(SHAPE, np.int16), grid), tmp_path / "ct", seed="s")
    del files
    images = [pydicom.dcmread(file) for file in sorted((tmp_path / "ct").glob("*.dcm"))]
    described = highdicom.seg.SegmentDescription(
        segment_number=1, segment_label="Liver",
        segmented_property_category=codes.SCT.Organ, segmented_property_type=codes.SCT.Liver,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
    )  # fmt: skip
    drawn = masks()[1]
    depths = grid.to_patient_mm(np.array([[k, 0, 0] for k in range(SHAPE[0])], float))[:, 2]
    found = np.array([float(one.ImagePositionPatient[2]) for one in images])
    order = [int(np.argmin(np.abs(found - z))) for z in depths]
    written = highdicom.seg.Segmentation(
        source_images=[images[k] for k in order], pixel_array=drawn.astype(np.uint8),
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[described], series_instance_uid=highdicom.UID(), series_number=9,
        sop_instance_uid=highdicom.UID(), instance_number=1, manufacturer="m",
        manufacturer_model_name="n", software_versions="1", device_serial_number="2",
    )  # fmt: skip
    written.save_as(tmp_path / "seg.dcm")
    (one,) = read_segmentation(tmp_path / "seg.dcm")
    expected = in_patient(drawn, grid, True)
    assert np.allclose(in_patient(one.volume.voxels, one.volume.geometry, 1), expected, atol=2e-3)
    assert one.names[1] == "Liver"


def test_the_list_names_segmentations_and_structure_sets(tmp_path: Path) -> None:
    grid = Geometry.from_spacing(SHAPE, (2.0, 1.0, 0.5))
    path = made.write(tmp_path / "seg.dcm", grid, masks())
    dataset = pydicom.dcmread(path)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = segmentation.STRUCTURE_SET
    dataset.Modality, dataset.SOPInstanceUID = "RTSTRUCT", "1.2.826.0.1.99"
    del dataset.PixelData
    dataset.save_as(tmp_path / "structures.dcm")
    assert segmentation.is_structure_set(tmp_path / "structures.dcm")
    kinds = {one.path.name: one.kind for one in open_source(tmp_path).skipped}
    assert kinds == {"seg.dcm": "segmentation", "structures.dcm": "RT structure set"}
