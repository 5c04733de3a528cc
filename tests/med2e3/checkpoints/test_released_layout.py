"""The released sizes: key names and shapes of the release, without any weights (meta device)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig

from med2e3.checkpoints.med2e3_release import PARTS, native_key
from med2e3.checkpoints.memory import memory_need
from med2e3.checkpoints.release_config import translate
from med2e3.errors import CheckpointError
from med2e3.model import Med2E3ForConditionalGeneration

Shapes = dict[str, tuple[int, ...]]

#: As the published save writes args/config.json for the released model.
SETTINGS: dict[str, Any] = {
    "exp_id": 4,
    "llm_type": "phi3",
    "llm_max_length": 768,
    "vision2d_model_type": "siglip",
    "vision2d_model_select_layer": -1,
    "vision2d_model_select_feature": "cls_patch",
    "vision2d_connector_type": "mlp2x_gelu",
    "vision3d_model_type": "m3d",
    "vision3d_model_select_layer": -1,
    "vision3d_model_select_feature": "patch",
    "vision3d_connector_type": "spatial_pooling_score15_mlp2x_gelu",
    "llm_config": {
        "model_type": "phi3",
        "vocab_size": 32064,
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "max_position_embeddings": 131072,
        "original_max_position_embeddings": 4096,
        "rms_norm_eps": 1e-05,
        "rope_theta": 10000.0,
        "rope_scaling": {
            "type": "longrope",
            "short_factor": [1.0 + 0.02 * k for k in range(48)],
            "long_factor": [1.0 + 1.2 * k for k in range(48)],
        },
        "sliding_window": 262144,
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 32000,
        "pad_token_id": 32000,
        "torch_dtype": "bfloat16",
        "_attn_implementation_autoset": True,
        "bad_words_ids": None,
        "max_length": 20,
    },
    "vision2d_model_config": {
        "model_type": "siglip_vision_model",
        "hidden_size": 1024,
        "image_size": 256,
        "intermediate_size": 4096,
        "num_attention_heads": 16,
        "num_hidden_layers": 24,
        "patch_size": 16,
        "num_channels": 3,
        "hidden_act": "gelu_pytorch_tanh",
        "layer_norm_eps": 1e-06,
    },
    "vision3d_model_config": {
        "model_type": "m3d_clip",
        "img_size": [32, 256, 256],
        "patch_size": [4, 16, 16],
        "in_channels": 1,
        "hidden_size": 768,
        "mlp_dim": 3072,
        "num_layers": 12,
        "num_heads": 12,
    },
}


def affine(name: str, out: int, into: int | None = None) -> Shapes:
    """Weight and bias of a linear map, or of a norm."""
    weight = (out,) if into is None else (out, into)
    return {f"{name}.weight": weight, f"{name}.bias": (out,)}


def language_model() -> Shapes:
    table: Shapes = {
        "model.embed_tokens.weight": (32064, 3072),
        "model.norm.weight": (3072,),
        "lm_head.weight": (32064, 3072),
    }
    for n in range(32):
        layer = f"model.layers.{n}"
        table |= {
            f"{layer}.self_attn.qkv_proj.weight": (9216, 3072),
            f"{layer}.self_attn.o_proj.weight": (3072, 3072),
            f"{layer}.mlp.gate_up_proj.weight": (16384, 3072),
            f"{layer}.mlp.down_proj.weight": (3072, 8192),
            f"{layer}.input_layernorm.weight": (3072,),
            f"{layer}.post_attention_layernorm.weight": (3072,),
        }
    return table


def siglip() -> Shapes:
    table: Shapes = {
        "vision_model.embeddings.patch_embedding.weight": (1024, 3, 16, 16),
        "vision_model.embeddings.patch_embedding.bias": (1024,),
        "vision_model.embeddings.position_embedding.weight": (256, 1024),
        "vision_model.head.probe": (1, 1, 1024),
        "vision_model.head.attention.in_proj_weight": (3072, 1024),
        "vision_model.head.attention.in_proj_bias": (3072,),
    }
    table |= affine("vision_model.post_layernorm", 1024)
    table |= affine("vision_model.head.attention.out_proj", 1024, 1024)
    table |= affine("vision_model.head.layernorm", 1024)
    table |= affine("vision_model.head.mlp.fc1", 4096, 1024)
    table |= affine("vision_model.head.mlp.fc2", 1024, 4096)
    for n in range(24):
        layer = f"vision_model.encoder.layers.{n}"
        table |= affine(f"{layer}.layer_norm1", 1024) | affine(f"{layer}.layer_norm2", 1024)
        table |= affine(f"{layer}.mlp.fc1", 4096, 1024) | affine(f"{layer}.mlp.fc2", 1024, 4096)
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            table |= affine(f"{layer}.self_attn.{part}", 1024, 1024)
    return table


def m3d_clip() -> Shapes:
    table: Shapes = {
        "logit_scale": (),
        "vision_encoder.cls_token": (1, 1, 768),
        "vision_encoder.patch_embedding.position_embeddings": (1, 2048, 768),
        "language_encoder.embeddings.word_embeddings.weight": (30522, 768),
        "language_encoder.embeddings.position_embeddings.weight": (512, 768),
        "language_encoder.embeddings.token_type_embeddings.weight": (2, 768),
    }
    table |= affine("vision_encoder.patch_embedding.patch_embeddings.1", 768, 1024)
    table |= affine("vision_encoder.norm", 768)
    table |= affine("mm_vision_proj", 768, 768) | affine("mm_language_proj", 768, 768)
    table |= affine("language_encoder.embeddings.LayerNorm", 768)
    table |= affine("language_encoder.pooler.dense", 768, 768)
    for n in range(12):
        block, layer = f"vision_encoder.blocks.{n}", f"language_encoder.encoder.layer.{n}"
        table[f"{block}.attn.qkv.weight"] = (2304, 768)
        table |= affine(f"{block}.attn.out_proj", 768, 768)
        table |= affine(f"{block}.norm1", 768) | affine(f"{block}.norm2", 768)
        table |= affine(f"{block}.mlp.linear1", 3072, 768)
        table |= affine(f"{block}.mlp.linear2", 768, 3072)
        for part in ("query", "key", "value"):
            table |= affine(f"{layer}.attention.self.{part}", 768, 768)
        table |= affine(f"{layer}.attention.output.dense", 768, 768)
        table |= affine(f"{layer}.attention.output.LayerNorm", 768)
        table |= affine(f"{layer}.intermediate.dense", 3072, 768)
        table |= affine(f"{layer}.output.dense", 768, 3072)
        table |= affine(f"{layer}.output.LayerNorm", 768)
    return table


RELEASED: dict[str, Shapes] = {
    "llm": language_model(),
    "vision2d_model": siglip(),
    "vision2d_connector": affine("_connector.0", 3072, 1024) | affine("_connector.2", 3072, 3072),
    "vision3d_model": m3d_clip(),
    "vision3d_connector": affine("_connector.0", 3072, 768)
    | affine("_connector.2", 3072, 3072)
    | affine("text_mlp", 3072, 768),
}

#: In the release, and used by nobody (Med-2E3, 0b4c6c4).
UNUSED = (
    "vision_model.post_layernorm.",
    "vision_model.head.",
    "vision_encoder.norm.",
    "mm_vision_proj.",
    "mm_language_proj.",
    "logit_scale",
)


@pytest.fixture(scope="module")
def released() -> Med2E3ForConditionalGeneration:
    config = translate(SETTINGS, BertConfig(), Path("args/config.json"))
    with torch.device("meta"):
        return Med2E3ForConditionalGeneration(config)


def test_every_parameter_has_its_released_name_and_shape(released: Any) -> None:
    assert set(PARTS) == set(RELEASED)
    expected: Shapes = {}
    for part, table in RELEASED.items():
        for key, shape in table.items():
            name = native_key(part, key)
            assert (name == "") == key.startswith(UNUSED), key
            if name:
                expected[name] = shape
    found = {name: tuple(p.shape) for name, p in released.named_parameters()}
    assert found == expected


def test_the_released_sizes_are_the_papers(released: Any) -> None:
    config = released.config
    assert config.grid_shape == (32, 256, 256)
    assert config.grid3d == (4, 8, 8)
    assert (config.num_tokens3d, config.num_tokens2d) == (256, 256)
    assert config.max_context == 768
    assert released.scorer.temperature == 5.0
    numbers = sum(p.numel() for p in released.parameters())
    assert numbers == pytest.approx(4.35e9, rel=0.01)


def test_longrope_takes_short_factors_and_scales_cosines(released: Any) -> None:
    """Attention scale √(1 + ln 32 / ln 4096); all our prompts are short."""
    from transformers.models.phi3.modeling_phi3 import Phi3RotaryEmbedding

    rope = Phi3RotaryEmbedding(released.config.text_config)
    assert rope.attention_scaling == pytest.approx(1.1902, abs=1e-4)
    powers = torch.arange(0, 96, 2).float() / 96
    short = torch.tensor(SETTINGS["llm_config"]["rope_scaling"]["short_factor"])
    torch.testing.assert_close(rope.inv_freq, 1 / (short * 10000.0**powers))
    cosines, _ = rope(torch.zeros(1, 768, 3072), torch.arange(768)[None])
    expected = torch.cos(torch.arange(768)[:, None] * rope.inv_freq) * rope.attention_scaling
    torch.testing.assert_close(cosines[0, :, :48], expected)


def test_the_need_of_memory_is_stated_part_by_part(released: Any) -> None:
    from med2e3.checkpoints import Checkpoint

    checkpoint = Checkpoint(
        kind="med2e3",
        folder=Path("Med-2E3-M3D"),
        model_class=type(released),
        config=released.config,
        processor=None,
        weights=dict(released.named_parameters()),
        files=(),
        licence="",
    )
    need = memory_need(checkpoint, torch.bfloat16)
    assert need.weights == pytest.approx(8.7e9, rel=0.01)
    assert need.cache == 2 * 2 * 32 * 3072 * 768 * 2
    assert 0.1e9 < need.activations < 0.5e9


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("exp_id", 5),
        ("vision3d_connector_type", "spatial_pooling_score12_mlp2x_gelu"),
        ("vision2d_connector_type", "linear"),
        ("vision2d_model_select_layer", -2),
        ("vision3d_model_type", "med3d"),
        ("llm_type", "gpt2"),
    ],
)
def test_other_experiments_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(CheckpointError, match=f"{name} = {value!r}"):
        translate({**SETTINGS, name: value}, BertConfig(), Path("args/config.json"))


def test_a_config_that_lacks_a_part_says_which() -> None:
    settings = {k: v for k, v in SETTINGS.items() if k != "vision2d_model_config"}
    with pytest.raises(CheckpointError, match="vision2d_model_config"):
        translate(settings, BertConfig(), Path("args/config.json"))
