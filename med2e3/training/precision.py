"""In which precision a stage computes, and how its process keeps memory. Knows nothing of what it
computes.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

import torch

CPU = torch.device("cpu")


@cache
def has_fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware.

    Where it does, products are four to five times faster than in float32; where it does not (AVX2
    alone), they were measured at a fifteenth of float32's speed, and convolutions far slower.
    """
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def half_precision(device: torch.device) -> torch.autocast:
    """Autocast to bfloat16 where that pays; parameters, losses and optimizer stay float32."""
    fast = has_fast_bfloat16() if device.type == "cpu" else torch.cuda.is_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)


#: Parameters of glibc's `mallopt` (malloc.h), and what they are set to: trim nothing, ask for
#: 64 MiB at a time, and map no block of its own.
_MALLOPT = {-1: 2**31 - 1, -2: 64 * 2**20, -4: 0}


def keep_memory() -> None:
    """Freed memory stays with this process, for the next step needs as much; glibc alone."""
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        for parameter, value in _MALLOPT.items():
            library.mallopt(parameter, value)
