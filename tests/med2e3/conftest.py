"""A model of a few thousand parameters, a tokenizer of a few dozen words, and where goldens lie."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

WORDS = """
a is are there of the in what which where slice scan image plane phase organ nodule effusion liver
kidney lung left right yes no axial coronal sagittal USER ASSISTANT : ? . A B C D
"""


@pytest.fixture(scope="session")
def tiny_tokenizer() -> Any:
    """A word-level tokenizer without BOS; ends with <eos>."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {w: i for i, w in enumerate(["<unk>", "<pad>", "<eos>", *WORDS.split()])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>", eos_token="<eos>"
    )


@pytest.fixture(scope="session")
def tiny_config(tiny_tokenizer: Any) -> Callable[..., Any]:
    """Makes a `Med2E3Config`: 8 slices of 32 × 32, 4 tokens a slice; keywords change choices."""
    from med2e3.model import Med2E3Config

    def make(**choices: Any) -> Med2E3Config:
        sizes: dict[str, Any] = {
            "vision3d_config": {
                "image_size": [8, 32, 32],
                "patch_size": [2, 8, 8],
                "hidden_size": 24,
                "intermediate_size": 48,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
            },
            "vision2d_config": {
                "image_size": 32,
                "patch_size": 16,
                "num_channels": 1,
                "hidden_size": 16,
                "intermediate_size": 32,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
            },
            "text_config": {
                "model_type": "phi3",
                "vocab_size": len(tiny_tokenizer),
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "max_position_embeddings": 256,
                "original_max_position_embeddings": 256,
                "bos_token_id": None,
                "eos_token_id": tiny_tokenizer.eos_token_id,
                "pad_token_id": tiny_tokenizer.pad_token_id,
            },
        }
        for name, value in choices.items():
            if isinstance(value, dict) and isinstance(sizes.get(name), dict):
                sizes[name] = {**sizes[name], **value}
            else:
                sizes[name] = value
        return Med2E3Config(**sizes)

    return make


@pytest.fixture(scope="session")
def tiny_model(tiny_config: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a seeded `Med2E3ForConditionalGeneration` in eval mode; keywords change choices."""
    import torch

    from med2e3.model import Med2E3ForConditionalGeneration

    def make(**choices: Any) -> Med2E3ForConditionalGeneration:
        torch.manual_seed(0)
        return Med2E3ForConditionalGeneration(tiny_config(**choices)).eval()

    return make


@pytest.fixture(scope="session")
def tiny_folder(
    tiny_model: Callable[..., Any],
    tiny_tokenizer: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Path]:
    """Makes a folder in our own format with a tiny random model; keywords change choices."""
    from med2e3.model import Med2E3Processor

    def make(**choices: Any) -> Path:
        folder = tmp_path_factory.mktemp("native") / "tiny"
        model = tiny_model(**choices)
        model.save_pretrained(folder)
        Med2E3Processor.for_model(model.config, tiny_tokenizer, template="short").save_pretrained(
            folder
        )
        return folder

    return make


@pytest.fixture(scope="session")
def golden_folder(fixtures: Path) -> Path:
    """The published layout at tiny sizes, with tensors recorded from the published code."""
    return fixtures / "med2e3"


@pytest.fixture(scope="session")
def golden(golden_folder: Path) -> Any:
    """The recorded arrays, with the trained text projection loaded."""
    return np.load(golden_folder / "golden.npz")


@pytest.fixture(scope="session")
def golden_items(golden_folder: Path) -> list[dict[str, Any]]:
    """The five recorded questions."""
    items: list[dict[str, Any]] = json.loads(
        (golden_folder / "inputs" / "eval.json").read_text(encoding="utf-8")
    )
    return items
