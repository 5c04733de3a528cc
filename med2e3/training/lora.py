"""LoRA through `peft`, an optional dependency: put into a model, saved apart, merged, loaded again.

The model keeps its own classes and names; only linear layers of a part are wrapped. Knows nothing
of recipes' files.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from med2e3.errors import CheckpointError, InputError
from med2e3.training.fields import Count, Positive, Share, check_fields

#: The name of an adapter's weights, as peft has it, and how peft begins the names of its tensors.
WEIGHTS_FILE, PREFIX = "adapter_model.safetensors", "base_model.model."

#: The name of the one adapter inside a model.
NAME = "default"


@dataclass(frozen=True)
class LoRA:
    """Rank, alpha and dropout of the adapters of all linear layers of the language model.

    The output layer is not among them. M3D-LaMed was tuned with 16, 32 and 0.05.
    """

    rank: Count = 16
    alpha: Positive = 32.0
    dropout: Share = 0.05

    def __post_init__(self) -> None:
        check_fields(self)


def check_peft() -> None:
    """Raises `InputError` unless peft can be imported."""
    if importlib.util.find_spec("peft") is None:
        raise InputError(
            "LoRA needs peft, which is not installed. Install it: pip install 'med2e3[lora]', or "
            "train the language model whole (leave [lora] out)."
        )


def add_lora(language_model: nn.Module, lora: LoRA) -> Any:
    """Wraps the linear layers in place; only the adapters learn. Returns peft's config."""
    check_peft()
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout,  # type: ignore[arg-type]
        target_modules=linear_names(language_model),
    )  # fmt: skip
    language_model.requires_grad_(False)
    inject_adapter_in_model(config, language_model, adapter_name=NAME)  # type: ignore[arg-type]
    return config


def linear_names(language_model: nn.Module) -> list[str]:
    """The last names of the linear layers within the blocks; the output layer is left out."""
    names = {
        name.rpartition(".")[2]
        for name, module in language_model.named_modules()
        if isinstance(module, nn.Linear) and "lm_head" not in name
    }
    if not names:
        raise InputError("The language model has no linear layers that LoRA could adapt.")
    return sorted(names)


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
    inject_adapter_in_model(config, language_model, adapter_name=NAME)  # type: ignore[arg-type]
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
