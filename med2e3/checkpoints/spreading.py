"""A model over several devices: which part goes where, and whether each has room.

A device map is "auto", or a dict of module names to devices as accelerate takes it: "cuda:0", 0,
"cpu", "disk". Parts on the CPU or the disk are streamed to the first GPU of the map when they are
needed, or compute on the CPU where the map has no GPU. Towers of the image encoders stay whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from med2e3.checkpoints.reading import listed
from med2e3.errors import ResourceError

#: Device of each part, by module name; "" is the whole model.
DeviceMap = Mapping[str, str | int | torch.device]

#: The place of parts that are read from a temporary file whenever they are needed.
DISK = "disk"

AUTO = "auto"


def normalised(device_map: str | DeviceMap | None) -> str | dict[str, str] | None:
    """Write the devices of a map as names; raises `ResourceError` for what is no device map."""
    if device_map is None or device_map == AUTO:
        return device_map
    if isinstance(device_map, str) or not device_map:
        raise ResourceError(
            f"There is no device map {device_map!r}; give 'auto', or a dict of module names to "
            "devices, such as {'': 'cuda:0'}."
        )
    return {name: _device_name(device) for name, device in device_map.items()}


def places(device_map: str | dict[str, str]) -> list[str]:
    """List the devices of a map, GPUs first; those of "auto" are every GPU and the CPU."""
    if isinstance(device_map, dict):
        named = dict.fromkeys(device_map.values())
        return sorted(named, key=lambda place: (place == DISK, place == "cpu"))
    return [f"cuda:{number}" for number in range(torch.cuda.device_count())] + ["cpu"]


def computing(device_map: str | dict[str, str]) -> torch.device:
    """The device that inputs are put on: the first GPU of the map, else the CPU."""
    first = places(device_map)[0]
    return torch.device("cpu" if first == DISK else first)


def place_of(name: str, device_map: dict[str, str]) -> str | None:
    """The device of the tensor `name`, by the longest module name that it begins with."""
    parts = name.split(".")
    for length in range(len(parts), -1, -1):
        place = device_map.get(".".join(parts[:length]))
        if place is not None:
            return place
    return None


def expanded(device_map: dict[str, str], names: Mapping[str, Tensor]) -> dict[str, str]:
    """Split entries of a map until none lies inside of another, as accelerate demands.

    Each split replaces an entry by the children of its module.
    """
    found = dict(device_map)
    while outer := [key for key in found if _has_inner(key, found)]:
        for key in outer:
            place, start = found.pop(key), f"{key}." if key else ""
            for name in names:
                if name.startswith(start):
                    found.setdefault(start + name[len(start) :].split(".")[0], place)
    return found


def _has_inner(key: str, keys: Mapping[str, str]) -> bool:
    return any(other != key and other.startswith(f"{key}." if key else "") for other in keys)


def check_covers(device_map: dict[str, str], names: Mapping[str, Tensor]) -> None:
    """Raise `ResourceError` unless the map has a device for every tensor."""
    homeless = [name for name in names if place_of(name, device_map) is None]
    if homeless:
        raise ResourceError(
            f"The device map has no place for {listed(homeless)}. Add their modules, or an entry "
            "'' for all the rest."
        )


def check_quantized_places(device_map: str | dict[str, str], quantize: str | None) -> None:
    """Raise `ResourceError` if quantised weights would have to be streamed."""
    if quantize is None or device_map == AUTO:
        return
    named = set(places(device_map))
    if DISK in named or ("cpu" in named and len(named) > 1):
        raise ResourceError(
            f"Weights in {quantize} cannot be streamed: with quantize the device map names GPUs "
            f"alone or the CPU alone, not {', '.join(places(device_map))}. Leave out quantize, or "
            "change the map."
        )


def described(network: Any, device: torch.device) -> str:
    """Name the devices of a loaded model for people, e.g. "cuda:0, cuda:1, cpu"."""
    spread = getattr(network, "hf_device_map", None)
    if not spread:
        return str(device)
    return ", ".join(places({name: _device_name(place) for name, place in spread.items()}))


def _device_name(device: str | int | torch.device) -> str:
    if device == DISK:
        return DISK
    try:
        chosen = torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ResourceError(
            f"The device map names {device!r}, which is no device; use cpu, disk, cuda:0, cuda:1."
        ) from error
    return "cuda:0" if str(chosen) == "cuda" else str(chosen)
