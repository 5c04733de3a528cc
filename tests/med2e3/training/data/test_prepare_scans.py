"""DICOM and NIfTI folders become prepared volumes, masks and texts, in one window for all."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from med2e3.errors import InputError
from med2e3.geometry import Geometry, Plane
from med2e3.io.write import write_dicom_series, write_nifti
from med2e3.preprocessing import prepare
from med2e3.training.data.pointers import Pointer, held_slices
from med2e3.training.data.prepare_scans import Prepared, prepare_scans, read_prepared, window_of
from med2e3.training.data.samples import read_volume
from med2e3.volume import SeriesInfo, Volume, Window

GRID = (8, 16, 16)
SETTINGS = Prepared(Window(40, 400), Plane.AXIAL, GRID)


def scan(value: float = 60.0, **info: Any) -> Volume:
    """A bright block in air, 24 slices of 20 × 18; its first four and last two slices are air."""
    voxels = np.full((24, 20, 18), -1000, np.int16)
    voxels[4:22, 3:17, 2:15] = value
    voxels[10, 8:12, 6:10] = 200
    geometry = Geometry(voxels.shape, np.diag([2.0, 2.0, 2.5, 1.0])[:, [2, 1, 0, 3]])
    return Volume(voxels, geometry, SeriesInfo(modality="CT", **info))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A NIfTI with text and mask, and a DICOM series in a folder of its own."""
    folder = tmp_path / "in"
    (folder / "case").mkdir(parents=True)
    volume = scan()
    write_nifti(volume, folder / "case" / "scan.nii.gz")
    mask = np.zeros(volume.shape, np.int16)
    mask[10, 8:12, 6:10] = 1
    write_nifti(replace(volume, voxels=mask), folder / "case" / "scan_mask.nii.gz")
    (folder / "case" / "scan.txt").write_text("study_findings: A cyst.\n", encoding="utf-8")
    write_dicom_series(
        scan(80.0, series_number="3", series_description="Thin / soft"), folder / "dicom" / "s"
    )
    return folder


def test_each_volume_is_what_a_model_would_be_shown(source: Path, tmp_path: Path) -> None:
    outcomes = prepare_scans(source, tmp_path / "out", SETTINGS)
    assert [(o.image, o.made, o.problems) for o in outcomes] == [
        ("case/scan.npy", True, ()), ("dicom/s/3_Thin_soft.npy", True, ()),
    ]  # fmt: skip
    for outcome, value in zip(outcomes, (60.0, 80.0), strict=True):
        shown = prepare(scan(value), GRID, plane=Plane.AXIAL, window=Window(40, 400)).grid
        read = read_volume(tmp_path / "out" / outcome.image, GRID, "here")
        assert float((read - shown).abs().max()) < 2e-6, "and readers cut nothing away"
    assert read_prepared(tmp_path / "out") == SETTINGS


def test_mask_and_text_come_with_their_volume(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare_scans(source, out, SETTINGS)
    rows = json.loads((out / "M3D_Cap.json").read_text(encoding="utf-8"))["train"]
    assert rows == [
        {"image": "case/scan.npy", "text": "case/scan.txt", "mask": "case/scan_mask.npy"}
    ]
    assert (out / "case/scan.txt").read_text(encoding="utf-8") == "A cyst."
    image, mask = (np.load(out / "case" / name)[0] for name in ("scan.npy", "scan_mask.npy"))
    assert mask.dtype == bool
    assert image.shape == mask.shape == GRID
    brightest = int(image.max(axis=(1, 2)).argmax())
    found = held_slices(Pointer(mask=out / "case/scan_mask.npy"), out / "case/scan.npy", GRID, "x")
    assert bool(found[brightest])
    assert int(found.sum()) <= 2


def test_what_is_there_is_kept_and_another_window_is_refused(
    source: Path, tmp_path: Path
) -> None:  # fmt: skip
    prepare_scans(source, tmp_path / "out", SETTINGS)
    again = prepare_scans(source, tmp_path / "out", SETTINGS)
    assert not any(outcome.made or outcome.failed for outcome in again)
    lung = replace(SETTINGS, window=Window(-600, 1500))
    with pytest.raises(InputError, match=r"as W400 L40, axial.* would be as W1500 L-600"):
        prepare_scans(source, tmp_path / "out", lung)


def test_what_cannot_be_used_is_told_by_its_name(source: Path, tmp_path: Path) -> None:
    smaller = scan()
    smaller = replace(
        smaller, voxels=np.ones((4, 4, 4), np.int16),
        geometry=Geometry((4, 4, 4), smaller.geometry.affine_lps),
    )  # fmt: skip
    write_nifti(smaller, source / "case" / "scan_mask.nii.gz")
    (source / "broken.nii.gz").write_bytes(b"nothing")
    outcomes = prepare_scans(source, tmp_path / "out", SETTINGS)
    said = [problem for outcome in outcomes if outcome.failed for problem in outcome.problems]
    assert len(said) == 2
    assert "broken.nii.gz" in said[0]
    assert "scan.nii.gz: its mask is 4 × 4 × 4 voxels" in said[1]
    assert not (tmp_path / "out" / "case" / "scan.npy").exists()


def test_one_window_for_all_is_a_window(source: Path) -> None:
    assert window_of("lung") == Window(-600, 1500)
    assert window_of("W400 L40") == Window(40, 400)
    assert window_of("min-max") is None
    with pytest.raises(InputError, match="another window for each volume"):
        window_of("Full range")
    with pytest.raises(InputError, match="There is no window"):
        window_of("bright")


def test_the_command_says_what_all_were_prepared_as(
    source: Path, tmp_path: Path, capsys: Any
) -> None:
    from med2e3.cli import main

    out = str(tmp_path / "out")
    command = ["data", "prepare", str(source), out, "--grid", "8", "16", "16"]
    assert main(command) == 1
    assert "are prepared with --window" in capsys.readouterr().err
    assert main([*command, "--plane", "axial"]) == 2
    assert main([*command, "--window", "W400 L40", "--plane", "coronal"]) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(tmp_path / "out" / "M3D_Cap.json")
    assert "All volumes as W400 L40, coronal, 8 × 16 × 16" in said.err
    assert "2 series prepared, 0 were there, 0 failed" in said.err


def test_names_of_headers_lead_nowhere_else(
    tmp_path: Path, make_names: Callable[[str], str]
) -> None:
    for name in ("../../etc/passwd", "/abs", "", "…", "a\\..\\b"):
        made = make_names(name)
        assert made
        assert not set(made) & set("/\\.")


@pytest.fixture
def make_names() -> Callable[[str], str]:
    """The function that writes them."""
    from med2e3.training.data.prepare_scans import _safe

    return _safe
