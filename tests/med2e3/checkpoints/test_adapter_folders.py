"""Folders of LoRA adapters open as models, with their base and what was trained beside them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import med2e3
from med2e3.checkpoints import build, open_checkpoint
from med2e3.checkpoints.adapter_folders import save_beside
from med2e3.checkpoints.adapters import NAME, load_adapter, merge_lora, save_adapter
from med2e3.errors import CheckpointError

peft = pytest.importorskip("peft")


@pytest.fixture
def base(tiny_folder: Callable[..., Path]) -> Path:
    return tiny_folder()


@pytest.fixture
def adapter(base: Path, tiny_model: Callable[..., Any], tmp_path: Path) -> Path:
    """Adapters with numbers in them, and another connector, beside a base that is named."""
    from med2e3.training.lora import LoRA, add_lora

    model = tiny_model()
    config = add_lora(model.language_model, LoRA(2, 6.0, 0.0))
    config.base_model_name_or_path = str(base)
    with torch.no_grad():
        for name, parameter in model.language_model.named_parameters():
            if f"lora_B.{NAME}" in name:
                parameter.normal_(std=0.1)
    save_adapter(model.language_model, config, tmp_path / "adapter")
    state = model.state_dict()
    beside = {n: t + 1 for n, t in state.items() if n.startswith("connector3d.")}
    save_beside({**beside, "language_model.x": torch.zeros(1)}, tmp_path / "adapter")
    return tmp_path / "adapter"


def change(adapter: Path, **settings: Any) -> None:
    path = adapter / "adapter_config.json"
    said = json.loads(path.read_text(encoding="utf-8")) | settings
    path.write_text(json.dumps(said), encoding="utf-8")


def test_the_model_is_the_base_with_the_adapters_merged(adapter: Path, base: Path) -> None:
    """As peft merges them."""
    found = build(open_checkpoint(adapter), torch.device("cpu"), torch.float32).state_dict()
    other = build(open_checkpoint(base), torch.device("cpu"), torch.float32)
    load_adapter(other.language_model, adapter)
    merge_lora(other.language_model)
    plain = build(open_checkpoint(base), torch.device("cpu"), torch.float32).state_dict()
    moved = 0
    for name, value in other.state_dict().items():
        if name.startswith("connector3d."):
            assert torch.equal(found[name], plain[name] + 1)
            continue
        torch.testing.assert_close(found[name], value, atol=1e-6, rtol=0)
        moved += not torch.equal(value, plain[name])
    assert moved > 4
    loaded, alone = med2e3.load(adapter, device="cpu"), med2e3.load(base, device="cpu")
    assert loaded.info.weights_sha256 != alone.info.weights_sha256
    assert any("The adapter adapter is added" in note for note in loaded.info.notes)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"base_model_name_or_path": None}, "without its base model"),
        ({"base_model_name_or_path": "nobody/nothing"}, "There is no model “nobody/nothing”"),
        ({"use_dora": True}, "use_dora = True; plain LoRA alone"),
        ({"peft_type": "IA3"}, "peft_type = 'IA3'"),
        ({"rank_pattern": {"q_proj": 4}}, "rank_pattern"),
    ],
)
def test_what_cannot_be_added_is_refused(settings: Any, said: str, adapter: Path) -> None:
    change(adapter, **settings)
    with pytest.raises(CheckpointError, match=said):
        open_checkpoint(adapter)


def test_adapters_of_another_model_are_refused(adapter: Path, tmp_path: Path) -> None:
    file = adapter / "adapter_model.safetensors"
    tensors = load_file(file)
    name = next(key for key in tensors if "lora_B" in key)
    save_file({**tensors, name: torch.zeros(3, 2)}, file)
    with pytest.raises(CheckpointError, match="does not fit its base"):
        open_checkpoint(adapter)
    file.write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match="cannot be read"):
        open_checkpoint(adapter)
    change(adapter, base_model_name_or_path=str(adapter))
    with pytest.raises(CheckpointError, match="holds adapters too"):
        open_checkpoint(adapter)
