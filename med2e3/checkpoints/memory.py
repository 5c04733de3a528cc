"""Whether a model fits, said before it is loaded. Knows only sizes of tensors and devices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch

from med2e3.checkpoints.checkpoint import Checkpoint
from med2e3.errors import ResourceError

GIGABYTE = 1e9

#: Rows of a long question and its answer: a context of 100,000 is never filled in our use.
LONG_EXCHANGE = 1024

#: Where Linux keeps a container's own limit (cgroup v2, then v1): limit and use, in bytes.
CGROUP_FILES = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes that a model takes: weights, key/value cache of a full context, and activations."""

    weights: int
    cache: int
    activations: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.cache + self.activations


def memory_need(checkpoint: Checkpoint, dtype: torch.dtype) -> MemoryNeed:
    """What loading and asking take at this precision."""
    size = dtype.itemsize
    numbers = sum(t.numel() for t in checkpoint.weights.values())
    text = getattr(checkpoint.config, "text_config", None)
    return MemoryNeed(
        weights=numbers * size,
        cache=_cache_numbers(checkpoint.config, text) * size,
        activations=_activation_numbers(checkpoint.config) * size,
    )


def _cache_numbers(config: Any, text: Any) -> int:
    """Keys and values of a long exchange, twice: a growing cache is copied as it grows."""
    if text is None or not hasattr(text, "num_key_value_heads"):
        return 0
    head = text.hidden_size // text.num_attention_heads
    visual = int(getattr(config, "num_visual_tokens", 0))
    rows = min(int(getattr(config, "max_context", 0)), visual + LONG_EXCHANGE)
    return int(2 * 2 * text.num_hidden_layers * text.num_key_value_heads * head * rows)


def _activation_numbers(config: Any) -> int:
    """The widest moment of reading a volume: all slices in one layer of the 2D encoder.

    Input, output and hidden rows of an MLP together, and the features that a session keeps.
    """
    v2 = getattr(config, "vision2d_config", None)
    if v2 is None or not getattr(config, "num_tokens2d", 0):
        return 0
    rows = config.grid_shape[0] * config.tokens_per_slice
    return int(rows * (4 * v2.hidden_size + 2 * v2.intermediate_size)) + int(
        rows * config.text_config.hidden_size
    )


def check_memory(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> MemoryNeed:
    """The need; raises `ResourceError` naming it and what is free when it does not fit."""
    need, free = memory_need(checkpoint, dtype), free_memory(device)
    if need.total > free:
        precision = str(dtype).removeprefix("torch.")
        raise ResourceError(
            f"{checkpoint.folder.name} needs {_gb(need.total)} on {device} in {precision} "
            f"({_gb(need.weights)} weights, {_gb(need.cache)} key/value cache, "
            f"{_gb(need.activations)} activations), but {_gb(free)} are free. "
            "Close other programs, load in half precision (dtype bfloat16), or use another device."
        )
    return need


def free_memory(device: torch.device) -> int:
    """Bytes that can be taken on a device now; a container's own limit counts."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = int(psutil.virtual_memory().available)
    for limit, used in CGROUP_FILES:
        if Path(limit).is_file() and (bound := Path(limit).read_text().strip()).isdigit():
            free = min(free, max(0, int(bound) - _cgroup_use(Path(used))))
    return free


def _cgroup_use(path: Path) -> int:
    """Bytes in use in the container, without the page cache, which gives way."""
    statistics = dict(
        line.split() for line in (path.parent / "memory.stat").read_text().splitlines()
    )
    return int(path.read_text()) - int(statistics.get("inactive_file", 0))


def _gb(count: int) -> str:
    return f"{count / GIGABYTE:.1f} GB" if count >= GIGABYTE / 10 else f"{count / 1e6:.1f} MB"
