"""Adapters (LoRA) of a language model in peft's form: saved apart, loaded, merged.

peft is an optional dependency. The model keeps its own classes and names. Knows nothing of
training.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from med2e3.errors import CheckpointError, InputError

#: The name of an adapter's weights, as peft has it, and how peft begins the names of its tensors.
WEIGHTS_FILE, PREFIX = "adapter_model.safetensors", "base_model.model."

#: The name of the one adapter inside a model.
NAME = "default"


def check_peft() -> None:
    """Raises `InputError` unless peft can be imported."""
    if importlib.util.find_spec("peft") is None:
        raise InputError(
            "LoRA needs peft, which is not installed. Install it: pip install 'med2e3[lora]', or "
            "train the language model whole (leave [lora] out)."
        )


def save_adapter(language_model: nn.Module, config: Any, folder: Path) -> None:
    """Writes the adapters in peft's own form: its `PeftModel.from_pretrained` reads them too."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        PREFIX + name.replace(f".{NAME}.", "."): tensor.detach().cpu().contiguous()
        for name, tensor in language_model.state_dict().items()
        if "lora_" in name
    }
    save_file(tensors, folder / WEIGHTS_FILE, {"format": "pt"})
    config.save_pretrained(str(folder))


def load_adapter(language_model: nn.Module, folder: Path) -> None:
    """Puts saved adapters into a model, in place; raises `CheckpointError` for unfit ones."""
    check_peft()
    from peft import LoraConfig, inject_adapter_in_model

    try:
        config = LoraConfig.from_pretrained(str(folder))
        tensors = load_file(folder / WEIGHTS_FILE)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{folder} holds no adapter that can be read: {error}.") from error
    inject_adapter_in_model(config, language_model, adapter_name=NAME)
    state = {_named(key): tensor for key, tensor in tensors.items()}
    wanted = {k: v for k, v in language_model.state_dict().items() if "lora_" in k}
    odd = [k for k in {*state, *wanted} if k not in state or k not in wanted
           or state[k].shape != wanted[k].shape]  # fmt: skip
    if odd:
        raise CheckpointError(
            f"The adapter in {folder} does not fit this model: {sorted(odd)[0]} is missing or of "
            "another size."
        )
    language_model.load_state_dict(state, strict=False)


def _named(key: str) -> str:
    rest = key.removeprefix(PREFIX)
    return rest.replace(".lora_A.", f".lora_A.{NAME}.").replace(".lora_B.", f".lora_B.{NAME}.")


def has_lora(module: nn.Module) -> bool:
    """Whether adapters are inside."""
    return any("lora_" in name for name, _ in module.named_parameters())


@torch.no_grad()
def merge_lora(language_model: nn.Module) -> None:
    """Adds the adapters to the weights, in place, and takes the wrapping away."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(language_model.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            above, _, own = name.rpartition(".")
            setattr(language_model.get_submodule(above), own, module.get_base_layer())
