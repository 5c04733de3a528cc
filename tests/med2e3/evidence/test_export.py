"""Evidence leaves the program whole: tables that say the same, images that lie in the patient."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import med2e3
from med2e3.errors import InputError, QuestionError, ResourceError
from med2e3.evidence.attention import attention_of
from med2e3.evidence.certainty import how_sure
from med2e3.evidence.export import COLUMNS, WRITERS, Collected, weight_volume, write_evidence
from med2e3.evidence.interventions import run_tests
from med2e3.evidence.leave_one_out import leave_one_out
from med2e3.geometry import Geometry, Plane
from med2e3.volume import Volume

QUESTION = "is there a nodule in the left lung ?"
OTHERS = ("which organ is the nodule in ?", "where is the nodule ?", "is there a kidney ?")
DCIODVFY = Path("/usr/bin/dciodvfy")


def collect(session: med2e3.Session, question: str = QUESTION) -> Collected:
    answer = session.ask(question, max_new_tokens=4)
    answer.complete()
    return Collected(
        session, answer, how_sure(session, answer),
        run_tests(session, answer, ["blank", "leave-out"]), leave_one_out(session, answer),
    )  # fmt: skip


@pytest.fixture(scope="module")
def two(tiny_session: med2e3.Session) -> list[Collected]:
    """Of two questions, both with an answer of some words."""
    others = (q for q in OTHERS if tiny_session.ask(q, max_new_tokens=1).complete())
    return [collect(tiny_session), collect(tiny_session, next(others))]


def check_object(said: dict[str, Any], one: Collected) -> None:
    """What every kind of table has to hold of an answer."""
    record = said["record"]
    assert record == json.loads(json.dumps(one.answer.record))
    assert record["input"]["grid_affine_lps"]
    assert record["input"]["crop_start"] == [2, 5, 5]
    assert record["prompt_ids"] == list(one.answer.prompt.ids)
    assert {"seed", "temperature"} <= set(record["decoding"])
    assert len(record["model"]["weights_sha256"]) == len(record["input"]["grid_sha256"]) == 64
    assert [t["test"] for t in said["tests"]] == ["blank", "leave-out"]
    assert said["certainty"]["probability"] == pytest.approx(one.certainty.probability)  # type: ignore[union-attr]


def test_csv_has_a_row_a_slice_and_the_whole_record(two: list[Collected], tmp_path: Path) -> None:
    write_evidence(two, tmp_path / "e.csv")
    with (tmp_path / "e.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 16
    scores = two[0].answer.scores
    assert scores is not None
    assert scores.logits is not None
    np.testing.assert_allclose([float(r["score"]) for r in rows[:8]], scores.values, rtol=1e-6)
    np.testing.assert_allclose([float(r["logit"]) for r in rows[:8]], scores.logits, rtol=1e-6)
    first = scores.bands[0]
    assert (float(rows[0]["from_mm"]), float(rows[0]["to_mm"])) == (first.from_mm, first.to_mm)
    a, b = first.source_slices
    assert rows[0]["sop_instance_uids"].split() == [f"1.2.826.3.{k}" for k in range(a, b + 1)]
    check_object(json.loads(rows[0]["object"]), two[0])
    check_object(json.loads(rows[8]["object"]), two[1])


def test_json_npz_and_parquet_say_the_same(two: list[Collected], tmp_path: Path) -> None:
    for ending in (".json", ".npz", ".parquet"):
        write_evidence(two, tmp_path / f"e{ending}")
    said = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))
    for found, one in zip(said, two, strict=True):
        check_object(found, one)
    with np.load(tmp_path / "e.npz", allow_pickle=False) as arrays:
        for text, one in zip(arrays["objects"], two, strict=True):
            check_object(json.loads(str(text)), one)
        scores = np.stack([one.answer.scores.values for one in two])  # type: ignore[union-attr]
        np.testing.assert_array_equal(arrays["scores"], scores)
        assert arrays["logits"].shape == (2, 8)
        np.testing.assert_allclose(scores, torch.tensor(arrays["logits"]).softmax(1), atol=1e-6)
        assert arrays["prompt_ids_1"].tolist() == list(two[1].answer.prompt.ids)
        assert arrays["limits_mm"].shape == (8, 2)
    from pyarrow import parquet

    table = parquet.read_table(tmp_path / "e.parquet").to_pylist()
    assert [row["score"] for row in table[:8]] == pytest.approx(scores[0].tolist())
    assert table[3]["sop_instance_uids"]
    check_object(json.loads(table[8]["object"]), two[1])


def test_attention_is_written_with_its_places_or_with_why_there_is_none(
    tiny_session: med2e3.Session, tmp_path: Path
) -> None:
    answer = tiny_session.ask(QUESTION, max_new_tokens=4)
    answer.complete()
    found = attention_of(tiny_session, answer)
    one = Collected(tiny_session, answer, attention=found)
    other = Collected(tiny_session, answer, no_attention="Made by the test.")
    for ending in (".json", ".npz"):
        write_evidence([one, other], tmp_path / f"a{ending}")
    first, second = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert first["attention"] == json.loads(json.dumps(found.as_dict()))
    assert second["attention"] == {"why_not": "Made by the test."}
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert arrays["attention_words_0"].tolist() == list(found.words)
        np.testing.assert_array_equal(arrays["attention_slices_0"][1], found.slices(1))
        np.testing.assert_array_equal(arrays["attention_volume_0"][1], found.volume(1))
        assert found.slices_grid is not None
        affine = arrays["attention_slices_affine_lps_0"]
        np.testing.assert_array_equal(affine, found.slices_grid.affine_lps)
        assert "attention_words_1" not in arrays


@pytest.mark.parametrize("plane", list(Plane))
def test_each_voxel_of_the_crop_has_the_weight_of_the_band_that_it_lies_in(
    plane: Plane, tiny: med2e3.Model, block: Any, tmp_path: Path
) -> None:
    session = tiny.read(block, plane=plane)
    one = collect(session)
    assert one.answer.scores is not None
    write_evidence([one], tmp_path / "w.nii.gz")
    import nibabel

    image = nibabel.load(tmp_path / "w.nii.gz")
    values = np.asarray(image.dataobj)
    np.testing.assert_allclose(values.T, weight_volume(session, one.answer).voxels, rtol=1e-6)
    axis = {Plane.AXIAL: 2, Plane.CORONAL: 1, Plane.SAGITTAL: 0}[plane]
    inside = 0
    for index in np.ndindex(*values.shape):
        if any(i % 3 for i in index) or values[index] == 0:
            continue
        mm = (image.affine @ (*index, 1))[:3] * (-1, -1, 1)  # RAS to LPS
        holding = [
            weight
            for band, weight in zip(one.answer.scores.bands, one.answer.scores.values, strict=True)
            if band.from_mm - 1e-3 <= mm[axis] <= band.to_mm + 1e-3
        ]
        assert any(values[index] == pytest.approx(float(w), rel=1e-5) for w in holding)
        inside += 1
    assert inside > 50
    k, i, j = (0, 0, 0)
    assert values[i, j, k] == 0, "outside the crop"


def test_a_volume_of_one_slice_holds_all_the_weight(tiny: med2e3.Model) -> None:
    voxels = np.full((1, 16, 16), 40, dtype=np.int16)
    geometry = Geometry.from_spacing(voxels.shape, (5.0, 1.0, 1.0))
    one = collect(tiny.read(Volume(voxels, geometry), window="soft tissue"))
    np.testing.assert_allclose(weight_volume(one.session, one.answer).voxels, 1, atol=1e-5)
    assert one.left_out is not None
    assert len(one.left_out.without) == 8


def test_the_parametric_map_lies_on_its_source_images(two: list[Collected], tmp_path: Path) -> None:
    import pydicom

    path = tmp_path / "w.dcm"
    write_evidence(two[:1], path)
    made = pydicom.dcmread(path)
    assert made.SOPClassUID.name == "Parametric Map Storage"
    volume = two[0].session.volume
    values = np.frombuffer(made.FloatPixelData, "<f4").reshape(20, 40, 40)
    weights = weight_volume(two[0].session, two[0].answer).voxels
    assert made.StudyInstanceUID == volume.info.study_uid
    referred = set()
    for frame, groups in enumerate(made.PerFrameFunctionalGroupsSequence):
        place = [float(v) for v in groups.PlanePositionSequence[0].ImagePositionPatient]
        (k,) = [
            k for k in range(20)
            if np.allclose(volume.geometry.to_patient_mm((float(k), 0, 0)), place, atol=1e-3)
        ]  # fmt: skip
        np.testing.assert_array_equal(values[frame], weights[k])
        source = groups.DerivationImageSequence[0].SourceImageSequence[0]
        assert source.ReferencedSOPInstanceUID == volume.slice_uids[k]
        referred.add(k)
    assert referred == set(range(20))


@pytest.mark.skipif(not DCIODVFY.exists(), reason="needs dciodvfy, which checks DICOM files")
def test_the_parametric_map_is_clean_dicom(two: list[Collected], tmp_path: Path) -> None:
    path = tmp_path / "w.dcm"
    write_evidence(two[:1], path)
    done = subprocess.run([str(DCIODVFY), str(path)], capture_output=True, text=True, check=False)
    said = (done.stdout + done.stderr).splitlines()
    assert not [line for line in said if line.startswith("Error")], said


def test_captum_finds_what_the_model_listens_to(tiny: med2e3.Model, block: Any) -> None:
    from captum.attr import FeatureAblation, IntegratedGradients

    scores, forward = tiny.explain(block, QUESTION)
    weights = torch.tensor(scores.values)[None]
    session = tiny.read(block)
    answer = session.ask(QUESTION)
    answer.complete()
    whole = float(forward(weights).sum())
    assert np.exp(whole) == pytest.approx(float(np.prod(answer.token_probabilities)), rel=1e-3)
    start = torch.full_like(weights, 1 / 8)
    found, error = IntegratedGradients(forward).attribute(
        weights, baselines=start, target=0, n_steps=64, return_convergence_delta=True
    )
    gained = whole - float(forward(start).sum())
    assert float(found.sum()) == pytest.approx(gained, abs=0.02 + abs(float(error)))
    assert float(found.abs().sum()) > 0
    ablated = FeatureAblation(forward).attribute(weights, target=0)
    zeroed = weights.clone()
    zeroed[0, 3] = 0
    assert float(ablated[0, 3]) == pytest.approx(whole - float(forward(zeroed).sum()), abs=1e-5)
    assert forward(weights[:, None]).shape == (1, 1), "Quantus hands a channel axis over"


def test_files_that_cannot_be_written_are_refused(
    two: list[Collected], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="End its name in"):
        write_evidence(two, tmp_path / "e.xlsx")
    with pytest.raises(InputError, match="no folder"):
        write_evidence(two, tmp_path / "none" / "e.csv")
    with pytest.raises(InputError, match="weights of one question"):
        write_evidence(two, tmp_path / "e.nii.gz")
    with pytest.raises(InputError, match="no answer to write"):
        write_evidence([], tmp_path / "e.csv")
    for name, library in ((".parquet", "pyarrow"), (".dcm", "highdicom")):
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(ResourceError, match=r"med2e3\[evidence\]"):
            write_evidence(two[:1], tmp_path / f"e{name}")
    assert list(tmp_path.iterdir()) == []


def test_an_answer_without_scores_goes_into_tables_and_no_image(
    tiny_folder: Any, block: Any, tmp_path: Path
) -> None:
    session = med2e3.load(tiny_folder(aggregation="max"), device="cpu").read(block)
    answer = session.ask(QUESTION, max_new_tokens=3)
    answer.complete()
    one = Collected(session, answer)
    for ending in (".csv", ".json", ".npz", ".parquet"):
        write_evidence([one], tmp_path / f"e{ending}")
    for ending in (".nii", ".dcm"):
        with pytest.raises(QuestionError, match="no slice scores"):
            write_evidence([one], tmp_path / f"e{ending}")
    assert set(WRITERS) >= {".csv", ".json", ".npz", ".parquet", ".nii", ".dcm"}
