"""On which device a part of a model computes, also where accelerate has spread the parts.

Knows nothing of files or memory.
"""

from __future__ import annotations

import torch
from torch import nn


def device_of(module: nn.Module) -> torch.device:
    """The device that a module, or the first of its parts that says so, computes on.

    Parts that accelerate streams from main memory or disk have no weights of their own between
    calls; the device is then that of their hook. A module without weights is on the CPU.
    """
    for part in module.modules():
        held = getattr(part, "_hf_hook", None)
        for hook in getattr(held, "hooks", (held,)):
            device = getattr(hook, "execution_device", None)
            if device is not None:
                return _as_device(device)
    return next((p.device for p in module.parameters()), torch.device("cpu"))


def _as_device(device: torch.device | str | int) -> torch.device:
    """A bare number is a CUDA device, as accelerate means it."""
    return torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
