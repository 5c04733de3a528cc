"""The directory of the published Med-2E3: five parts of weights, each in a folder of its own.

Layout and keys are as published (Med-2E3, 0b4c6c4). The release lacks the vocabulary and the sizes
of the text encoder; they are read from the hub files on this computer. Knows nothing of devices.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import BertConfig, BertTokenizer

from med2e3.checkpoints.checkpoint import Checkpoint, Layout, renamed
from med2e3.checkpoints.hashes import check_recorded
from med2e3.checkpoints.hub import Hub
from med2e3.checkpoints.m3d_vit import native_vit_key
from med2e3.checkpoints.names import find_release
from med2e3.checkpoints.reading import Weights, read_json, read_weights, weight_files
from med2e3.checkpoints.release_config import check_choices, known_settings, translate
from med2e3.errors import CheckpointError
from med2e3.model.inert import check_inert, check_settings, open_tokenizer
from med2e3.model.modeling import Med2E3ForConditionalGeneration
from med2e3.model.processor import Med2E3Processor

logger = logging.getLogger(__name__)

#: Published prefix → ours, part by part. "" marks weights that the model holds but never uses:
#: SigLIP's pooling head and final norm, the 3D encoder's final norm, and M3D-CLIP's own
#: projections for retrieval.
PARTS: dict[str, tuple[tuple[str, str], ...]] = {
    "llm": (("", "language_model."),),
    "vision2d_model": (
        ("vision_model.post_layernorm.", ""),
        ("vision_model.head.", ""),
        ("vision_model.", "vision2d.siglip."),
    ),
    "vision2d_connector": (
        ("_connector.0.", "connector2d.linear1."),
        ("_connector.2.", "connector2d.linear2."),
    ),
    "vision3d_model": (
        ("vision_encoder.norm.", ""),
        ("vision_encoder.", "vision3d."),
        ("language_encoder.", "text_encoder."),
        ("mm_vision_proj.", ""),
        ("mm_language_proj.", ""),
        ("logit_scale", ""),
    ),
    "vision3d_connector": (
        ("_connector.0.", "connector3d.linear1."),
        ("_connector.2.", "connector3d.linear2."),
        ("text_mlp.", "text_projection."),
    ),
}

TEXT_MLP_NOTE = (
    "The trained text projection (text_mlp) was loaded. The published loader never loads it, so "
    "its slice scores are random and differ from run to run, and from these."
)

#: Sizes of bert-base-uncased that its weights do not show.
BERT_BASE_WIDTH, BERT_BASE_HEADS = 768, 12


def fits(folder: Path) -> bool:
    """Whether a folder has the parts that the published code saves."""
    return (folder / "args" / "config.json").is_file() or (
        (folder / "config.json").is_file() and "exp_id" in read_json(folder / "config.json")
    )


def read(folder: Path, hub: Hub) -> Checkpoint:
    """Read the five parts under our names, config and processor."""
    check_inert(folder, config_is_data=True)
    path = settings_path(folder)
    settings = read_json(path)
    check_settings(settings, path, may_name_code=True)
    check_choices(settings, path)
    _refuse_adapter(folder)
    weights: Weights = {}
    for part, prefixes in PARTS.items():
        tensors = read_weights(folder / part)
        weights.update(renamed(tensors, _renamer(prefixes), folder / part, "the released Med-2E3"))
    notes = [TEXT_MLP_NOTE]
    logger.info(TEXT_MLP_NOTE)
    bert = _text_encoder_sizes(settings, weights, hub, notes)
    config = translate(settings, bert, path)
    tokenizer = _tokenizer(folder, settings, hub)
    config.text_config.eos_token_id = tokenizer.eos_token_id
    config.text_config.pad_token_id = tokenizer.pad_token_id
    words = _question_words(folder, settings, hub)
    return Checkpoint(
        kind="med2e3",
        folder=folder,
        model_class=Med2E3ForConditionalGeneration,
        config=config,
        processor=Med2E3Processor.for_model(config, tokenizer, words),
        weights=weights,
        files=tuple(file for part in PARTS for file in weight_files(folder / part)),
        licence=find_release("med2e3-m3d").licence,
        notes=tuple(notes),
    )


def settings_path(folder: Path) -> Path:
    """The path of the config that the published loader reads, else of its copy at the top."""
    path = folder / "args" / "config.json"
    return path if path.is_file() else folder / "config.json"


def native_key(part: str, key: str) -> str | None:
    """Our name of a published weight; "" for one that is never used, None for an unknown name."""
    return _renamer(PARTS[part])(key)


def _renamer(prefixes: tuple[tuple[str, str], ...]) -> Callable[[str], str | None]:
    def rename(key: str) -> str | None:
        for theirs, ours in prefixes:
            if key.startswith(theirs):
                rest = key.removeprefix(theirs)
                return ours and ours + (native_vit_key(rest) if ours == "vision3d." else rest)
        return None

    return rename


def _refuse_adapter(folder: Path) -> None:
    """Raise `CheckpointError` for a LoRA directory, which lacks the weights of its base model."""
    if (folder / "adapter_config.json").is_file():
        raise CheckpointError(
            f"{folder} holds a LoRA adapter (adapter_config.json), not a whole model: its language "
            "model's base is not in it. Merge the adapter into its base first "
            "(peft: merge_and_unload), save the result, and load that."
        )


def _text_encoder_sizes(
    settings: dict[str, Any], weights: Weights, hub: Hub, notes: list[str]
) -> BertConfig:
    """The sizes of the text encoder, from its config among the hub files, else from its weights."""
    repos = _text_repos(settings)
    path = hub.find(repos[1:], "config.json")
    if path is not None:
        return BertConfig(**known_settings(BertConfig, read_json(path)))
    words = weights.get("text_encoder.embeddings.word_embeddings.weight")
    if words is None or words.shape[1] != BERT_BASE_WIDTH:
        hub.need(repos[1:], "config.json", "the text encoder's sizes")
    notes.append(f"{repos[-1]}'s config was not found; the text encoder is taken as BERT base.")
    return BertConfig(num_attention_heads=BERT_BASE_HEADS)


def _text_repos(settings: dict[str, Any]) -> list[str]:
    """The hub ids whose files the text encoder may use: that of M3D-CLIP first, then of BERT."""
    clip = settings.get("vision3d_model_config", {})
    bert = str(clip.get("language_model_name_or_path") or "bert-base-uncased")
    own = str(clip.get("_name_or_path") or "GoodBaiBai88/M3D-CLIP")
    return [own, *([] if "/" in bert else [f"google-bert/{bert}"]), bert]


def _question_words(folder: Path, settings: dict[str, Any], hub: Hub) -> Any:
    """Read the uncased WordPiece tokenizer of the text encoder."""
    path = folder / "vision3d_model" / "vocab.txt"
    if not path.is_file():
        path = hub.need(_text_repos(settings), "vocab.txt", "the text encoder's vocabulary")
    return BertTokenizer(str(path), do_lower_case=True)


def _tokenizer(folder: Path, settings: dict[str, Any], hub: Hub) -> Any:
    """Read the tokenizer of the language model, which lies at the top of the folder."""
    place = folder
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model")):
        repo = str(settings.get("tokenizer_name_or_path", ""))
        found = hub.repo(repo) if repo else None
        if found is None:
            raise CheckpointError(
                f"{folder} has neither tokenizer.json nor tokenizer.model, and "
                f"{repo or 'its hub id'} is not on this computer. Copy the tokenizer's files into "
                "the folder."
            )
        place = found
    check_recorded(place)
    return open_tokenizer(place)


MED2E3_RELEASE = Layout("med2e3-release", "the published Med-2E3 directory", fits, read)
