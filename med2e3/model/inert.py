"""A model folder is data: settings that would load code are refused before transformers reads them.

A settings file can name Python modules (`auto_map`), attention kernels of a hub ("org/kernel"),
quantisation methods that fetch kernels, and classes. Each is held to a list here, and the reader is
never asked. Knows nothing of weights.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from med2e3.errors import CheckpointError

CONFIG_FILE, ADAPTER_FILE = "config.json", "adapter_config.json"

#: The settings of tokenizers and processors; transformers reads each of them.
TOKENIZER_FILES = (
    "tokenizer_config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "image_processor_config.json",
    "feature_extractor_config.json",
    "generation_config.json",
)

#: Attention in torch itself. Every other name is a library or a kernel that a hub serves.
ATTENTIONS = ("eager", "sdpa")

#: The one library of attention that may be named, and its package. Without the package transformers
#: would fetch a kernel of the same name from the hub.
FLASH, FLASH_PACKAGE = "flash_attention_2", "flash_attn"

#: The method that `med2e3.checkpoints.quantizing` knows; others bring kernels of their own.
QUANTIZATIONS = ("bitsandbytes",)

#: Tokenizers of the language models and text encoders that are read here: Llama's and Phi-3's,
#: BERT's, RoBERTa's (BERTScore), those of CLIP, SigLIP and the common models of images and texts,
#: and those that are described by `tokenizer.json` alone.
TOKENIZERS = (
    "LlamaTokenizer",
    "BertTokenizer",
    "RobertaTokenizer",
    "CLIPTokenizer",
    "SiglipTokenizer",
    "GPT2Tokenizer",
    "GemmaTokenizer",
    "Qwen2Tokenizer",
    "T5Tokenizer",
    "PreTrainedTokenizer",
    "TokenizersBackend",
)

_ATTENTION_KEYS = ("attn_implementation", "_attn_implementation", "_attn_implementation_internal")

_TRUST = "Nothing of it was run. Use a copy from a source that you trust."


def check_inert(folder: Path, *, config_is_data: bool = False) -> None:
    """Refuse a model folder whose settings would make a library load code.

    `config_is_data` tells that transformers never reads the folder's `config.json`: published
    folders name their code there (`auto_map`), and only their numbers are used. Raises
    `CheckpointError` with the file and the setting.
    """
    for name in TOKENIZER_FILES:
        _check_file(folder / name, may_name_code=False)
    _check_file(folder / CONFIG_FILE, may_name_code=config_is_data)


def check_opened_by_library(folder: Path) -> None:
    """As `check_inert`, for a folder that transformers opens by itself, weights included.

    A name that is no folder would be fetched from the hub, and so would the base of an adapter.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is not a folder. Give the folder that holds the model.")
    if (folder / ADAPTER_FILE).is_file():
        raise CheckpointError(
            f"{folder} holds a LoRA adapter ({ADAPTER_FILE}), whose base model would be looked for "
            "elsewhere. Merge it into its base first (peft: merge_and_unload) and save the result."
        )
    check_inert(folder)


def check_settings(settings: Mapping[str, Any], path: Path, *, may_name_code: bool = False) -> None:
    """As `check_inert`, for the settings that were read from `path`, at any depth of them."""
    for name, value in _pairs(settings):
        if name in ("auto_map", "custom_pipelines") and value and not may_name_code:
            raise CheckpointError(f"{path} names code to run ({name} = {value!r}). {_TRUST}")
        if name in _ATTENTION_KEYS:
            for choice in value.values() if isinstance(value, Mapping) else (value,):
                _check_attention(choice, name, path, unused=may_name_code)
        if name == "quantization_config":
            _check_quantization(value, path)
        if name == "tokenizer_class" and value is not None and not may_name_code:
            _check_tokenizer(value, path)


def open_tokenizer(folder: Path, config: Any = None) -> Any:
    """Read the tokenizer of a folder on this computer; code is neither run nor asked about.

    `config` stands for the folder's `config.json`, which is then not read. Raises
    `CheckpointError` where the folder names code or its tokenizer cannot be read.
    """
    check_inert(folder, config_is_data=True)
    try:
        return AutoTokenizer.from_pretrained(
            folder, config=config, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # tokenizers raises bare exceptions for damaged files
        raise CheckpointError(
            f"The tokenizer in {folder} cannot be read: {cause_of(error)}. Copy its files again."
        ) from error


def cause_of(error: BaseException) -> str:
    """The first line of an error's text, without its full stop; its type where it has no text."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")


def _check_file(path: Path, *, may_name_code: bool) -> None:
    if not path.is_file():
        return
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} cannot be read as JSON ({cause_of(error)}). Copy or download the file again."
        ) from error
    if not isinstance(settings, dict):
        raise CheckpointError(f"{path} holds no JSON object, so it is no settings file of a model.")
    check_settings(settings, path, may_name_code=may_name_code)


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    """All names and values of parsed JSON, at any depth."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            yield from one.items()
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def _check_attention(choice: Any, name: str, path: Path, *, unused: bool) -> None:
    if choice is None or choice in ATTENTIONS:
        return
    if choice == FLASH:
        if unused or importlib.util.find_spec(FLASH_PACKAGE) is not None:
            return
        raise CheckpointError(
            f"{path} says {name} = {choice!r}, which needs the package {FLASH_PACKAGE}; it is not "
            f"installed, and no kernel is fetched in its place. Write {ATTENTIONS[1]!r} there."
        )
    raise CheckpointError(
        f"{path} says {name} = {choice!r}; known are {', '.join((*ATTENTIONS, FLASH))}, and code "
        f"from a hub is never loaded. {_TRUST}"
    )


def _check_quantization(value: Any, path: Path) -> None:
    if value is None:
        return
    method = value.get("quant_method") if isinstance(value, Mapping) else value
    if method not in QUANTIZATIONS:
        raise CheckpointError(
            f"{path} says that the weights are quantised by {method!r}; known is "
            f"{', '.join(QUANTIZATIONS)}. Use the model's folder before it was quantised."
        )


def _check_tokenizer(value: Any, path: Path) -> None:
    if not isinstance(value, str) or value.removesuffix("Fast") not in TOKENIZERS:
        raise CheckpointError(
            f"{path} says tokenizer_class = {value!r}; known are {', '.join(TOKENIZERS)} and their "
            "fast forms. It is the tokenizer of another kind of model."
        )
