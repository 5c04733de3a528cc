"""Every bad input gives one clear message on stderr, nothing on stdout, and exit code 1."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from med2e3.io.write import write_dicom_series


def refused(ran: object, *words: str) -> None:
    """The run failed with one message that holds these words, and printed no result."""
    assert ran.code == 1, ran  # type: ignore[attr-defined]
    assert ran.out == ""  # type: ignore[attr-defined]
    message = ran.err  # type: ignore[attr-defined]
    assert message.startswith("med2e3: ")
    assert message.count("\n") == 1, f"one message, not a traceback: {message}"
    for word in words:
        assert word.lower() in message.lower(), f"{word!r} is not in {message!r}"


def slices_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


def save_nifti(path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine), path)
    return path


def test_a_path_that_is_not_there(run: Callable, tmp_path: Path) -> None:
    refused(run("info", tmp_path / "nothing"), "nothing", "path")


def test_a_folder_with_no_images(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    refused(run("info", tmp_path), "no image")


def test_a_text_file_renamed_dcm(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "scan.dcm").write_text("this is no image at all")
    refused(run("info", tmp_path / "scan.dcm"), "scan.dcm", "DICOM")


def test_a_truncated_slice(run: Callable, series_folder: Path) -> None:
    victim = slices_of(series_folder)[5]
    victim.write_bytes(victim.read_bytes()[:-300])
    refused(run("info", series_folder), victim.name)


def test_a_series_with_one_slice_missing(run: Callable, series_folder: Path) -> None:
    slices_of(series_folder)[5].unlink()
    refused(run("info", series_folder), "6.00 mm", "3.00 mm", "missing")


def test_a_series_with_a_gap_opens_when_asked_to_and_says_so(
    run: Callable, series_folder: Path
) -> None:
    slices_of(series_folder)[5].unlink()
    facts = run("info", series_folder, "--resample-gaps", "--json").json
    assert facts["shape"][0] == 12
    assert any("resampled" in w or "interpolated" in w for w in facts["warnings"])


def test_a_series_with_one_slice_doubled(run: Callable, series_folder: Path) -> None:
    files = slices_of(series_folder)
    shutil.copy(files[4], series_folder / "copy.dcm")
    ran = run("info", series_folder, "--json")
    assert ran.code == 0
    assert ran.json["shape"][0] == 12
    assert any("copy.dcm" in w or "twice" in w or "same" in w for w in ran.json["warnings"])


def test_two_series_in_one_folder_open_the_larger_and_name_the_other(
    run: Callable, tmp_path: Path, make_volume: Callable
) -> None:
    write_dicom_series(make_volume(12, description="Large"), tmp_path / "a")
    write_dicom_series(make_volume(7, description="Small"), tmp_path / "b")
    facts = run("info", tmp_path, "--json").json
    assert facts["shape"][0] == 12
    assert any("Small" in warning for warning in facts["warnings"])
    assert "Small" in run("series", tmp_path).out


def test_a_series_that_does_not_exist(run: Callable, series_folder: Path) -> None:
    refused(run("info", series_folder, "--series", "99"), "99")


def test_a_2d_nifti(run: Callable, tmp_path: Path) -> None:
    path = save_nifti(tmp_path / "flat.nii", np.zeros((8, 9), np.int16))
    refused(run("info", path), "flat.nii", "(8, 9)")


def test_a_4d_nifti(run: Callable, tmp_path: Path) -> None:
    path = save_nifti(tmp_path / "time.nii", np.zeros((5, 6, 7, 3), np.int16))
    refused(run("info", path), "time.nii", "(5, 6, 7, 3)")


def test_a_flipped_nifti_keeps_every_voxel_in_its_place(run: Callable, tmp_path: Path) -> None:
    values = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    path = save_nifti(tmp_path / "flipped.nii", values, np.diag([-2.0, 1.0, -3.0, 1.0]))
    facts = run("info", path, "--json").json
    assert facts["plane"] == "axial"
    assert facts["spacing_mm"] == [3.0, 1.0, 2.0]


def test_an_oblique_nifti_says_so(run: Callable, tmp_path: Path) -> None:
    turn = np.radians(20)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    path = save_nifti(tmp_path / "oblique.nii", np.zeros((4, 5, 6), np.int16), affine)
    assert run("info", path, "--json").json["oblique"] is True


def test_nan_voxels_become_air_with_a_warning(run: Callable, tmp_path: Path) -> None:
    values = np.zeros((4, 5, 6), np.float32)
    values[0, 0, :3] = np.nan
    ran = run("info", save_nifti(tmp_path / "nan.nii", values), "--json")
    assert ran.code == 0
    assert ran.json["value_min"] == -1024
    assert any("3" in w and "NaN" in w for w in ran.json["warnings"])


def test_an_unreadable_checkpoint(run: Callable, series_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "config.json").write_text("{ this is no JSON")
    refused(run("ask", series_folder, "What?", "--model", folder), "config.json")


def test_a_model_that_is_not_there(run: Callable, series_folder: Path) -> None:
    refused(run("ask", series_folder, "What?", "--model", "no-such-model"), "no-such-model")


@pytest.mark.parametrize("question", ["", "   \n"])
def test_an_empty_question(run: Callable, series_folder: Path, question: str) -> None:
    refused(run("ask", series_folder, question), "empty")


def test_a_question_that_is_far_too_long(
    run: Callable, series_folder: Path, tiny_folder: Callable[..., Path]
) -> None:
    long = "Is there a nodule in the left lung? " * 200
    refused(run("ask", series_folder, long, "--model", tiny_folder()), "tokens", "fewer")


def test_a_window_that_does_not_exist(
    run: Callable, series_folder: Path, tiny_folder: Callable[..., Path]
) -> None:
    ran = run("ask", series_folder, "What?", "--model", tiny_folder(), "--window", "spleenish")
    refused(ran, "spleenish", "lung")
