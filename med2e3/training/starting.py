"""The model that a published recipe starts from: a whole one, or one put together from three.

Knows nothing of data or losses.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor
from transformers import BertConfig, BertTokenizer

from med2e3.checkpoints import Checkpoint, Hub, build, find_model, open_checkpoint
from med2e3.checkpoints.hashes import check_recorded
from med2e3.checkpoints.med2e3_release import native_key
from med2e3.checkpoints.reading import Weights, read_json, read_weights, weight_files
from med2e3.checkpoints.release_config import REQUIRED, known_settings, translate
from med2e3.errors import CheckpointError, RecipeError
from med2e3.model import Med2E3Config, Med2E3ForConditionalGeneration, Med2E3Processor
from med2e3.model.connector import Connector
from med2e3.model.inert import open_tokenizer
from med2e3.training.published_recipe import PublishedRecipe

#: Where M3D-CLIP's text encoder comes from; its own folder lacks the sizes.
BERT = ("google-bert/bert-base-uncased", "bert-base-uncased")

#: Parts of a whole SigLIP that its image encoder does not need.
_SIGLIP_REST = ("text_model.", "logit_scale", "logit_bias")


@dataclass(frozen=True, eq=False)
class Start:
    """A model in float32 on the CPU, and its processor with the recipe's template."""

    model: Med2E3ForConditionalGeneration
    processor: Med2E3Processor


def open_start(recipe: PublishedRecipe, hub: Hub) -> Checkpoint:
    """What the recipe starts from, mapped from disk, with new weights for what is new.

    Raises `CheckpointError` when a part is missing or does not fit.
    """
    if "model" in recipe.start:
        checkpoint = open_checkpoint(find_model(recipe.start["model"], hub), hub)
        if checkpoint.kind != "med2e3":
            raise CheckpointError(
                f"{recipe.start['model']} is a model of kind “{checkpoint.kind}”; the recipe "
                "trains Med-2E3."
            )
    else:
        checkpoint = _put_together(recipe, hub)
    checkpoint.config.context_length = recipe.context_length
    processor = Med2E3Processor.for_model(
        checkpoint.config,
        checkpoint.processor.tokenizer,
        checkpoint.processor.question_words,
        template=recipe.template,
    )
    return replace(checkpoint, processor=processor)


def load_start(recipe: PublishedRecipe, hub: Hub) -> Start:
    """The model itself; as `open_start`."""
    checkpoint = open_start(recipe, hub)
    weights = {name: tensor.clone() for name, tensor in checkpoint.weights.items()}
    model = build(replace(checkpoint, weights=weights), torch.device("cpu"), torch.float32)
    return Start(model, checkpoint.processor)


def _put_together(recipe: PublishedRecipe, hub: Hub) -> Checkpoint:
    places = {piece: find_model(recipe.start[piece], hub) for piece in recipe.start}
    for place in places.values():
        check_recorded(place)
    config = _chosen(recipe, _config(recipe, places, hub))
    weights: Weights = {}
    weights.update(_renamed(places["language_model"], "llm", ()))
    weights.update(_renamed(places["vision2d"], "vision2d_model", _SIGLIP_REST))
    weights.update(_renamed(places["m3d_clip"], "vision3d_model", ()))
    weights = _fitting(config, weights, recipe.seed)
    tokenizer = open_tokenizer(places["language_model"])
    if tokenizer.eos_token_id is not None:
        config.text_config.eos_token_id = tokenizer.eos_token_id
        config.text_config.pad_token_id = tokenizer.pad_token_id
    words = None
    if config.text_source == "text_encoder":
        words = places["m3d_clip"] / "vocab.txt"
        if not words.is_file():
            words = hub.need(BERT, "vocab.txt", "the text encoder's vocabulary")
    return Checkpoint(
        kind="med2e3",
        folder=places["language_model"],
        model_class=Med2E3ForConditionalGeneration,
        config=config,
        processor=Med2E3Processor.for_model(
            config, tokenizer, BertTokenizer(str(words), do_lower_case=True) if words else None
        ),
        weights=weights,
        files=tuple(file for place in places.values() for file in weight_files(place)),
        licence="",
    )


def _config(recipe: PublishedRecipe, places: dict[str, Path], hub: Hub) -> Med2E3Config:
    """Sizes of the three parts in the released architecture."""
    path = places["vision2d"] / "config.json"
    siglip = read_json(path)
    language = read_json(places["language_model"] / "config.json")
    bert = hub.need(BERT, "config.json", "the text encoder's sizes")
    settings: dict[str, Any] = {
        **REQUIRED,
        "llm_type": language.get("model_type"),
        "llm_config": language,
        "llm_max_length": recipe.context_length,
        "vision2d_model_config": siglip.get("vision_config", siglip),
        "vision3d_model_config": read_json(places["m3d_clip"] / "config.json"),
    }
    sizes = BertConfig(**known_settings(BertConfig, read_json(bert)))
    return translate(settings, sizes, path)


def _renamed(folder: Path, part: str, unused: tuple[str, ...]) -> Weights:
    """The tensors that the model needs of one part, under our names."""
    weights: Weights = {}
    for key, tensor in read_weights(folder).items():
        if key.startswith(unused):
            continue
        name = native_key(part, key)
        if name is None:
            raise CheckpointError(
                f"{folder} holds {key}, which {part} does not have; it is another model."
            )
        if name:
            weights[name] = tensor
    return weights


def _chosen(recipe: PublishedRecipe, released: Med2E3Config) -> Med2E3Config:
    """The released form with the recipe's choices; raises `RecipeError` for what does not fit."""
    changes = recipe.model.changes()
    if not changes:
        return released
    said = {k: v for k, v in released.to_dict().items() if k not in ("model_type", "dtype")}
    try:
        return Med2E3Config(**{**said, **changes})
    except (StrictDataclassError, TypeError, ValueError) as error:
        said_ = " ".join(str(error).split())
        raise RecipeError(f"[model] makes no model: {said_}.", ("model",)) from error


def _fitting(config: Med2E3Config, weights: Weights, seed: int) -> Weights:
    """The tensors of the pieces that this model has, and new ones for what no piece has.

    New layers begin as torch draws linear layers; a scorer without text with a vector of zeros,
    which weighs all slices alike.
    """
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        shapes = {
            n: t.shape for n, t in Med2E3ForConditionalGeneration(config).state_dict().items()
        }
    kept = {name: tensor for name, tensor in weights.items() if name in shapes}
    new = _new_weights(config, seed)
    for name, shape in shapes.items():
        if name in kept:
            continue
        if name in new:
            kept[name] = new[name]
        elif name.startswith("scorer."):
            kept[name] = torch.zeros(shape)
    return kept


def _new_weights(config: Med2E3Config, seed: int) -> dict[str, Tensor]:
    """Connectors and text projection, as torch draws linear layers."""
    width = config.text_config.hidden_size
    encoder = config.text_encoder_config
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        new: dict[str, torch.nn.Module] = {
            "connector3d": Connector(config.vision3d_config.hidden_size, width),
            "connector2d": Connector(config.vision2d_config.hidden_size, width),
        }
        if encoder is not None:
            new["text_projection"] = torch.nn.Linear(encoder.hidden_size, width)
    return {
        f"{name}.{key}": tensor.detach()
        for name, module in new.items()
        for key, tensor in module.state_dict().items()
    }


def trained_parts(model: torch.nn.Module, names: Iterable[str]) -> list[str]:
    """Those of `names` that this model has."""
    return [name for name in names if getattr(model, name, None) is not None]
