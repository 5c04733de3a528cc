"""The language models that may stand inside, as transformers' own classes by their `model_type`.

Knows nothing of images or prompts.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import (
    Gemma2ForCausalLM,
    LlamaForCausalLM,
    MistralForCausalLM,
    Phi3ForCausalLM,
    Qwen2ForCausalLM,
    Qwen3ForCausalLM,
    SmolLM3ForCausalLM,
)

#: The language model's class, by the `model_type` of its config (`med2e3.model.config`).
LANGUAGE_MODELS: dict[str, Any] = {
    "phi3": Phi3ForCausalLM,
    "llama": LlamaForCausalLM,
    "gemma2": Gemma2ForCausalLM,
    "mistral": MistralForCausalLM,
    "qwen2": Qwen2ForCausalLM,
    "qwen3": Qwen3ForCausalLM,
    "smollm3": SmolLM3ForCausalLM,
}

#: Their layers, each of which lies whole on one device.
LAYERS = (
    "Phi3DecoderLayer", "LlamaDecoderLayer", "Gemma2DecoderLayer", "MistralDecoderLayer",
    "Qwen2DecoderLayer", "Qwen3DecoderLayer", "SmolLM3DecoderLayer",
)  # fmt: skip


def token_logits(language_model: Any, hidden: Tensor) -> Tensor:
    """Logits (…, V) in float32 of hidden states (…, D): what the model's own `forward` gives.

    Gemma 2 bounds its logits after the output layer.
    """
    logits: Tensor = language_model.lm_head(hidden).float()
    bound = getattr(language_model.config, "final_logit_softcapping", None)
    return logits if bound is None else bound * torch.tanh(logits / bound)


def window_of_layers(config: Any) -> int | None:
    """How many rows back the layers with the narrowest view attend to; None: all rows."""
    kinds = getattr(config, "layer_types", None)
    window = getattr(config, "sliding_window", None)
    slides = window is not None if kinds is None else "sliding_attention" in kinds
    return int(window) if slides and window else None
