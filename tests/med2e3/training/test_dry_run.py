"""What `--dry-run` says is what the models have, and nothing is read or written for it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from accelerate.commands.config.config_args import load_config_from_file

from med2e3.checkpoints import Hub
from med2e3.cli import main
from med2e3.errors import InputError
from med2e3.model import Med2E3Processor
from med2e3.resources import resource_path
from med2e3.training import Options, open_recipe, train
from med2e3.training.data.features import Features
from med2e3.training.dry_run import describe, model_of_sizes, plan_recipe
from med2e3.training.logs import Log, check_tensorboard
from med2e3.training.published_recipe import PublishedRecipe
from med2e3.training.recipe import load_recipe
from med2e3.training.recipe_file import FOLDER
from med2e3.training.stages.answers import AnswerCollator
from med2e3.training.stages.tuning import TuneStage, TuningRecipe
from med2e3.training.starting import load_start


def test_a_published_plan_counts_what_its_model_has(
    hub_folder: Path, m3d_files: Path, write_recipe: Any, pretrain_text: str
) -> None:
    options = Options(data=m3d_files, hub=hub_folder)
    recipe = open_recipe(write_recipe(pretrain_text), options)
    assert isinstance(recipe, PublishedRecipe)
    (plan,) = plan_recipe(recipe, Hub(hub_folder), None)
    model = load_start(recipe, Hub(hub_folder)).model
    assert plan.trained + plan.frozen == sum(p.numel() for p in model.parameters())
    trained = [getattr(model, name) for name in recipe.train]
    assert plan.trained == sum(p.numel() for part in trained for p in part.parameters())
    assert plan.memory["weights"] == 4 * (plan.trained + plan.frozen)
    assert plan.memory["optimizer"] == 2 * plan.memory["gradients"] == 8 * plan.trained
    assert plan.steps == "8 (16 epochs of 2 samples)"
    gone = replace(recipe, data=(replace(recipe.data[0], file=m3d_files / "none.json"),))
    (unknown,) = plan_recipe(gone, Hub(hub_folder), None)
    assert "none.json is not there" in unknown.steps


def test_the_demos_plan_names_every_stage(tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "run"
    assert main(["train", "demo", "--out", str(out), "--dry-run"]) == 0
    said = capsys.readouterr().out
    for stage in ("encoder2d", "encoder3d", "text", "align", "tune"):
        assert f"stage {stage}" in said
    assert not out.exists()


def test_a_plan_for_several_processes_says_what_they_hold_and_whether_they_can() -> None:
    text = plan_recipe(open_recipe("demo", Options()), Hub(), None)[0]
    alone = replace(text, shares=1)
    assert "2 processes cannot share a step of 1 part" in alone.text(2)
    assert "2 processes hold it each" in replace(text, shares=4).text(2)
    assert "processes" not in alone.text(1)


def test_without_weights_the_published_sizes_are_told(tmp_path: Path, monkeypatch: Any) -> None:
    """Parameters in millions, as known of the parts: SigLIP-L, the 3D ViT, BERT, Phi-3-mini."""
    monkeypatch.setenv("MED2E3_MODELS", str(tmp_path))
    (plan,) = plan_recipe(open_recipe("finetune", Options(data=tmp_path)), Hub(tmp_path), None)
    assert "not on this computer" in plan.note
    millions = {part.name: round(part.parameters / 1e6) for part in plan.parts}
    assert millions["language_model"] == 3821
    assert millions["text_encoder"] == 109
    assert 300 < millions["vision2d"] < 320
    assert 85 < millions["vision3d"] < 90
    assert {part.name for part in plan.parts if not part.trained} == {"vision3d", "text_encoder"}
    assert "is not there" in plan.steps


def test_what_a_stage_trains_is_what_the_plan_says() -> None:
    """The plan of the tuning stages against the stages themselves, at the same vocabulary."""
    demo = load_recipe("demo")
    collator = AnswerCollator(Med2E3Processor.from_pretrained(resource_path("demo-model")))
    for name in ("align", "tune"):
        model = model_of_sizes(demo.config(300))
        recipe = demo.stages[name]
        assert isinstance(recipe, TuningRecipe)
        tuned = TuneStage(recipe, model, [], Features([], []), collator).module
        learning = sum(p.numel() for p in tuned.parameters() if p.requires_grad)
        trained = TuneStage.trained(recipe)
        parts = [getattr(model, part) for part in trained]
        assert learning == sum(p.numel() for part in parts for p in part.parameters())
        present = {*trained, *TuneStage.frozen(recipe)}
        assert present == {part for part, _ in tuned.named_children()}


def test_plans_read_well(tmp_path: Path) -> None:
    text = describe(plan_recipe(open_recipe("demo", Options()), Hub(), "bf16"), tmp_path, 1)
    assert "computing in bfloat16" in text
    assert "Not counted: activations" in text


def test_the_fsdp_sample_is_one_that_accelerate_reads(tiny_config: Any) -> None:
    """And the blocks that it shards are blocks of the model."""
    bert = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes = tiny_config(
        text_source="text_encoder", text_projection="linear", text_encoder_config=bert
    )  # fmt: skip
    config = load_config_from_file(str(FOLDER / "fsdp.yaml"))
    assert config.distributed_type == "FSDP"
    assert config.mixed_precision == "bf16"
    named = config.fsdp_config["fsdp_transformer_layer_cls_to_wrap"].split(",")
    kinds = {type(module).__name__ for module in model_of_sizes(sizes).modules()}
    assert set(named) <= kinds


def test_tensorboard_is_asked_for_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match="pip install tensorboard"):
        check_tensorboard()
    with pytest.raises(InputError, match="CSV"):
        train("demo", tmp_path / "run", options=Options(tensorboard=True))
    assert not (tmp_path / "run").exists()


class Events:
    """Stands in for TensorBoard's writer."""

    said: list[tuple[str, float, int]]

    def __init__(self, folder: str, purge_step: int | None) -> None:
        self.folder, self.purge_step, self.said = folder, purge_step, []
        made.append(self)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.said.append((name, value, step))

    def close(self) -> None:
        self.said.append(("closed", 0.0, -1))


made: list[Events] = []


def test_tensorboard_gets_the_numbers_that_the_csv_gets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("med2e3.training.logs._summary_writer", lambda: Events)
    made.clear()
    with Log(tmp_path, "tune", 0, tensorboard=True) as log:
        log.write(0, {"loss": 2.0, "closed": float("nan")})
        log.write(1, {"loss": 1.0, "closed": 0.5})
    assert made[0].said == [
        ("loss", 2.0, 0), ("loss", 1.0, 1), ("closed", 0.5, 1), ("closed", 0.0, -1),
    ]  # fmt: skip
    with Log(tmp_path, "tune", 1, tensorboard=True) as log:
        log.write(1, {"loss": 0.9, "closed": 0.5})
    assert made[1].purge_step == 1
    rows = (tmp_path / "tune.csv").read_text(encoding="utf-8").split()
    assert rows == ["step,loss,closed", "0,2.0,nan", "1,0.9,0.5"]
