"""CT-RATE and 3D-RAD made tiny go through the command: HU, spacing, labels, figures."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

import med2e3
from med2e3.cli import main
from med2e3.errors import InputError
from med2e3.evaluation.clinical import LABELS
from med2e3.evaluation.ct_rate_files import (
    METADATA_COLUMNS,
    case_of,
    choice_right,
    open_ct_rate,
    open_volumes,
    read_questions,
    read_reports,
    stem,
)
from med2e3.evaluation.rad3d_files import read_rad3d
from med2e3.volume import Volume

from .test_clinical import radbert as radbert  # the same tiny classifier

NAMES = ("valid_1_a_1.nii.gz", "valid_1_a_2.nii.gz", "valid_2_a_1.nii.gz")
FINDINGS = ("A nodule in the left lung.", "A nodule in the left lung.", "No effusion.")


def write_csv(path: Path, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def place_of(folder: Path, name: str, kind: str = "valid") -> Path:
    patient, scan, _ = name.split(".")[0].rsplit("_", 2)
    path = folder / "dataset" / kind / patient / f"{patient}_{scan}" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write_volume(path: Path, stored: np.ndarray, **header: Any) -> None:
    image = nibabel.Nifti1Image(stored, np.diag([1.0, 1.0, 1.0, 1.0]))
    image.header.set_slope_inter(header.get("slope", 1), header.get("inter", 0))
    nibabel.save(image, path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The hub's folder: reports, labels and metadata of two splits, three volumes, questions."""
    root = tmp_path / "CT-RATE"
    rng = np.random.default_rng(0)
    for name in NAMES:
        stored = rng.integers(0, 2000, (24, 20, 10)).astype(np.int16)
        write_volume(place_of(root, name), stored)
    reports = root / "dataset/radiology_text_reports"
    columns = ("VolumeName", "ClinicalInformation_EN", "Findings_EN", "Impressions_EN")
    rows = [(n, "x", f, "x") for n, f in zip(NAMES, FINDINGS, strict=True)]
    write_csv(reports / "validation_reports.csv", columns, rows)
    write_csv(reports / "train_reports.csv", columns, [("train_1_a_1.nii.gz", "x", "y", "z")])
    labels = root / "dataset/multi_abnormality_labels"
    marks = [(n, *(int(k == j) for k in range(18))) for j, n in enumerate(NAMES)]
    write_csv(labels / "valid_predicted_labels.csv", ("VolumeName", *LABELS), marks)
    metadata = root / "dataset/metadata"
    said = [(n, 1, -1024, "[0.5, 0.25]", 2.0) for n in NAMES]
    write_csv(metadata / "validation_metadata.csv", METADATA_COLUMNS, said)
    talk = [
        {"id": "1", "image": NAMES[0], "conversations": [
            {"from": "human", "value": "<image>\nWhere?<short_answer>", "type": "short_answer"},
            {"from": "gpt", "value": "Left lung."}]},
        {"id": "2", "image": NAMES[2], "conversations": [
            {"from": "human", "value": "Which? (a) nodule (b) effusion", "type": "multiple_choice"},
            {"from": "gpt", "value": "(a) nodule"}]},
        {"id": "3", "image": "valid_9_a_1.nii.gz", "conversations": []},
    ]  # fmt: skip
    (root / "dataset/vqa").mkdir()
    (root / "dataset/vqa/valid_vqa.json").write_text(json.dumps(talk), encoding="utf-8")
    return root


def test_hu_and_spacing_are_those_of_the_metadata(folder: Path) -> None:
    data = open_ct_rate(folder)
    first = read_reports(data).items[0]
    assert (first.id, first.truth, first.case) == (NAMES[0], FINDINGS[0], "valid_1_a")
    assert first.labels == (1, *[0] * 17)
    volume = first.reading.load(first.image)
    assert isinstance(volume, Volume)
    stored = np.asarray(nibabel.load(first.image).dataobj)
    np.testing.assert_array_equal(volume.voxels, stored.T - 1024.0)
    lengths = np.linalg.norm(volume.geometry.affine_lps[:3, :3], axis=0)
    np.testing.assert_allclose(lengths, [2.0, 0.5, 0.25])
    assert first.reading.grey() == med2e3.Window(-400, 1200)
    assert open_ct_rate(folder, window=(40, 400)).window == (40, 400)


def test_corrected_volumes_are_read_as_they_are(folder: Path) -> None:
    stored = np.full((4, 4, 4), 7, np.int16)
    stored[0] = 9
    write_volume(place_of(folder, NAMES[0], "valid_fixed"), stored, slope=2, inter=-10)
    item = read_reports(open_ct_rate(folder)).items[0]
    assert "valid_fixed" in str(item.image)
    volume = item.reading.load(item.image)
    assert isinstance(volume, Volume)
    assert volume.value_range == (4, 8)


def test_two_scalings_that_contradict_are_refused(folder: Path) -> None:
    write_volume(place_of(folder, NAMES[0]), np.ones((4, 4, 4), np.int16), slope=2, inter=5)
    item = read_reports(open_ct_rate(folder)).items[0]
    with pytest.raises(InputError, match=r"states slope and intercept \(2\.0, 5\.0\)"):
        item.reading.load(item.image)


