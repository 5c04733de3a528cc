"""Builds models with random weights by any config, to be measured without a checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import BertConfig, Phi3Config, PreTrainedTokenizerFast, SiglipVisionConfig

from med2e3.checkpoints import Checkpoint, build
from med2e3.checkpoints.quantizing import check_quantize
from med2e3.checkpoints.spreading import DeviceMap, described
from med2e3.engine import Model, ModelInfo
from med2e3.engine.backends.med2e3 import Med2E3Backend
from med2e3.engine.loading import check_packed, choose_dtype, choose_places, fitted
from med2e3.errors import CheckpointError
from med2e3.model import Med2E3Config, Med2E3ForConditionalGeneration, Med2E3Processor
from med2e3.model.config import Vision3DConfig

#: Words of the tokenizer that a random model gets: it has to cut text up, not to know it.
BYTES = 256


def released_config(layers: int | None = None) -> Med2E3Config:
    """The published Med-2E3 (SigLIP-L/16-256, M3D-CLIP, Phi-3-mini-128k), full size.

    `layers` builds only that many of the language model's 32 layers. Sizes: the models' own
    published configs.
    """
    return Med2E3Config(
        vision3d_config=Vision3DConfig(),
        vision2d_config=SiglipVisionConfig(
            hidden_size=1024, intermediate_size=4096, num_hidden_layers=24,
            num_attention_heads=16, image_size=256, patch_size=16,
        ),
        text_encoder_config=BertConfig(),
        text_config=Phi3Config(
            vocab_size=32064, hidden_size=3072, intermediate_size=8192,
            num_hidden_layers=layers or 32, num_attention_heads=32, max_position_embeddings=4096,
            bos_token_id=1, eos_token_id=32000, pad_token_id=32000,
        ),
        text_source="text_encoder",
        text_projection="linear",
        score_temperature=5.0,
        score_dropout=0.1,
        context_length=768,
    )  # fmt: skip


#: Architectures that can be measured by name.
SHAPES: dict[str, Callable[[int | None], Med2E3Config]] = {"released": released_config}


def random_model(
    config: Med2E3Config | str | Path,
    *,
    device: str | None = None,
    dtype: str | None = None,
    quantize: str | None = None,
    device_map: str | DeviceMap | None = None,
) -> Model:
    """A model of this config (or config.json) with random weights; it answers nonsense.

    Raises `CheckpointError` when the config cannot be read, `ResourceError` as `load` does.
    """
    if not isinstance(config, Med2E3Config):
        config = _read_config(Path(config))
    spread, where = choose_places(device, device_map)
    precision = choose_dtype(dtype, where)
    check_quantize(quantize, where)
    network = _filled(config, where if spread is None else torch.device("cpu"), precision)
    words = byte_tokenizer()
    questions = words if config.text_encoder_config is not None else None
    processor = Med2E3Processor.for_model(config, words, questions)
    packed = check_packed(quantize, spread)
    if (quantize and not packed) or spread:
        parts = Checkpoint(
            "med2e3", Path("random weights"), type(network), config, processor,
            network.state_dict(), (), "",
        )  # fmt: skip
        network = build(parts, where, precision, quantize, spread)
    backend = Med2E3Backend(network.eval(), processor)
    info = _describe(config, backend, described(network, where), precision)
    return fitted(Model(dataclasses.replace(info, quantize=quantize or ""), backend), packed, where)


def _filled(config: Med2E3Config, device: torch.device, dtype: torch.dtype) -> Any:
    """The network with its first random weights, never holding a float32 copy of a large one."""
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            return Med2E3ForConditionalGeneration(config).to(device)
    finally:
        torch.set_default_dtype(before)


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, and one that ends."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number + 1 for number, letter in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab={"<end>": 0, **vocabulary}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>")


def _read_config(path: Path) -> Med2E3Config:
    file = path / "config.json" if path.is_dir() else path
    try:
        config: Med2E3Config = Med2E3Config.from_json_file(str(file))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{file} is no config of a Med-2E3 model: {error}. Give the config.json of a native "
            "model folder (`med2e3 convert` writes one)."
        ) from error
    return config


def _describe(
    config: Med2E3Config, backend: Med2E3Backend, device: str, dtype: torch.dtype
) -> ModelInfo:
    return ModelInfo(
        name="random weights",
        kind="med2e3",
        is_demo=True,
        notice="Random weights, for measuring only: the answers are noise.",
        parameters=backend.network.num_parameters(),
        device=device,
        dtype=str(dtype).removeprefix("torch."),
        has_scores=backend.has_scores,
        grid_shape=config.grid_shape,
        default_plane=None,
        default_window=None,
        path="",
        weights_sha256="",
        licence="",
        notes=("Random weights.",),
    )
