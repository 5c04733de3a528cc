"""Models in few bits, and models spread over several places, behind `load / read / ask`."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

import med2e3
from med2e3.engine.backends.med2e3 import Med2E3Backend
from med2e3.model.placing import device_of
from med2e3.volume import Volume

QUESTION = "Where is the nodule?"

#: Image encoders, one decoder layer and the output layer are read from a file when needed.
ON_DISK = {
    "": "cpu",
    "vision2d": "disk",
    "connector3d": "disk",
    "language_model.model.layers.1": "disk",
    "language_model.lm_head": "disk",
}


#: Rows of whole 4-bit blocks, and weights that matter.
FEW_BITS = {"hidden_size": 64, "intermediate_size": 128, "initializer_range": 0.15}


@pytest.mark.parametrize("quantize", ["8bit", "4bit"])
def test_a_quantised_model_scores_the_same_and_answers(
    quantize: str, tiny_folder: Callable[..., Path], ct: Volume
) -> None:
    pytest.importorskip("bitsandbytes", reason="needs the extra `quantize` (bitsandbytes)")
    folder = tiny_folder(score_norm="layer_norm", text_config=FEW_BITS)
    plain = med2e3.load(folder, device="cpu")
    small = med2e3.load(folder, device="cpu", quantize=quantize)
    assert small.info.parameters == plain.info.parameters
    assert (plain.info.quantize, small.info.quantize) == ("", quantize)
    assert any(f"{quantize[0]} bits" in note for note in small.info.notes)
    expected, found = (m.read(ct).ask(QUESTION, max_new_tokens=6) for m in (plain, small))
    assert expected.scores is not None
    assert found.scores is not None
    # Vision, connectors and scorer are not quantised.
    np.testing.assert_array_equal(found.scores.values, expected.scores.values)
    expected.complete()
    found.complete()
    assert found.token_ids[:1] == expected.token_ids[:1]
    assert found.record["model"]["quantize"] == quantize
    json.dumps(found.record)


def test_a_model_partly_on_disk_answers_as_recorded(
    golden_folder: Path, golden: Any, golden_items: list[dict[str, Any]], golden_volumes: Any
) -> None:
    model = med2e3.load(
        golden_folder / "checkpoint",
        hub=golden_folder / "hub",
        device_map={**ON_DISK, "text_encoder": "disk"},
    )
    network = model.backend.network
    streamed = {n.split(".")[0] for n, p in network.named_parameters() if p.is_meta}
    assert streamed == {"vision2d", "connector3d", "language_model", "text_encoder"}
    assert model.info.device == "cpu, disk"
    answer = model.read(golden_volumes["case0"]).ask(golden_items[0]["question"], max_new_tokens=16)
    assert answer.scores is not None
    np.testing.assert_allclose(answer.scores.values, golden["q0.scores"], rtol=0, atol=2e-6)
    answer.complete()
    assert answer.token_ids == golden["q0.generated_ids"].tolist()


def test_a_token_of_a_model_on_disk_is_stopped_between_layers(
    golden_folder: Path, golden_items: list[dict[str, Any]], golden_volumes: Any
) -> None:
    model = med2e3.load(golden_folder / "checkpoint", hub=golden_folder / "hub", device_map=ON_DISK)
    layers = model.backend.network.language_model.model.layers
    answer = model.read(golden_volumes["case0"]).ask(golden_items[0]["question"], max_new_tokens=16)
    pieces = iter(answer)
    while not answer.token_ids:
        next(pieces)
    had, passed = len(answer.token_ids), []

    def stop_in_the_first_layer(*_: Any) -> None:
        passed.append("first")
        answer.cancel()

    layers[0].register_forward_hook(stop_in_the_first_layer)
    layers[1].register_forward_hook(lambda *_: passed.append("second"))
    assert list(pieces) in ([], [""])
    assert passed == ["first"]
    assert len(answer.token_ids) == had
    assert answer.finish_reason == "cancelled"


def test_a_mask_head_on_disk_draws_as_in_memory(fixtures: Path) -> None:
    folder, golden = fixtures / "m3d_lamed", np.load(fixtures / "m3d_lamed" / "golden.npz")
    spread = {"": "cpu", "segvol": "disk", "seg_projector": "disk", "vision3d": "disk"}
    volume = golden["volumes_u8"][1, 0].astype(np.float32) / 255
    drawn = []
    for device_map in ({"": "cpu"}, spread):
        network = med2e3.load(folder / "checkpoint", device_map=device_map).backend.network
        grid = torch.from_numpy(volume)[None, None]
        hidden = torch.randn(1, 3, 1, generator=torch.Generator().manual_seed(0)).expand(
            -1, -1, network.config.text_config.hidden_size
        )
        tokens = torch.tensor([[5, network.config.seg_token_id, 6]])
        with torch.inference_mode():
            drawn += network.segment(network.segvol.encode(grid), tokens, hidden)
    assert any(p.is_meta for p in network.segvol.parameters())
    torch.testing.assert_close(drawn[1], drawn[0], rtol=0, atol=1e-6)


def test_files_of_parts_on_disk_go_with_the_model(
    tiny_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    model = med2e3.load(tiny_folder(), device_map=ON_DISK)
    (held,) = tmp_path.iterdir()
    assert any("layers.1" in file.name for file in held.iterdir())
    del model
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_failed_load_leaves_no_files_of_parts(
    tiny_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise med2e3.errors.CheckpointError("not this one")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("med2e3.checkpoints.building._check", full)
    with pytest.raises(med2e3.errors.CheckpointError, match="not this one"):
        med2e3.load(tiny_folder(), device_map=ON_DISK)
    assert list(tmp_path.iterdir()) == []


def test_auto_answers_as_one_device_does(tiny_folder: Callable[..., Path], ct: Volume) -> None:
    folder = tiny_folder(score_norm="layer_norm")
    plain = med2e3.load(folder, device="cpu").read(ct).ask(QUESTION, max_new_tokens=8)
    auto = med2e3.load(folder, device_map="auto", dtype="float32")
    spread = auto.read(ct).ask(QUESTION, max_new_tokens=8)
    assert spread.complete() == plain.complete()
    assert spread.token_ids == plain.token_ids


class Alternating:
    """Puts part after part on two devices that are only imitated: every mix of them raises."""

    def __init__(self) -> None:
        self.count = 0

    def place(self, module: nn.Module) -> None:
        device = torch.device("cpu", self.count % 2)
        self.count += 1
        for part in module.modules():
            for held in (part._parameters, part._buffers):
                for name, tensor in held.items():
                    if tensor is not None:
                        moved = torch.empty(tensor.shape, dtype=tensor.dtype, device=device)
                        held[name] = nn.Parameter(moved) if held is part._parameters else moved
        add_hook_to_module(module, AlignDevicesHook(device))


CHOICES: list[dict[str, Any]] = [
    {"score_norm": "layer_norm", "position_embeddings": "tokens+slices"},
    {"local_features": "3d"},
    {"aggregation": "mean"},
    {"aggregation": "max"},
]


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("choices", CHOICES, ids=lambda c: "-".join(map(str, c.values())))
def test_parts_on_different_devices_find_each_other(
    choices: dict[str, Any], first: int, tiny_model: Callable[..., Any]
) -> None:
    network = tiny_model(**choices)
    with FakeTensorMode():
        answer_on_two_devices(network, first)


@torch.inference_mode()
def answer_on_two_devices(network: Any, first: int) -> None:
    alternating = Alternating()
    alternating.count = first
    for part in network.children():
        if part is not network.language_model:
            alternating.place(part)
    decoder = network.language_model.model
    for part in (decoder.embed_tokens, decoder.rotary_emb, *decoder.layers, decoder.norm):
        alternating.place(part)
    alternating.place(network.language_model.lm_head)
    assert device_of(network) == torch.device("cpu", first)

    backend = Med2E3Backend(network, None)
    features = backend.encode(torch.empty(1, 8, 32, 32, device=device_of(network)))
    keep = torch.ones(1, 8, dtype=torch.bool, device=device_of(network))
    ids = torch.ones(1, 5, dtype=torch.long, device=device_of(network))
    text = network.encode_question(ids) if network.scorer is not None else None
    scores, _ = network.weigh_slices(features, text, 1, keep)
    visual = network.visual_tokens(features, scores, keep=keep)
    mixed = network.mixed_tokens(features, scores, keep=keep)
    rows = torch.cat([part.to(backend._embed([1, 2])) for part in (visual, mixed)], dim=1)
    output = network.language_model(inputs_embeds=rows, use_cache=False, logits_to_keep=1)
    assert output.logits.shape == (1, 1, network.config.text_config.vocab_size)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(
    "choices",
    [
        {"device": "cuda"},
        {"device_map": {**ON_DISK, "": "cuda:0"}},
        {"device_map": {"": "cuda:0", "vision3d": "cpu", "language_model.model.layers.0": "cpu"}},
        {"device_map": "auto"},
    ],
)
def test_a_gpu_alone_or_with_streamed_parts_answers_as_the_cpu(
    choices: dict[str, Any], golden_folder: Path, golden: Any, golden_items: list[dict[str, Any]],
    golden_volumes: Any,
) -> None:  # fmt: skip
    model = med2e3.load(
        golden_folder / "checkpoint", hub=golden_folder / "hub", dtype="float32", **choices
    )
    answer = model.read(golden_volumes["case0"]).ask(golden_items[0]["question"], max_new_tokens=16)
    answer.complete()
    assert answer.token_ids == golden["q0.generated_ids"].tolist()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("quantize", ["8bit", "4bit"])
def test_quantised_on_a_gpu(quantize: str, tiny_folder: Callable[..., Path], ct: Volume) -> None:
    pytest.importorskip("bitsandbytes", reason="needs the extra `quantize` (bitsandbytes)")
    model = med2e3.load(tiny_folder(text_config=FEW_BITS), device="cuda", quantize=quantize)
    answer = model.read(ct).ask(QUESTION, max_new_tokens=4)
    answer.complete()
    assert answer.finish_reason in ("length", "end")
