"""An encoder of train insight in a Med-2E3: it starts from its weights and trains on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from med2e3.errors import CheckpointError
from med2e3.model.insight import InsightModel, open_insight
from med2e3.model.insight_config import InsightConfig
from med2e3.training.inputs import make_pool
from med2e3.training.pipeline import build_stage, train_stage
from med2e3.training.recipe import load_recipe
from med2e3.training.run_folder import RunFolder

SIZES: dict[str, Any] = {
    "image_size": [8, 32, 32], "patch_size": [2, 8, 8], "hidden_size": 16, "intermediate_size": 32,
    "num_hidden_layers": 1, "num_attention_heads": 2, "class_token": False,
}  # fmt: skip


def pretrained(folder: Path, **changes: Any) -> Path:
    """A model of the tiny sizes, saved as train insight saves one."""
    torch.manual_seed(9)
    encoder = {
        **{k: v for k, v in SIZES.items() if k != "image_size"},
        "decoded_width": 4,
        "decoded_stride": [2, 4, 4],
        **changes,
    }
    config = InsightConfig(
        image_size=SIZES["image_size"],
        encoder_config=encoder,
        queries=2,
        layers=1,
        heads=2,
        feedforward=16,
        embedding_size=8,
    )
    InsightModel(config).save_pretrained(folder)
    return folder


def run_folder(folder: Path, encoder3d: Path) -> RunFolder:
    """The demo recipe made tiny, with a pretrained 3D encoder."""
    recipe = load_recipe("demo").smoke()
    vision2d = {
        **recipe.model["vision2d_config"],
        "image_size": 32,
        "patch_size": 8,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    text = {
        **recipe.model["text_config"],
        "hidden_size": 24,
        "intermediate_size": 48,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
    }
    model = {
        **recipe.model,
        "vision3d_config": SIZES,
        "vision2d_config": vision2d,
        "vision2d_stem": [],
        "text_config": text,
    }
    changed = dataclasses.replace(
        recipe, model=model, train_seeds=(0, 4), encoder3d=str(encoder3d),
        stages={"encoder3d": recipe.stages["encoder3d"]},
    )  # fmt: skip
    return RunFolder(changed, folder)


def test_a_model_starts_from_the_pretrained_encoder_and_trains_on(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", pretrained(tmp_path / "insight"))
    wanted = open_insight(tmp_path / "insight").encoder.vision3d.state_dict()
    own = folder.model().vision3d.state_dict()
    assert set(own) == set(wanted)
    assert all(torch.equal(own[name], wanted[name]) for name in own)
    make_pool(folder, folder.starts())
    assert build_stage(folder, "encoder3d").name == "encoder3d"
    losses = train_stage(folder, "encoder3d")
    assert len(losses) == 3
    trained = folder.model("encoder3d").vision3d.state_dict()
    moved = [name for name in own if not torch.equal(own[name], trained[name])]
    assert len(moved) == len(own)  # all of it learned on
    step = max(float((own[name] - trained[name]).abs().max()) for name in own)
    assert step < 0.1  # from where it was, and not from new weights


def test_an_encoder_of_other_sizes_is_named(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run", pretrained(tmp_path / "insight", hidden_size=32))
    with pytest.raises(CheckpointError, match="does not fit"):
        folder.model()


def test_a_final_norm_that_the_model_lacks_stays_out(tmp_path: Path) -> None:
    made = run_folder(tmp_path / "run", pretrained(tmp_path / "insight"))
    recipe = dataclasses.replace(
        made.recipe, model={**made.recipe.model, "vision3d_feature": "last_block"}
    )
    assert dataclasses.replace(made, recipe=recipe).model().vision3d.norm is None


def test_an_encoder_of_another_kind_is_named(tmp_path: Path) -> None:
    sizes = {"embed": 8, "depths": [1], "heads": [2], "patch": [2, 4, 4], "windows": [2]}
    InsightModel(
        InsightConfig(
            encoder="windowed",
            image_size=[8, 32, 32],
            encoder_config=sizes,
            queries=2,
            layers=1,
            heads=2,
            embedding_size=8,
        )
    ).save_pretrained(tmp_path / "w")
    with pytest.raises(CheckpointError, match="“windowed”"):
        run_folder(tmp_path / "run", tmp_path / "w").model()
