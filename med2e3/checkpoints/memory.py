"""Memory that a model needs, compared with what is free before it is loaded."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from typing import Any

import torch

from med2e3.checkpoints.checkpoint import Checkpoint
from med2e3.checkpoints.quantizing import QUANTIZATIONS, weight_bytes
from med2e3.checkpoints.spreading import AUTO, DISK, computing, place_of, places
from med2e3.errors import ResourceError
from med2e3.memory import free_bytes
from med2e3.words import size_text

#: Rows of a long question and its answer: a context of 100,000 is never filled in our use.
LONG_EXCHANGE = 1024


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes that a model needs: weights, key/value cache of a long exchange, and activations."""

    weights: int
    cache: int
    activations: int

    @property
    def total(self) -> int:
        """The sum of weights, cache and activations."""
        return self.weights + self.cache + self.activations


def memory_need(
    checkpoint: Checkpoint, dtype: torch.dtype, quantize: str | None = None
) -> MemoryNeed:
    """Bytes that loading a model and asking it need at a precision."""
    size = dtype.itemsize
    text = getattr(checkpoint.config, "text_config", None)
    return MemoryNeed(
        weights=sum(
            weight_bytes(name, tensor, dtype, quantize)
            for name, tensor in checkpoint.weights.items()
        ),
        cache=_cache_numbers(checkpoint.config, text) * size,
        activations=_activation_numbers(checkpoint.config) * size,
    )


def _cache_numbers(config: Any, text: Any) -> int:
    """Count of keys and values of a long exchange, twice: a cache is copied when it grows."""
    if text is None or not hasattr(text, "num_key_value_heads"):
        return 0
    head = text.hidden_size // text.num_attention_heads
    visual = int(getattr(config, "num_visual_tokens", 0))
    rows = min(int(getattr(config, "max_context", 0)), visual + LONG_EXCHANGE)
    return int(2 * 2 * text.num_hidden_layers * text.num_key_value_heads * head * rows)


def _activation_numbers(config: Any) -> int:
    """Count of activations at the peak of reading a volume: all slices in one 2D encoder layer.

    The peak holds input, output and hidden rows of an MLP, and the features that a session keeps.
    """
    v2 = getattr(config, "vision2d_config", None)
    if v2 is None or not getattr(config, "num_tokens2d", 0):
        return 0
    rows = config.grid_shape[0] * config.tokens_per_slice
    return int(rows * (4 * v2.hidden_size + 2 * v2.intermediate_size)) + int(
        rows * config.text_config.hidden_size
    )


def check_memory(
    checkpoint: Checkpoint,
    device: torch.device,
    dtype: torch.dtype,
    quantize: str | None = None,
    device_map: str | dict[str, str] | None = None,
) -> MemoryNeed:
    """Return the need; raises `ResourceError`, with figures and ways out, if it exceeds the room.

    With a device map, each device of the map must have room for its own parts.
    """
    need = memory_need(checkpoint, dtype, quantize)
    if isinstance(device_map, dict):
        for place, wanted in need_by_place(checkpoint, dtype, quantize, device_map).items():
            free = free_at(place)
            if wanted > free:
                raise ResourceError(
                    f"The device map puts {size_text(wanted)} of {checkpoint.folder.name} on "
                    f"{place}, where {size_text(free)} are free. "
                    f"{_ways_out(checkpoint, dtype, quantize, AUTO)}, or move parts "
                    "to another device of the map."
                )
        return need
    named = [str(device)] if device_map is None else auto_places(quantize)
    free = sum(free_at(place) for place in named)
    if need.total > free:
        form = str(dtype).removeprefix("torch.") + (f" and {quantize}" if quantize else "")
        raise ResourceError(
            f"{checkpoint.folder.name} needs {size_text(need.total)} on {', '.join(named)} in "
            f"{form} ({size_text(need.weights)} weights, {size_text(need.cache)} key/value cache, "
            f"{size_text(need.activations)} activations), but {size_text(free)} are free. "
            f"{_ways_out(checkpoint, dtype, quantize, device_map)}, or use another device."
        )
    return need


def need_by_place(
    checkpoint: Checkpoint, dtype: torch.dtype, quantize: str | None, device_map: dict[str, str]
) -> dict[str, int]:
    """Bytes on each device of a map; cache and activations count on that which takes the inputs."""
    need = memory_need(checkpoint, dtype, quantize)
    wanted = dict.fromkeys(places(device_map), 0)
    for name, tensor in checkpoint.weights.items():
        wanted[place_of(name, device_map) or DISK] += weight_bytes(name, tensor, dtype, quantize)
    first = str(computing(device_map))
    wanted[first] = wanted.get(first, 0) + need.cache + need.activations
    return wanted


def auto_places(quantize: str | None) -> list[str]:
    """List the devices of "auto"; if quantised, GPUs alone: such weights cannot be streamed."""
    every = places(AUTO)
    return every[:-1] if quantize and len(every) > 1 else every


def room_by_place(need: MemoryNeed, quantize: str | None) -> dict[int | str, int]:
    """Bytes of weights that "auto" may put on each device, as accelerate's `max_memory`.

    Each GPU keeps room for cache and activations, for accelerate decides which GPU holds them.
    """
    named = auto_places(quantize)
    spare = need.cache + need.activations
    room: dict[int | str, int] = {
        int(place.removeprefix("cuda:")): max(0, free_at(place) - spare)
        for place in named
        if place != "cpu"
    }
    room["cpu"] = free_at("cpu") if "cpu" in named else 0
    return room


def _ways_out(
    checkpoint: Checkpoint,
    dtype: torch.dtype,
    quantize: str | None,
    device_map: str | None,
) -> str:
    """The settings that need less memory, with their needs."""
    ways = ["Close other programs"]
    if dtype.itemsize > torch.bfloat16.itemsize:
        half = memory_need(checkpoint, torch.bfloat16, quantize).total
        ways.append(f"load in half precision (dtype bfloat16: {size_text(half)})")
    bits = QUANTIZATIONS.get(quantize or "", 16)
    smaller = [
        f"{name}: {size_text(memory_need(checkpoint, dtype, name).total)}"
        for name, count in QUANTIZATIONS.items()
        if count < bits
    ]
    if smaller:
        ways.append(f"quantise the language model (quantize {', '.join(smaller)})")
    if device_map is None:
        ways.append("spread it over GPUs and main memory (device_map auto)")
    return ", ".join(ways)


def free_at(place: str) -> int:
    """Bytes that are free at a place of a device map: a device, or the disk."""
    if place == DISK:
        return shutil.disk_usage(tempfile.gettempdir()).free
    return free_memory(torch.device(place))


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return free_bytes()
