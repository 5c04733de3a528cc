"""Language models in 8 and 4 bits: smaller, close to float, and refused with a way out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import med2e3
from med2e3.checkpoints import build, open_checkpoint
from med2e3.checkpoints.memory import memory_need
from med2e3.checkpoints.quantizing import check_quantize
from med2e3.errors import ResourceError

CPU = torch.device("cpu")

#: Weights that matter: with the usual 0.02 a random model's layers hardly change what enters them.
TEXT = {"hidden_size": 64, "intermediate_size": 128, "initializer_range": 0.15}


@pytest.fixture(scope="module")
def library() -> Any:
    return pytest.importorskip("bitsandbytes", reason="needs the extra `quantize` (bitsandbytes)")


@pytest.fixture(scope="module")
def folder(tiny_folder: Callable[..., Path]) -> Path:
    return tiny_folder(score_norm="layer_norm", text_config=TEXT)


def held_bytes(model: nn.Module) -> int:
    """Memory of all weights and their scales."""
    total = sum(parameter.nbytes for parameter in model.parameters())
    for module in model.modules():
        state = getattr(getattr(module, "weight", None), "quant_state", None)
        scales = getattr(getattr(module, "weight", None), "SCB", None)
        total += sum(t.nbytes for t in (getattr(state, "absmax", None), scales) if t is not None)
    return total


@torch.inference_mode()
def logits(model: Any, rows: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = model.language_model(inputs_embeds=rows).logits
    return found.flatten()


@pytest.mark.parametrize(("quantize", "least"), [("8bit", 0.9995), ("4bit", 0.97)])
@pytest.mark.usefixtures("library")
def test_a_quantised_language_model_computes_nearly_the_same(
    folder: Path, quantize: str, least: float
) -> None:
    plain = build(open_checkpoint(folder), CPU, torch.float32)
    small = build(open_checkpoint(folder), CPU, torch.float32, quantize)
    rows = torch.randn(1, 12, 64, generator=torch.Generator().manual_seed(1))
    expected, found = logits(plain, rows), logits(small, rows)
    assert not torch.equal(expected, found)
    assert torch.cosine_similarity(expected, found, dim=0) > least
    for layer in plain.language_model.model.layers:  # the bound means something: layers count
        nn.init.zeros_(layer.mlp.down_proj.weight.data)
    assert torch.cosine_similarity(expected, logits(plain, rows), dim=0) < 0.9


@pytest.mark.parametrize("quantize", ["8bit", "4bit"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.usefixtures("library")
def test_the_memory_that_was_announced_is_what_is_held(
    folder: Path, quantize: str, dtype: torch.dtype
) -> None:
    checkpoint = open_checkpoint(folder)
    plain = memory_need(checkpoint, dtype).weights
    model = build(checkpoint, CPU, dtype, quantize)
    held = held_bytes(model)
    assert held == memory_need(checkpoint, dtype, quantize).weights
    linears = sum(
        p.numel() for n, p in checkpoint.weights.items() if ".layers." in n and "language" in n
        and p.ndim == 2
    )  # fmt: skip
    bits = {"8bit": 8, "4bit": 4}[quantize]
    saved = linears * (dtype.itemsize - bits / 8)
    assert plain - held == pytest.approx(saved, rel=0.1)  # less by the scales


@pytest.mark.usefixtures("library")
def test_only_the_decoder_s_linear_layers_are_quantised(folder: Path) -> None:
    checkpoint = open_checkpoint(folder)
    model = build(checkpoint, CPU, torch.float32, "4bit")
    for name, parameter in model.named_parameters():
        small = name.startswith("language_model.model.layers.") and "_proj.weight" in name
        assert (parameter.dtype == torch.uint8) is small, name
        if not small:
            assert torch.equal(parameter, checkpoint.weights[name]), name


def test_a_missing_library_is_named_with_the_way_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(ResourceError, match=r"pip install bitsandbytes.*dtype bfloat16"):
        med2e3.load(folder, device="cpu", quantize="8bit")


@pytest.mark.usefixtures("library")
def test_a_device_that_the_library_cannot_use_is_named() -> None:
    with pytest.raises(ResourceError, match=r"does not quantise on vulkan: it supports.*cpu, cuda"):
        check_quantize("4bit", torch.device("vulkan"))


def test_an_unknown_number_of_bits_is_refused(folder: Path) -> None:
    with pytest.raises(ResourceError, match="'3bit'; choose one of 8bit, 4bit"):
        med2e3.load(folder, device="cpu", quantize="3bit")


@pytest.mark.usefixtures("library")
def test_no_code_is_fetched_while_the_library_is_imported(tmp_path: Path) -> None:
    """On some processors bitsandbytes would ask the package `kernels` for compiled code."""
    (tmp_path / "kernels.py").write_text(
        "def get_kernel(*names, **choices): raise SystemExit('code was fetched')\n"
    )
    code = (
        "import torch; from med2e3.checkpoints.quantizing import check_quantize; "
        "check_quantize('4bit', torch.device('cpu')); print('checked'); import kernels"
    )
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == "checked\n"
    assert "kernels" not in done.stderr


def test_a_refusal_before_loading_names_both_figures_and_every_way_out(
    tiny_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_folder(text_config={"hidden_size": 128, "intermediate_size": 512})
    need = memory_need(open_checkpoint(folder), torch.float32)
    eight = memory_need(open_checkpoint(folder), torch.float32, "8bit").total
    four = memory_need(open_checkpoint(folder), torch.float32, "4bit").total
    assert four < eight < need.total
    monkeypatch.setattr("med2e3.checkpoints.memory.free_memory", lambda device: 1_000_000)
    with pytest.raises(ResourceError) as caught:
        med2e3.load(folder, device="cpu")
    message = str(caught.value)
    assert f"needs {need.total / 1e6:.1f} MB on cpu in float32" in message
    assert "but 1.0 MB are free" in message
    assert f"dtype bfloat16: {need.total / 2e6:.1f} MB" in message
    assert f"quantize 8bit: {eight / 1e6:.1f} MB, 4bit: {four / 1e6:.1f} MB" in message
    assert "device_map auto" in message


@pytest.mark.usefixtures("library")
def test_quantised_weights_are_what_the_refusal_counts(
    tiny_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_folder(text_config={"hidden_size": 128, "intermediate_size": 512})
    checkpoint = open_checkpoint(folder)
    four = memory_need(checkpoint, torch.float32, "4bit").total
    monkeypatch.setattr("med2e3.checkpoints.memory.free_memory", lambda device: four)
    assert med2e3.load(folder, device="cpu", quantize="4bit").info.quantize == "4bit"
    with pytest.raises(ResourceError, match=r"in float32 and 8bit.*quantize 4bit: "):
        med2e3.load(folder, device="cpu", quantize="8bit")
