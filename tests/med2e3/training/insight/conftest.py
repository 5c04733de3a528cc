"""A recipe of kind "insight" small enough for a test, and one finished run of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from med2e3.training import Options, train

TINY = """
name = "tiny"
kind = "insight"
seed = 3
[data]
train_seeds = [0, 4]
slices = 2
[window]
centre = 0.0
width = 2000.0
[model]
encoder = "vit3d"
image_size = [8, 16, 16]
queries = 2
layers = 1
heads = 2
feedforward = 16
dropout = 0.0
[model.encoder_config]
patch_size = [4, 4, 4]
hidden_size = 16
intermediate_size = 32
num_hidden_layers = 1
num_attention_heads = 2
class_token = false
decoded_width = 4
decoded_stride = [2, 4, 4]
[teacher]
image_size = 16
patch_size = 8
hidden_size = 16
layers = 1
heads = 2
embedding_size = 8
[stages.teacher]
steps = 2
learning_rate = 1e-3
slices = 6
[stages.insight]
steps = 4
learning_rate = 1e-3
volumes = 3
slices = 2
[stages.insight.alignment]
kind = "partial_ot"
mass = 0.75
queue = 8
"""


@pytest.fixture(scope="session")
def tiny_recipe(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes the recipe with parts replaced: `tiny_recipe(("steps = 4", "steps = 2"))`."""

    def write(*changes: tuple[str, str]) -> Path:
        text = TINY
        for before, after in changes:
            assert before in text, before
            text = text.replace(before, after)
        path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def train_tiny() -> Callable[..., Path]:
    """Trains a recipe file in a folder on the CPU, without a bar; returns the model's folder."""

    def run(recipe: Path, folder: Path, **more: Any) -> Path:
        options = more.pop("options", Options(cpu=True))
        more.setdefault("report", lambda step, steps, numbers: None)
        return train(recipe, folder, options=options, **more)

    return run


@pytest.fixture(scope="session")
def finished(
    tiny_recipe: Callable[..., Path],
    train_tiny: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The folder of a run that is done."""
    folder = tmp_path_factory.mktemp("insight") / "run"
    train_tiny(tiny_recipe(), folder)
    return folder
