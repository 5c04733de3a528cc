"""The Llama-2 form of M3D-LaMed, laid out as published: shards, SentencePiece model, old config."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
import torch
from safetensors.torch import save_file

import med2e3
from med2e3.checkpoints import convert, open_checkpoint
from med2e3.checkpoints.m3d_lamed import PREFIXES, native_key
from med2e3.engine import Model
from med2e3.model.m3d_lamed import M3DLaMedForConditionalGeneration
from med2e3.model.m3d_lamed_config import M3DLaMedConfig

WORDS, ADDED = 60, ("<im_patch>", "<bx_start>", "<bx_end>", "[SEG]")
VIT = {
    "class_token": "cls_token",
    "positions": "patch_embedding.position_embeddings",
    "patch_embedding.projection.": "patch_embedding.patch_embeddings.1.",
    ".linear": ".mlp.linear",
}
CONFIG: dict[str, Any] = {
    "architectures": ["LamedLlamaForCausalLM"], "model_type": "lamed_llama",
    "attention_bias": False, "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu",
    "hidden_size": 16, "image_channel": 1, "image_size": [8, 16, 16], "initializer_range": 0.02,
    "intermediate_size": 32, "max_position_embeddings": 256, "mm_hidden_size": 16,
    "mm_projector_type": "spp", "num_attention_heads": 2, "num_hidden_layers": 2,
    "num_key_value_heads": 2, "patch_size": [2, 4, 4], "pretraining_tp": 1,
    "proj_layer_num": 2, "proj_layer_type": "mlp", "proj_pooling_size": 2,
    "proj_pooling_type": "spatial", "rms_norm_eps": 1e-05, "rope_scaling": None,
    "rope_theta": 10000.0, "seg_token_id": 63, "segmentation_module": "segvol",
    "tie_word_embeddings": False, "torch_dtype": "float32", "transformers_version": "4.38.1",
    "use_cache": True, "vision_select_feature": "patch", "vision_select_layer": -1,
    "vision_tower": "vit3d", "vocab_size": WORDS + len(ADDED),
}  # fmt: skip


def _published_key(key: str) -> str:
    """The published name of one of our keys: the table read backwards."""
    for theirs, ours in PREFIXES:
        if ours and key.startswith(ours):
            rest = key.removeprefix(ours)
            if ours == "vision3d." or rest.startswith("image_encoder."):
                for mine, published in VIT.items():
                    rest = rest.replace(mine, published)
            return theirs + rest
    raise AssertionError(key)


def _write_tokenizer(folder: Path) -> None:
    lines = ["the liver is in this image", "what is the plane of this image", "axial or coronal"]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines * 30), model_writer=model, vocab_size=WORDS,
        model_type="bpe", unk_id=0, bos_id=1, eos_id=2, pad_id=-1, minloglevel=2,
        hard_vocab_limit=False,
    )  # fmt: skip
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    ids = {token: WORDS + k for k, token in enumerate(ADDED)}
    (folder / "added_tokens.json").write_text(json.dumps(ids))
    plain = {"lstrip": False, "rstrip": False, "single_word": False}
    basic = dict(enumerate(("<unk>", "<s>", "</s>")))
    added = {i: t for t, i in ids.items()}
    settings = {
        "add_bos_token": True,
        "add_eos_token": False,
        "added_tokens_decoder": {
            str(i): {"content": t, "special": t != "[SEG]", "normalized": t == "[SEG]", **plain}
            for i, t in {**basic, **added}.items()
        },
        "additional_special_tokens": list(ADDED[:3]),
        "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>",
        "legacy": False, "model_max_length": 512, "tokenizer_class": "LlamaTokenizer",
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def _native_config() -> M3DLaMedConfig:
    sizes = {
        "image_size": [8, 16, 16], "patch_size": [2, 4, 4], "hidden_size": 16,
        "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    }  # fmt: skip
    kept = (
        "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "vocab_size", "max_position_embeddings", "rms_norm_eps",
        "bos_token_id", "eos_token_id",
    )  # fmt: skip
    return M3DLaMedConfig(
        vision_config=sizes,
        text_config={"model_type": "llama", **{key: CONFIG[key] for key in kept}},
        image_token_id=60,
        box_start_id=61,
        box_end_id=62,
        seg_token_id=63,
    )


@pytest.fixture(scope="module")
def original() -> M3DLaMedForConditionalGeneration:
    torch.manual_seed(0)
    model = M3DLaMedForConditionalGeneration(_native_config()).eval()
    with torch.no_grad():  # weights large enough for answers that differ
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.fixture(scope="module")
def folder(
    original: M3DLaMedForConditionalGeneration, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Two shards, as the release has six."""
    path = tmp_path_factory.mktemp("M3D-LaMed-Llama-2-7B")
    weights = {_published_key(key): tensor for key, tensor in original.state_dict().items()}
    weights["model.seg_module.prompt_encoder.point_embeddings.0.weight"] = torch.zeros(1, 16)
    names = sorted(weights)
    shards = {name: f"model-0000{1 + (k % 2)}-of-00002.safetensors" for k, name in enumerate(names)}
    for shard in set(shards.values()):
        part = {n: weights[n].clone().contiguous() for n in names if shards[n] == shard}
        save_file(part, path / shard, metadata={"format": "pt"})
    index = {"metadata": {"total_size": 0}, "weight_map": shards}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))
    (path / "config.json").write_text(json.dumps(CONFIG))
    _write_tokenizer(path)
    return path


