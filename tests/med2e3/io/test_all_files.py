"""Every file of a place that is looked through is shown by a volume or named as left out, once."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
    SegmentationStorage,
    generate_uid,
)

from med2e3.io import open_source
from tests.med2e3.io.mixed import add, body, kernel, mixed


def each(change: Callable[[pydicom.Dataset, int], Any]) -> Callable[[Path], object]:
    return lambda folder: add(folder, "s", body(), change)


def tripled(folder: Path) -> None:
    """A stack of which one image lies there three times under its own name."""
    paths = add(folder, "s", body())
    for k in range(2):
        shutil.copy(paths[4], folder / f"again{k}.dcm")


def repeated(folder: Path) -> None:
    """Two positions were imaged again later."""
    paths = add(folder, "s", body(), lambda d, _k: setattr(d, "AcquisitionNumber", 1))
    for k in (3, 4):
        dataset = pydicom.dcmread(paths[k])
        dataset.AcquisitionNumber, dataset.SOPInstanceUID = 2, generate_uid()
        dataset.PixelData = b"\7\0" * (32 * 28)
        dataset.save_as(folder / f"later{k}.dcm")


def directory(folder: Path) -> None:
    """A table of contents among the images of a folder, and one under another name."""
    add(folder, "s", body())
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.DirectoryRecordSequence = []
    for name in ("DICOMDIR", "contents.dcm"):
        dataset.save_as(folder / name, enforce_file_format=True)


def segmentation(folder: Path) -> None:
    paths = add(folder, "s", body())
    dataset = pydicom.dcmread(paths[0])
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SegmentationStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.save_as(folder / "seg.dcm")


def two_in_one(folder: Path) -> None:
    """An enhanced file of which some frames form a volume, and others are single images."""
    classic = [pydicom.dcmread(p) for p in add(folder, "s", body())]
    dataset, frames = classic[0].copy(), []
    for k, one in enumerate(classic):
        frame = pydicom.Dataset()
        for sequence, keywords in (
            ("PlanePositionSequence", ("ImagePositionPatient",)),
            ("PlaneOrientationSequence", ("ImageOrientationPatient",)),
            ("PixelMeasuresSequence", ("PixelSpacing", "SliceThickness")),
        ):
            item = pydicom.Dataset()
            for keyword in keywords:
                item[keyword] = one[keyword]
            setattr(frame, sequence, [item])
        if k == 5:
            frame.PixelMeasuresSequence[0].SliceThickness = 9
        frames.append(frame)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(dataset, keyword)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    dataset.NumberOfFrames, dataset.PerFrameFunctionalGroupsSequence = len(frames), frames
    dataset.PixelData = b"".join(one.PixelData for one in classic)
    dataset.SeriesInstanceUID = "1.2.3"
    dataset.save_as(folder / "all.dcm")


def strangers(folder: Path) -> None:
    add(folder, "s", body())
    (folder / "viewer.exe").write_bytes(b"MZ")
    (folder / "empty").touch()
    (folder / "letter.txt").write_text("hello", encoding="utf-8")
    np.save(folder / "mask.npy", np.zeros((3, 4, 5), np.uint8))
    (folder / "cut.dcm").write_bytes((folder / "s_003.dcm").read_bytes()[:700])


PLACES: dict[str, Callable[[Path], object]] = {
    "mixed": mixed,
    "copies": tripled,
    "repeats": repeated,
    "tables of contents": directory,
    "a segmentation": segmentation,
    "a file that is half a volume": two_in_one,
    "strangers": strangers,
    "no places": each(lambda d, _k: delattr(d, "ImagePositionPatient")),
    "colours": each(lambda d, _k: setattr(d, "PhotometricInterpretation", "PALETTE COLOR")),
    "one odd kernel": each(lambda d, k: kernel("B70f" if k == 5 else "B30f")(d, k)),
    "one odd size": each(lambda d, k: setattr(d, "Rows", 16 if k == 5 else 32)),
    "a series each": each(lambda d, _k: setattr(d, "SeriesInstanceUID", generate_uid())),
    "an unknown syntax": each(
        lambda d, k: setattr(d.file_meta, "TransferSyntaxUID", "1.2.3") if k == 5 else None
    ),
    "one damaged header": each(lambda d, k: setattr(d, "HighBit", 60000) if k == 5 else None),
    "no pixels": each(lambda d, k: delattr(d, "PixelData") if k == 5 else None),
    "a map": each(lambda d, k: setattr(d, "Modality", "MR" if k < 6 else "CT")),
}


@pytest.mark.parametrize("place", list(PLACES))
def test_each_file_is_in_one_of_the_two(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "place"
    folder.mkdir()
    PLACES[place](folder)
    source = open_source(folder)
    shown = {file for s in source.series if s.is_volume for file in s.files}
    left = Counter(one.path for one in source.skipped)
    assert set(left.values()) <= {1}, "a file is left out twice"
    assert shown.isdisjoint(left), "a file is shown and left out"
    assert sorted(shown | set(left)) == sorted(p for p in folder.rglob("*") if p.is_file())
    assert all(one.kind and one.reason for one in source.skipped)
