"""The M3D-CLIP or M3D-LaMed that a recipe starts from: a whole one, or one put together.

Knows nothing of data or losses.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, BertConfig, BertTokenizer

from med2e3.checkpoints import Hub, build, find_model, open_checkpoint
from med2e3.checkpoints.hashes import check_recorded
from med2e3.checkpoints.reading import Weights, read_json, read_weights
from med2e3.checkpoints.release_config import known_settings
from med2e3.errors import CheckpointError, RecipeError
from med2e3.model.config import TEXT_CONFIGS, Vision3DConfig
from med2e3.model.inert import check_opened_by_library, open_tokenizer
from med2e3.model.m3d_clip import M3DClipConfig, M3DClipModel
from med2e3.model.m3d_lamed import M3DLaMedForConditionalGeneration
from med2e3.model.m3d_lamed_config import M3DLaMedConfig, SegVolConfig
from med2e3.model.m3d_lamed_processor import (
    BOX_END,
    BOX_START,
    IMAGE_PATCH,
    SEGMENT,
    M3DLaMedProcessor,
)
from med2e3.training.m3d_recipe import STAGES, M3DRecipe

#: Choices that a recipe's [model] may have for M3D-LaMed.
LAMED_CHOICES = (
    "projector", "projector_layer", "projector_layers", "pooling", "pool", "segmentation",
)  # fmt: skip

#: And for its mask head.
HEAD_CHOICES = ("decoder_layers", "decoder_heads", "decoder_mlp_size")


def load_m3d_start(recipe: M3DRecipe, hub: Hub) -> tuple[Any, Any]:
    """The model in float32 on the CPU, and its tokenizer (M3D-CLIP) or processor (M3D-LaMed).

    Raises `CheckpointError` when a part is missing or does not fit, `RecipeError` for a choice that
    there is not.
    """
    kind = STAGES[recipe.stage].model
    if "model" in recipe.start:
        return _whole(recipe, kind, hub)
    torch.manual_seed(recipe.seed)
    return _new_clip(recipe, hub) if kind == "m3d-clip" else _new_lamed(recipe, hub)


def _whole(recipe: M3DRecipe, kind: str, hub: Hub) -> tuple[Any, Any]:
    if recipe.model:
        raise RecipeError("[model] is for a new model; this one is whole already.", ("model",))
    checkpoint = open_checkpoint(find_model(recipe.start["model"], hub), hub)
    if checkpoint.kind != kind:
        raise CheckpointError(
            f"{recipe.start['model']} is a model of kind “{checkpoint.kind}”; the stage "
            f"“{recipe.stage}” trains “{kind}”."
        )
    weights = {name: tensor.clone() for name, tensor in checkpoint.weights.items()}
    model = build(replace(checkpoint, weights=weights), torch.device("cpu"), torch.float32)
    model.requires_grad_(True)
    if kind == "m3d-clip":
        return model, checkpoint.processor
    model.config.context_length = recipe.context_length
    processor = M3DLaMedProcessor.for_model(model.config, checkpoint.processor.tokenizer)
    return model, processor


def _new_clip(recipe: M3DRecipe, hub: Hub) -> tuple[Any, Any]:
    """A new vision encoder beside a pretrained BERT; or a BERT of the sizes that [model] states."""
    place = find_model(recipe.start["text_encoder"], hub)
    check_recorded(place)
    said = dict(recipe.model)
    vision, text = said.pop("vision", {}), said.pop("text", None)
    if said:
        raise RecipeError(f"[model] of M3D-CLIP has no “{next(iter(said))}”.", ("model",))
    if not (place / "vocab.txt").is_file():
        raise CheckpointError(f"{place} has no vocab.txt; it is no BERT.")
    sizes = known_settings(BertConfig, read_json(place / "config.json"))
    try:
        config = M3DClipConfig(
            vision_config=Vision3DConfig(**vision),
            text_config=BertConfig(**(sizes if text is None else {**sizes, **text})),
            max_text_length=recipe.context_length,
        )
        model = M3DClipModel(config)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"[model] makes no M3D-CLIP: {error}.", ("model",)) from error
    if text is None:
        _load(model.text_encoder, _bert(place), place)
    return model, BertTokenizer(
        str(place / "vocab.txt"), do_lower_case=True, model_max_length=config.max_text_length
    )


def _bert(place: Path) -> Weights:
    """BERT's tensors, without the prefix of models that wrap it."""
    weights = {k.removeprefix("bert."): v for k, v in read_weights(place).items()}
    renamed = {
        k.replace(".gamma", ".weight").replace(".beta", ".bias"): v for k, v in weights.items()
    }
    return {k: v for k, v in renamed.items() if not k.startswith("cls.")}


