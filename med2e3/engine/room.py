"""How many tokens an answer may have, by the memory for their keys and values."""

from __future__ import annotations

import torch

from med2e3.checkpoints.memory import free_memory
from med2e3.engine.volume_cache import VolumeCache
from med2e3.errors import ResourceError
from med2e3.words import size_text

#: Of the free memory, what keys and values may take: a pass needs some for itself.
SHARE = 0.9


def fitting_tokens(cache: VolumeCache, prompt_rows: int, asked: int) -> int:
    """At most `asked` tokens, of which all keys and values fit into the free memory.

    `prompt_rows` follow the prefix, which an answer copies. Raises `ResourceError` where not even
    one token fits.
    """
    row = cache.prefix_bytes // max(1, cache.prefix_rows)
    device = cache.prefix_device
    if not row or device is None:
        return asked
    needed = row * (cache.prefix_rows + prompt_rows + asked)
    free = int(_free(device) * SHARE)
    if needed <= free:
        return asked
    fitting = free // row - cache.prefix_rows - prompt_rows
    if fitting < 1:
        raise ResourceError(
            f"The keys and values of the prompt take "
            f"{size_text(row * (cache.prefix_rows + prompt_rows + 1))}, but {size_text(free)} are "
            f"free on {device}. Close other programs or volumes, or ask in fewer words."
        )
    return fitting


def _free(device: torch.device) -> int:
    """Free bytes of a device, with what torch holds there without a use."""
    held = 0
    if device.type == "cuda":
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return free_memory(device) + held


def shortened(fitting: int, asked: int) -> str:
    """Says that an answer may have fewer tokens than asked for."""
    return (
        f"Memory is short: the answer may have {fitting} tokens in place of {asked}. "
        "Close other programs or volumes for a longer one."
    )
