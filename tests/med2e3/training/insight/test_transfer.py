"""Fine-tuning from scratch and from a pretrained encoder, at the command line and by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from med2e3.cli import main
from med2e3.errors import DataError, InputError
from med2e3.evaluation.transfer import SCRATCH, Setting
from med2e3.model.insight import open_insight
from med2e3.phantoms.slices import CLASSES
from med2e3.training.insight.transfer import (
    TASKS,
    LabelledVolumes,
    TransferPlan,
    classification_loss,
    fit,
    run_transfer,
    segmentation_loss,
)

SMALL = ["--labelled", "4", "--phantoms", "3", "--steps", "2"]


def boxes(count: int) -> LabelledVolumes:
    """Bright boxes are liver; half of the volumes have one, and the first finding."""
    rng = np.random.default_rng(0)
    volumes = rng.integers(0, 30, (count, 8, 16, 16)).astype(np.uint8)
    classes = np.zeros_like(volumes)
    findings = np.zeros((count, 15), bool)
    for k in range(0, count, 2):
        at = rng.integers(0, 2, 3) * 4
        place = (k, slice(0, 8), slice(at[1], at[1] + 8), slice(at[2], at[2] + 8))
        volumes[place], classes[place], findings[k, 0] = 220, CLASSES.index("liver"), True
    return LabelledVolumes(volumes, classes, findings, ((1.0, 1.0, 1.0),) * count)


def test_a_segmentation_is_learned(finished: Path) -> None:
    encoder = open_insight(finished / "model").encoder
    setting = Setting("segmentation", "fine-tuning", SCRATCH, 1.0, 1)
    data = boxes(8)
    cases = fit(encoder, setting, data, data, steps=120)
    assert np.mean([case["Dice liver"] for case in cases[::2]]) > 0.8  # type: ignore[misc]
    assert cases[1]["Dice liver"] is None  # it holds none


def test_a_classification_is_learned_by_the_head_alone(finished: Path) -> None:
    encoder = open_insight(finished / "model").encoder
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    setting = Setting("classification", "linear probe", SCRATCH, 1.0, 1)
    data = boxes(12)
    cases = fit(encoder, setting, data, data, steps=100)
    scores = np.array([case["0"] for case in cases], float)
    assert scores[::2].min() > scores[1::2].max()
    assert all(torch.equal(before[n], v) for n, v in encoder.state_dict().items())


def test_one_class_alone_cannot_be_segmented(finished: Path) -> None:
    encoder = open_insight(finished / "model").encoder
    data = boxes(3)
    empty = LabelledVolumes(data.volumes, data.classes * 0, data.findings, data.spacing_mm)
    with pytest.raises(DataError, match="one class “background”"):
        fit(encoder, Setting("segmentation", "fine-tuning", SCRATCH, 1.0, 1), empty, data, 1)


def test_no_labels_and_labels_of_another_size_are_named(finished: Path) -> None:
    encoder = open_insight(finished / "model").encoder
    data, setting = boxes(3), Setting("segmentation", "fine-tuning", SCRATCH, 1.0, 1)
    with pytest.raises(DataError, match="no labelled volume"):
        fit(encoder, setting, data.first(0), data, 1)
    cut = LabelledVolumes(data.volumes, data.classes[:, :4], data.findings, data.spacing_mm)
    with pytest.raises(DataError, match="do not belong together"):
        fit(encoder, setting, cut, data, 1)


def test_the_segmentation_loss_of_right_logits_is_nothing() -> None:
    data = boxes(4)
    rows = np.arange(4)
    truth = torch.from_numpy(data.classes.astype(np.int64))
    right = torch.nn.functional.one_hot(truth, len(CLASSES)).movedim(-1, 1).float() * 50
    assert segmentation_loss(right, data, rows).item() == pytest.approx(0, abs=1e-4)
    assert segmentation_loss(right.roll(1, 1), data, rows).item() > 10


def test_the_classification_loss_of_no_opinion_is_log_2() -> None:
    data = boxes(4)
    loss = classification_loss(torch.zeros(4, 15), data, np.arange(4))
    assert loss.item() == pytest.approx(np.log(2))


def test_the_command_prints_scratch_beside_pretrained_and_goes_on(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, model = tmp_path / "kept.jsonl", str(finished / "model")
    words = ["evaluate", model, "--transfer", "all", *SMALL, "--predictions", str(kept)]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    name = "Dice lung, linear probe, 100 % of labels"
    assert {f"{name}, {c}" for c in ("scratch", "pretrained", "difference")} <= set(
        found["figures"]
    )
    lines = kept.read_text().splitlines()
    assert len(lines) == 2 * 2 * 3 * 2
    kept.write_text("\n".join(lines[:-3]) + "\n" + lines[-3][:40])  # stopped in a line
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found
    assert kept.read_text().splitlines() == lines
    assert main(words) == 0
    table = capsys.readouterr().out
    assert "**Dice liver**" in table
    assert "| | scratch | pretrained | difference |" in table
    with pytest.raises(InputError, match="another encoder or plan"):
        run_transfer(finished / "model", TransferPlan(labelled=5, test=3, steps=2), kept)


def test_the_pretrained_start_is_the_pretrained_one(finished: Path) -> None:
    """With no step that moves the encoder, a probe of it differs from a probe of random weights."""
    plan = TransferPlan(("classification",), ("linear probe",), (1.0,), 6, 6, 1)
    first, second = (run_transfer(finished / "model", plan) for _ in range(2))
    assert first.as_dict() == second.as_dict()
    assert first.figures
    row = "Finding present, macro AUC, linear probe, 100 % of labels"
    values = [first.figures[f"{row}, {c}"].value for c in ("scratch", "pretrained")]
    assert first.figures[f"{row}, difference"].value == pytest.approx(values[1] - values[0])


def test_something_else_than_an_encoder_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(tmp_path), "--transfer", "all"]) == 1
    assert "med2e3 train insight" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path), "--transfer", "all", "--workers", "3"]) == 2
    assert "--workers" in capsys.readouterr().err


@pytest.mark.slow
def test_the_study_of_wrong_captions_has_every_loss_at_every_share(
    finished: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import shutil

    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    words = ["evaluate", "--wrong-captions", str(folder), *SMALL, "--json"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    names = {
        f"image {loss} {share:g}"
        for loss in ("infonce", "ot", "partial_ot")
        for share in (0, 0.25, 0.5)
    }
    assert names <= set(found["figures"])
    assert "image untrained" in found["figures"]
    made = {p: p.stat().st_mtime_ns for p in (folder / "captions").glob("*.json")}
    assert len(made) == 10
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out) == found
    assert {p: p.stat().st_mtime_ns for p in made} == made
    assert main([*words[:-2], "5"]) == 1
    assert "another size" in capsys.readouterr().err


def test_every_task_has_its_outputs() -> None:
    assert set(TASKS) == {"segmentation", "classification"}
    assert TASKS["segmentation"].outputs == len(CLASSES)