def test_what_is_missing_is_named_and_skipped(folder: Path) -> None:
    place_of(folder, NAMES[1]).unlink()
    listed = read_reports(open_ct_rate(folder))
    assert [item.row for item in listed.items] == [1, 3]
    assert listed.skipped[0].endswith(f"row 2: the volume {NAMES[1]} is not below the folder.")
    asked = read_questions(open_ct_rate(folder))
    assert [(i.topic, i.prompt, i.truth) for i in asked.items] == [
        ("short answer", "Where?", "Left lung."),
        ("choice", "Which? (a) nodule (b) effusion", "(a) nodule"),
    ]
    assert "entry 3: the volume valid_9_a_1.nii.gz" in asked.skipped[0]
    with pytest.raises(InputError, match=r"no list of reports \(columns VolumeName, Findings_EN\)"):
        open_ct_rate(folder / "dataset/valid")
    (folder / "dataset/metadata/validation_metadata.csv").unlink()
    with pytest.raises(InputError, match=r"No row of .* metadata have no row for valid_1_a_1"):
        read_reports(open_ct_rate(folder))
    labels = folder / "dataset/multi_abnormality_labels/valid_predicted_labels.csv"
    write_csv(labels, ("VolumeName", *LABELS), [(NAMES[0], "NA", *[0] * 17)])
    with pytest.raises(InputError, match="row 1: a label is no 0 or 1"):
        open_ct_rate(folder)


def test_names_and_choices() -> None:
    assert stem("dataset/valid/test_10_b_2.nii.gz") == "valid_10_b_2"
    assert case_of("valid_10_b_2.nii.gz") == "valid_10_b"
    assert choice_right("It is (a).", "(a) nodule") is True
    assert choice_right("(b) (c)", "(a) nodule (b)") is False
    assert choice_right("(b)", "nodule") is None


def test_the_command_measures_reports_questions_and_labels(
    folder: Path, tiny_folder: Callable[..., Path], radbert: Path,
    capsys: pytest.CaptureFixture[str], tmp_path: Path,
) -> None:  # fmt: skip
    model, said = tiny_folder(score_norm="layer_norm"), tmp_path / "said.jsonl"
    words = [
        "evaluate", model, "--ct-rate", folder, "--radbert", radbert, "--max-new-tokens", 4,
        "--predictions", said, "--device", "cpu",
    ]  # fmt: skip
    assert main([*map(str, words), "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert (results["questions"], results["volumes"], results["cases"]) == (5, 3, 2)
    figures = results["figures"]
    for name in (
        "CRG",
        "labels, macro F1",
        "labels, micro F1",
        "labels, weighted F1",
        "rare labels, recall",
        "reports, distinct",
        "reports, commonest one",
        "open report, ROUGE-L",
        "open short answer, BLEU-1",
        "choice (published rule)",
    ):
        if name != "rare labels, recall":  # of three reports no label is rare
            assert name in figures, name
    assert figures["open report, BLEU-1"]["chance"] is not None
    assert "stated slope" not in results["notes"]
    assert any("window -400/1200 HU" in note for note in results["notes"])
    assert len(results["skipped"]) == 1
    assert main(["evaluate", "--recount", str(said), "--radbert", str(radbert), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["figures"] == figures
    assert main([*map(str, words[:4]), "--max-new-tokens", "4", "--hub", str(tmp_path)]) == 0
    assert "Labels of reports (F1, CRG): not computed" in capsys.readouterr().out


RAD3D = ("Task", "Subtask", "VolumeName", "Question", "Answer", "QuestionType", "AnswerChoice")


@pytest.fixture
def rad3d(tmp_path: Path) -> Path:
    """Six tables, closed ones with choices, in the published columns."""
    root = tmp_path / "3DRAD"
    name = NAMES[0].replace("valid", "test")
    choices = tuple(f"Choice {a}" for a in "ABCD")
    for task in range(1, 7):
        closed = task > 3
        rows: list[tuple[Any, ...]] = [(task, 1, name, f"Q{task}?", "Yes", "Close", "A")]
        rows = [(*rows[0], "Yes", "No", "-", "-")] if closed else [
            (task, 1, name, f"Q{task}?", "In the lung.", "Open", "")
        ]  # fmt: skip
        columns = (*RAD3D, *choices) if closed else RAD3D
        write_csv(root / f"test/Task{task}/x.csv", columns, rows)
    return root


def test_3d_rad_is_asked_as_published(folder: Path, rad3d: Path) -> None:
    listed = read_rad3d(rad3d, open_volumes(folder))
    assert [i.topic for i in listed.items] == [
        "image observation", "anomaly detection", "medical computation", "existence detection",
        "static temporal", "longitudinal temporal",
    ]  # fmt: skip
    opened, closed = listed.items[0], listed.items[3]
    assert (opened.prompt, opened.letter) == ("Q1?\nAnswer:", "")
    assert closed.prompt == "Q4?\nChoices: A. Yes B. No C. - D. -\nAnswer:"
    assert (closed.truth, closed.letter, closed.choices) == ("A. Yes", "A", 2)
    assert closed.image.name == NAMES[0]
    assert all(i.spaced for i in listed.items)


def test_3d_rad_goes_through_the_command(
    folder: Path, rad3d: Path, tiny_folder: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    bad = rad3d / "test/Task7/y.csv"
    write_csv(bad, (*RAD3D, "Choice A"), [(4, 1, NAMES[0], "Q?", "Yes", "Close", "B", "Yes")])
    model = tiny_folder(score_norm="layer_norm")
    words = ["evaluate", model, "--rad3d", rad3d, "--images", folder, "--max-new-tokens", 3]
    assert main([*map(str, words), "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert results["questions"] == 6
    assert "closed longitudinal temporal" in results["figures"]
    assert results["figures"]["closed existence detection"]["chance"] == 0.5
    assert "the answer choice is 'B'" in results["skipped"][0]
    assert main([*map(str, words[:3]), str(folder)]) == 1
    assert "has no table with the columns" in capsys.readouterr().err
