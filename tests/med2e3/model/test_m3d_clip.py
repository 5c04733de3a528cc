"""M3D-CLIP computes what the published code computed, from its published folder and converted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertTokenizer

from med2e3.checkpoints import Checkpoint, Hub, build, convert, open_checkpoint
from med2e3.errors import CheckpointError
from med2e3.model.config import Vision3DConfig
from med2e3.model.m3d_clip import M3DClipConfig, M3DClipModel

ATOL = 1e-5  # the recorded tensors were derived again with 2.7e-6


@pytest.fixture(scope="module", params=["published", "converted"])
def loaded(
    request: pytest.FixtureRequest, fixtures: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Checkpoint, Any]:
    source = fixtures / "m3d_clip"
    folder, hub = source / "checkpoint", source / "hub"
    if request.param == "converted":
        folder = convert(folder, tmp_path_factory.mktemp("clip") / "native", hub=hub)
        hub = Path("nowhere")  # the native folder needs nothing from outside
    checkpoint = open_checkpoint(folder, Hub(hub))
    return checkpoint, build(checkpoint, torch.device("cpu"), None)


@pytest.fixture(scope="module")
def golden(fixtures: Path) -> Any:
    return np.load(fixtures / "m3d_clip" / "golden.npz")


@pytest.fixture(scope="module")
def volumes(golden: Any) -> torch.Tensor:
    return torch.from_numpy(golden["volumes_u8"]).to(torch.float32) / 255


def _close(found: torch.Tensor, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=0, atol=ATOL)


def _tokens(golden: Any) -> dict[str, torch.Tensor]:
    return {
        "input_ids": torch.from_numpy(golden["input_ids"].astype(np.int64)),
        "attention_mask": torch.from_numpy(golden["attention_mask"].astype(np.int64)),
    }


@torch.no_grad()
def test_the_vision_encoder_gives_the_recorded_tokens(
    loaded: tuple[Checkpoint, Any], golden: Any, volumes: torch.Tensor
) -> None:
    encoder = loaded[1].vision3d
    blocks: list[torch.Tensor] = []
    hook = encoder.blocks[0].register_forward_hook(lambda *args: blocks.append(args[2]))
    output = encoder(volumes)
    hook.remove()
    before = torch.cat([output.class_token[:, None], output.tokens], dim=1)
    after = torch.cat([output.class_normed[:, None], output.normed], dim=1)
    _close(before, golden["vit_last_block_tokens_pre_norm"])
    _close(after, golden["vit_norm_tokens"])
    _close(blocks[0][:1], golden["vit_block0"])


@torch.no_grad()
def test_the_text_encoder_gives_the_recorded_states(
    loaded: tuple[Checkpoint, Any], golden: Any
) -> None:
    states = loaded[1].text_encoder(**_tokens(golden))
    _close(states.last_hidden_state[:, :32], golden["bert_last_hidden_first32"])
    _close(states.pooler_output, golden["bert_pooler"])


@torch.no_grad()
def test_features_similarity_logits_and_loss_are_the_recorded_ones(
    loaded: tuple[Checkpoint, Any], golden: Any, volumes: torch.Tensor
) -> None:
    model = loaded[1]
    output = model(**_tokens(golden), pixel_values=volumes, return_loss=True)
    _close(output.image_embeds, golden["image_feat"])
    _close(output.text_embeds, golden["text_feat"])
    _close(output.image_embeds @ output.text_embeds.T, golden["similarity"])
    _close(output.logits, golden["logits"])
    assert output.loss.item() == pytest.approx(float(golden["loss"]), abs=1e-6)


@torch.no_grad()
def test_texts_are_tokenised_as_recorded_and_padding_changes_nothing(
    loaded: tuple[Checkpoint, Any], golden: Any, fixtures: Path
) -> None:
    checkpoint, model = loaded
    texts = json.loads((fixtures / "m3d_clip" / "texts.json").read_text())
    padded = checkpoint.processor(texts, padding="max_length", max_length=512)
    np.testing.assert_array_equal(padded["input_ids"], golden["input_ids"])
    np.testing.assert_array_equal(padded["attention_mask"], golden["attention_mask"])
    alone = [
        model.get_text_features(torch.tensor([checkpoint.processor(text)["input_ids"]]))[0]
        for text in texts
    ]
    _close(torch.stack(alone), golden["text_feat"])


def test_the_scale_is_not_exponentiated(loaded: tuple[Checkpoint, Any]) -> None:
    assert loaded[1].logit_scale.item() == pytest.approx(2.5)


@torch.no_grad()
def test_the_vision_encoder_loads_from_its_own_file(
    fixtures: Path, golden: Any, tmp_path: Path
) -> None:
    published = open_checkpoint(
        fixtures / "m3d_clip" / "checkpoint", Hub(fixtures / "m3d_clip" / "hub")
    )
    from safetensors.torch import load_file

    prefix = "vision_encoder."
    weights = load_file(published.files[0])
    own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    torch.save(own, tmp_path / "pretrained_ViT.bin")
    volumes = torch.from_numpy(golden["volumes_u8"]).to(torch.float32) / 255
    for place in (tmp_path / "pretrained_ViT.bin", tmp_path):
        checkpoint = open_checkpoint(place)
        model = build(checkpoint, torch.device("cpu"), None)
        _close(model(volumes), golden["vit_norm_tokens"][:, 0])
    native = open_checkpoint(convert(tmp_path / "pretrained_ViT.bin", tmp_path / "native"))
    assert native.kind == "m3d-clip-vision"
    model = build(native, torch.device("cpu"), None)
    _close(model(volumes), golden["vit_norm_tokens"][:, 0])


def test_a_file_of_something_else_is_no_vision_encoder(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.bin")
    with pytest.raises(CheckpointError, match="does not hold M3D-CLIP's vision encoder"):
        open_checkpoint(tmp_path / "other.bin")


def test_without_berts_config_its_sizes_are_read_off_the_tensors(fixtures: Path) -> None:
    folder = fixtures / "m3d_clip" / "checkpoint"
    with_config = open_checkpoint(folder, Hub(fixtures / "m3d_clip" / "hub"))
    without = open_checkpoint(folder, Hub(Path("nowhere")))
    assert without.config.text_config.to_dict() == with_config.config.text_config.to_dict()
    assert any("guess" in note for note in without.notes)


def test_a_stranger_among_the_weights_is_named(fixtures: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    source = fixtures / "m3d_clip" / "checkpoint"
    for name in ("config.json", "vocab.txt"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    weights = load_file(source / "model.safetensors")
    save_file({**weights, "decoder.weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"decoder\.weight"):
        open_checkpoint(tmp_path)


def test_a_missing_tensor_is_named(fixtures: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    source = fixtures / "m3d_clip" / "checkpoint"
    for name in ("config.json", "vocab.txt"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    weights = load_file(source / "model.safetensors")
    del weights["mm_vision_proj.bias"]
    save_file(weights, tmp_path / "model.safetensors")
    checkpoint = open_checkpoint(tmp_path, Hub(fixtures / "m3d_clip" / "hub"))
    with pytest.raises(CheckpointError, match=r"missing are vision_projection\.bias"):
        build(checkpoint, torch.device("cpu"), None)


def test_the_released_sizes_are_the_configs_defaults() -> None:
    with torch.device("meta"):
        model = M3DClipModel(M3DClipConfig())
    c, mlp, patch, patches = 768, 3072, 4 * 16 * 16, 8 * 16 * 16
    block = 3 * c * c + (c + 1) * c + (c + 1) * mlp + (mlp + 1) * c + 4 * c
    expected = (patch + 1) * c + (patches + 1) * c + 12 * block + 2 * c
    assert sum(p.numel() for p in model.vision3d.parameters()) == expected
    assert model.config.grid_shape == (32, 256, 256)
    assert model.text_encoder.config.hidden_size == 768


def _tiny() -> M3DClipModel:
    torch.manual_seed(0)
    config = M3DClipConfig(
        vision_config=Vision3DConfig(
            image_size=(4, 16, 16), patch_size=(2, 8, 8), hidden_size=16, intermediate_size=32,
            num_hidden_layers=1, num_attention_heads=2,
        ),
        text_config=BertConfig(
            vocab_size=12, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=32, max_position_embeddings=8,
        ),
    )  # fmt: skip
    return M3DClipModel(config)


def test_the_loss_reaches_every_weight_but_the_pooler() -> None:
    model = _tiny()
    texts = torch.tensor([[1, k, 2] for k in range(3, 7)])
    model(texts, torch.rand(4, 1, 4, 16, 16), return_loss=True).loss.backward()
    without = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert without == {"text_encoder.pooler.dense.weight", "text_encoder.pooler.dense.bias"}


@torch.no_grad()
def test_a_saved_model_comes_back_the_same(tmp_path: Path) -> None:
    model = _tiny().eval()
    texts, volumes = torch.tensor([[1, 3, 2], [1, 4, 2]]), torch.rand(2, 1, 4, 16, 16)
    model.save_pretrained(tmp_path)
    again = M3DClipModel.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(again(texts, volumes).logits, model(texts, volumes).logits)


def test_the_tokenizer_lower_cases_as_published(fixtures: Path) -> None:
    checkpoint = open_checkpoint(fixtures / "m3d_clip" / "checkpoint")
    assert isinstance(checkpoint.processor, BertTokenizer)
    assert checkpoint.processor("LIVER")["input_ids"] == checkpoint.processor("liver")["input_ids"]