def test_keys_and_table_agree_both_ways(original: M3DLaMedForConditionalGeneration) -> None:
    for key in original.state_dict():
        assert native_key(_published_key(key)) == key


@pytest.mark.parametrize("form", ["published", "converted"])
def test_the_llama_form_answers_as_the_model_it_was_written_from(
    original: M3DLaMedForConditionalGeneration, folder: Path, tmp_path: Path, form: str
) -> None:
    place = folder if form == "published" else convert(folder, tmp_path / "native")
    model = med2e3.load(place, device="cpu")
    assert model.info.kind == "m3d-lamed"
    assert "Llama 2" in model.info.licence
    grid = np.random.default_rng(0).random((8, 16, 16), dtype=np.float32)
    answer = model.read(grid, crop=False).ask("what is the plane of this image", max_new_tokens=6)
    answer.complete()
    batch = model.backend.processor("what is the plane of this image")
    new = original.generate(
        **batch,
        pixel_values=torch.from_numpy(grid)[None, None],
        max_new_tokens=6,
        do_sample=False,
        eos_token_id=2,
        pad_token_id=0,
    )[0, batch["input_ids"].shape[1] :].tolist()
    assert answer.token_ids == [token for token in new if token != 2]
    assert len(set(new)) > 1


def test_the_prompt_opens_with_the_start_token_and_the_image(folder: Path) -> None:
    processor = open_checkpoint(folder).processor
    ids = processor.prompt_ids("what is this")
    assert ids[0] == 1
    assert ids[1:9] == [60] * 8
    assert 60 not in ids[9:]
    with_space = processor.prompt_ids(" what is this")
    assert with_space != ids
    assert processor.decode([61, *processor.tokenizer("this").input_ids, 63]).endswith("[SEG]")


def test_a_missing_shard_is_named(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        if "00002-of" not in file.name:
            (tmp_path / file.name).symlink_to(file)
    with pytest.raises(med2e3.Med2E3Error, match="model-00002-of-00002"):
        med2e3.load(tmp_path, device="cpu")


def test_a_projector_of_another_width_is_named(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "config.json").unlink()
    wider = {**CONFIG, "intermediate_size": 48}
    (tmp_path / "config.json").write_text(json.dumps(wider))
    with pytest.raises(med2e3.Med2E3Error, match=r"mlp\.\w+_proj\.weight is .* and not"):
        med2e3.load(tmp_path, device="cpu")


def test_released_sizes_follow_from_the_published_config() -> None:
    """The numbers of visual tokens and parameters that the release states."""
    config = M3DLaMedConfig(
        text_config={
            "model_type": "phi3", "vocab_size": 32015, "hidden_size": 3072,
            "intermediate_size": 8192, "num_hidden_layers": 32, "num_attention_heads": 32,
            "pad_token_id": 32000,
        }
    )  # fmt: skip
    assert config.num_visual_tokens == 256
    with torch.device("meta"):
        model = M3DLaMedForConditionalGeneration(config)
    count = sum(p.numel() for p in model.parameters())
    assert math.isclose(count * 4, 16.2e9, rel_tol=0.01)  # 4.96 + 4.98 + 4.99 + 1.26 GB in float32


def test_one_door_for_every_kind(folder: Path) -> None:
    assert isinstance(med2e3.load(folder, device="cpu"), Model)