def _new_lamed(recipe: M3DRecipe, hub: Hub) -> tuple[Any, Any]:
    """A language model with M3D-CLIP's vision encoder, a new projector, and maybe a mask head."""
    places = {piece: find_model(recipe.start[piece], hub) for piece in recipe.start}
    for place in places.values():
        check_recorded(place)
    known = (*LAMED_CHOICES, *HEAD_CHOICES)
    odd = [name for name in recipe.model if name not in known]
    if odd:
        raise RecipeError(
            f"[model] of M3D-LaMed has no “{odd[0]}”. It has: {', '.join(known)}.",
            ("model", odd[0]),
        )
    clip = open_checkpoint(places["m3d_clip"], hub)
    if clip.kind not in ("m3d-clip", "m3d-clip-vision"):
        raise CheckpointError(f"{places['m3d_clip']} is a “{clip.kind}”, not M3D-CLIP.")
    tokenizer = open_tokenizer(places["language_model"])
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE_PATCH, BOX_START, BOX_END]})
    tokenizer.add_tokens(SEGMENT)
    model = _assemble(recipe, places["language_model"], clip, tokenizer)
    return model, M3DLaMedProcessor.for_model(model.config, tokenizer)


def _assemble(recipe: M3DRecipe, folder: Path, clip: Any, tokenizer: Any) -> Any:
    """The model with the weights of its pieces; new rows of embeddings are the mean of the old."""
    check_opened_by_library(folder)
    said = read_json(folder / "config.json")
    kind = said.get("model_type")
    if kind not in TEXT_CONFIGS:
        raise CheckpointError(f"{folder} is a {kind!r}; known are {', '.join(TEXT_CONFIGS)}.")
    weights = read_weights(folder)
    added = (IMAGE_PATCH, BOX_START, BOX_END, SEGMENT)
    ids = [int(tokenizer.convert_tokens_to_ids(token)) for token in added]
    text = AutoConfig.for_model(**{**known_settings(TEXT_CONFIGS[kind], said), "model_type": kind})
    text.vocab_size = len(tokenizer)
    text.eos_token_id, text.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    vision = clip.config if clip.kind == "m3d-clip-vision" else clip.config.vision_config
    choices = {k: v for k, v in recipe.model.items() if k in LAMED_CHOICES}
    choices.setdefault("segmentation", "segvol" if STAGES[recipe.stage].masks else "")
    head = {k: v for k, v in recipe.model.items() if k in HEAD_CHOICES}
    try:
        if choices["segmentation"]:
            tower = {**vision.to_dict(), "class_token": False, "final_norm": True}
            choices["segvol_config"] = SegVolConfig(vision_config=Vision3DConfig(**tower), **head)
        config = M3DLaMedConfig(
            vision_config=vision, text_config=text, context_length=recipe.context_length,
            image_token_id=ids[0], box_start_id=ids[1], box_end_id=ids[2], seg_token_id=ids[3],
            **choices,
        )  # fmt: skip
        model = M3DLaMedForConditionalGeneration(config)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"[model] makes no M3D-LaMed: {error}.", ("model",)) from error
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        if name in weights:
            weights[name] = _resized(weights[name], len(tokenizer))
    _load(model.language_model, weights, folder)
    tower_keys = "vision3d."
    own = {
        k.removeprefix(tower_keys): v for k, v in clip.weights.items() if k.startswith(tower_keys)
    }
    _load(model.vision3d, own, clip.folder)
    return model


def _resized(rows: torch.Tensor, count: int) -> torch.Tensor:
    """So many rows of an embedding: the first of the old ones, then their mean."""
    if count <= len(rows):
        return rows[:count].clone()
    mean = rows.float().mean(dim=0, keepdim=True).to(rows.dtype)
    return torch.cat([rows, mean.expand(count - len(rows), -1)])


def _load(module: torch.nn.Module, weights: Weights, folder: Path) -> None:
    """Raises `CheckpointError` where a tensor is missing or of another size."""
    own = module.state_dict()
    tied = {"lm_head.weight"} if "lm_head.weight" not in weights else set()
    missing = [
        name for name, tensor in own.items()
        if name not in tied and (name not in weights or weights[name].shape != tensor.shape)
        and not name.endswith("position_ids")
    ]  # fmt: skip
    if missing:
        raise CheckpointError(
            f"{folder} lacks {missing[0]}, or has it in another size; it is another model."
        )
    module.load_state_dict({k: v.float() for k, v in weights.items() if k in own}, strict=False)
