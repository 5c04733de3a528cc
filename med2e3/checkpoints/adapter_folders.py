"""A folder of LoRA adapters (peft) opened as a model: its base, with the adapters in its weights.

The adapters are added as they are read, without peft. The base must be on this computer. Knows
nothing of training.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from med2e3.checkpoints.adapters import PREFIX, WEIGHTS_FILE
from med2e3.checkpoints.checkpoint import Checkpoint
from med2e3.checkpoints.reading import Weights, read_json
from med2e3.errors import CheckpointError
from med2e3.model.inert import ADAPTER_FILE

#: What was trained beside the adapters, under our names; a folder of adapters alone lacks it.
BESIDE_FILE = "trained_beside.safetensors"

#: Where our models hold their language model.
LANGUAGE_MODEL = "language_model."

#: Settings of peft that change what adapters mean, and what they are where they change nothing.
PLAIN: dict[str, tuple[Any, ...]] = {
    "peft_type": ("LORA",),
    "use_dora": (False, None),
    "bias": ("none", None),
    "fan_in_fan_out": (False, None),
    "rank_pattern": ({}, None),
    "alpha_pattern": ({}, None),
    "modules_to_save": ([], None),
}


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds adapters, and no model of its own."""
    return (folder / ADAPTER_FILE).is_file() and not (folder / "config.json").is_file()


def base_of(folder: Path) -> str:
    """The model that adapters belong to, by folder or name; raises `CheckpointError` for none."""
    base = read_json(folder / ADAPTER_FILE).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise CheckpointError(
            f"{folder} holds a LoRA adapter without its base model: {ADAPTER_FILE} names none "
            "(base_model_name_or_path). Name it there, or merge the adapter into its base: "
            "med2e3 convert BASE TARGET --adapter FOLDER."
        )
    return base


def with_adapter(base: Checkpoint, folder: Path) -> Checkpoint:
    """The base with the adapters of a folder added to its weights.

    Raises `CheckpointError` for adapters of another kind than plain LoRA, and for those that do not
    fit.
    """
    settings = read_json(folder / ADAPTER_FILE)
    for name, plain in PLAIN.items():
        if settings.get(name) not in plain:
            raise CheckpointError(
                f"{folder / ADAPTER_FILE} says {name} = {settings.get(name)!r}; plain LoRA alone "
                "is read here. Merge it into its base first (peft: merge_and_unload)."
            )
    tensors = _read(folder / WEIGHTS_FILE)
    weights: Weights = dict(base.weights)
    for key, first in tensors.items():
        if ".lora_A." not in key:
            continue
        second = tensors.get(key.replace(".lora_A.", ".lora_B."))
        name = _name(key.split(".lora_A.")[0], weights)
        fits = second is not None and name and weights[name].shape == (len(second), first.shape[1])
        if not fits or second is None:
            raise CheckpointError(
                f"The adapter in {folder} does not fit its base {base.folder}: {key} has no layer "
                "of its size there. Name the base that it was trained on."
            )
        held = weights[name]
        moved = held.float() + _scale(settings, len(first)) * (second.float() @ first.float())
        weights[name] = moved.to(held.dtype)
    files = [*base.files, folder / WEIGHTS_FILE]
    if (folder / BESIDE_FILE).is_file():
        files.append(folder / BESIDE_FILE)
        _put(weights, _read(folder / BESIDE_FILE), folder)
    note = f"The adapter {folder.name} is added to {base.folder.name}."
    return dataclasses.replace(base, weights=weights, files=tuple(files)).with_notes(note)


def save_beside(state: Mapping[str, Tensor], folder: Path) -> None:
    """Writes what was trained beside adapters: tensors outside of the language model, by name."""
    kept = {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in state.items()
        if not name.startswith(LANGUAGE_MODEL)
    }
    if kept:
        save_file(kept, folder / BESIDE_FILE, {"format": "pt"})


def _put(weights: Weights, others: Mapping[str, Tensor], folder: Path) -> None:
    """Puts tensors in the place of those of the same name and shape."""
    for name, tensor in others.items():
        if name not in weights or weights[name].shape != tensor.shape:
            raise CheckpointError(
                f"{folder / BESIDE_FILE} holds {name}, which the base does not have in this size. "
                "Name the base that it was trained on."
            )
        weights[name] = tensor.to(weights[name].dtype)


def _name(key: str, weights: Weights) -> str:
    """Our name of the weight that an adapter changes; "" where there is none.

    Adapters of the language model alone leave its own name out.
    """
    path = key.removeprefix(PREFIX)
    names = (f"{LANGUAGE_MODEL}{path}.weight", f"{path}.weight")
    return next((name for name in names if name in weights), "")


def _scale(settings: Mapping[str, Any], rank: int) -> float:
    """What the product of an adapter's two matrices is multiplied by."""
    alpha = float(settings.get("lora_alpha", rank))
    return alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be read: {error}. Copy the adapter's folder again."
        ) from error
    return tensors
