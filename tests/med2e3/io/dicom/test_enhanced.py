"""Enhanced CT: many frames in one file, each with its own place (PS3.3 A.38)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage, JPEG2000Lossless

from med2e3.errors import ImageReadError
from med2e3.io import list_series, load_volume
from med2e3.volume import Volume, Window

Write = Callable[..., Path]


def item(sequence: str, **attributes: Any) -> tuple[str, list[Dataset]]:
    content = Dataset()
    for keyword, value in attributes.items():
        setattr(content, keyword, value)
    return sequence, [content]


def groups(*items: tuple[str, list[Dataset]]) -> Dataset:
    dataset = Dataset()
    for sequence, content in items:
        setattr(dataset, sequence, content)
    return dataset


def enhanced(series: Write, order: list[int], times: int = 1, **per_frame: Any) -> pydicom.Dataset:
    """The ramp as one file, its slices in `order`; later times hold the same plus 1000."""
    classic = [pydicom.dcmread(p) for p in sorted(series().iterdir())]
    dataset = pydicom.dcmread(sorted(series().iterdir())[0])
    shared = groups(
        item("PixelMeasuresSequence", PixelSpacing=dataset.PixelSpacing, SliceThickness=9),
        item("PlaneOrientationSequence", ImageOrientationPatient=dataset.ImageOrientationPatient),
        item("PixelValueTransformationSequence", RescaleSlope=1, RescaleIntercept=0),
    )
    frames, pixels = [], []
    for time in range(times):
        for k in order:
            position = item(
                "PlanePositionSequence", ImagePositionPatient=classic[k].ImagePositionPatient
            )
            content = item("FrameContentSequence", TemporalPositionIndex=time + 1)
            own = {name: value(k) for name, value in per_frame.items()}
            frames.append(groups(position, content, *(
                item(name, **value) for name, value in own.items())))  # fmt: skip
            pixels.append(classic[k].pixel_array + 1000 * time)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
                    "RescaleSlope", "RescaleIntercept"):  # fmt: skip
        delattr(dataset, keyword)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    dataset.NumberOfFrames = len(frames)
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = frames
    dataset.PixelData = np.stack(pixels).astype(np.int16).tobytes()
    return dataset


@pytest.mark.parametrize("compressed", [False, True])
def test_frames_are_sorted_by_their_place(
    series: Write, volume: Volume, tmp_path: Path, compressed: bool
) -> None:
    order = [3, 0, 5, 1, 4, 2]
    if compressed:
        volume = Volume(np.tile(volume.voxels, (1, 13, 16)), volume.geometry.cropped(
            (0, 0, 0), (6, 65, 64)), volume.info)  # fmt: skip
    dataset = enhanced(lambda: series(of=volume), order)
    path = tmp_path / "enhanced" / "all.dcm"
    path.parent.mkdir()
    if compressed:
        dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    dataset.save_as(path)
    loaded = load_volume(path)
    np.testing.assert_array_equal(loaded.voxels, volume.voxels)
    np.testing.assert_allclose(loaded.geometry.affine_lps, volume.geometry.affine_lps, atol=1e-9)
    assert loaded.slice_uids == (str(dataset.SOPInstanceUID),) * 6


def test_a_frames_own_rescale_goes_before_the_shared_one(
    series: Write, volume: Volume, tmp_path: Path
) -> None:
    dataset = enhanced(
        series, list(range(6)),
        PixelValueTransformationSequence=lambda k: {"RescaleSlope": 2, "RescaleIntercept": -k},
    )  # fmt: skip
    dataset.save_as(tmp_path / "a.dcm")
    expected = volume.voxels * 2 - np.arange(6)[:, None, None]
    np.testing.assert_array_equal(load_volume(tmp_path / "a.dcm").voxels, expected)


def test_windows_are_those_of_the_first_frame(series: Write, tmp_path: Path) -> None:
    dataset = enhanced(
        series, list(range(6)),
        FrameVOILUTSequence=lambda k: {"WindowCenter": [50, -600 - k], "WindowWidth": [350, 1500]},
    )  # fmt: skip
    dataset.save_as(tmp_path / "a.dcm")
    windows = load_volume(tmp_path / "a.dcm").info.windows
    assert windows == (Window(50, 350), Window(-600, 1500))


def test_a_perfusion_run_becomes_one_volume_a_time(
    series: Write, volume: Volume, tmp_path: Path
) -> None:
    enhanced(series, list(range(6)), times=3).save_as(tmp_path / "a.dcm")
    summaries = list_series(tmp_path / "a.dcm")
    assert [s.part for s in summaries] == ["time 1", "time 2", "time 3"]
    third = load_volume(tmp_path / "a.dcm", series=summaries[2])
    np.testing.assert_array_equal(third.voxels, volume.voxels + 2000)


def test_frames_without_places_are_no_volume(series: Write, tmp_path: Path) -> None:
    dataset = enhanced(series, list(range(6)))
    del dataset.PerFrameFunctionalGroupsSequence
    dataset.save_as(tmp_path / "a.dcm")
    with pytest.raises(ImageReadError, match="6 frames in one file"):
        load_volume(tmp_path / "a.dcm")


def test_a_truncated_file_is_named(series: Write, tmp_path: Path) -> None:
    enhanced(series, list(range(6))).save_as(tmp_path / "a.dcm")
    (tmp_path / "a.dcm").write_bytes((tmp_path / "a.dcm").read_bytes()[:-30])
    with pytest.raises(ImageReadError, match=r"a\.dcm: the file ends after"):
        load_volume(tmp_path / "a.dcm")
