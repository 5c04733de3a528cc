"""LoRA through `peft`: its table in a recipe, and its adapters put into a language model.

Knows nothing of recipes' files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from med2e3.checkpoints.adapters import NAME, check_peft
from med2e3.errors import InputError
from med2e3.fields import Count, Positive, Share, check_fields


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

    @classmethod
    def of_rank(cls, rank: int) -> LoRA:
        """Adapters of that rank with an alpha of twice as much, as published."""
        return cls(rank, 2.0 * rank)


def add_lora(language_model: nn.Module, lora: LoRA) -> Any:
    """Wraps the linear layers in place; only the adapters learn. Returns peft's config."""
    check_peft()
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout,
        target_modules=linear_names(language_model),
    )  # fmt: skip
    language_model.requires_grad_(False)
    inject_adapter_in_model(config, language_model, adapter_name=NAME)
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
