"""Computes what a session keeps of its volume: image features, and the prefix's keys and values."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import DynamicCache

from med2e3.engine.backends.backend import Backend, advance
from med2e3.engine.info import Progress
from med2e3.engine.interruption import PassWatch, StopCheck, interruptible, stop_if
from med2e3.engine.volume_cache import VolumeCache
from med2e3.model.placing import device_of

#: What progress says meanwhile.
STEP = "Encoding the volume"

#: Share of the progress bar for the encoders; the prefix takes the rest, in a single step.
ENCODERS_SHARE = 0.9


@torch.inference_mode()
def encode_volume(
    backend: Backend, watch: PassWatch, grid: Tensor, progress: Progress | None,
    cancelled: StopCheck | None,
) -> VolumeCache:  # fmt: skip
    """Pass a grid (1, S, H, W) in 0..1 through the encoders, and the prefix through the decoder.

    `watch` is on the decoder's blocks. Raises `Cancelled` between blocks once `cancelled` says so.
    The caller holds the model's lock.
    """
    network = backend.network

    def before_block(fraction: float) -> None:
        stop_if(cancelled)
        if progress is not None:
            progress(ENCODERS_SHARE * fraction, STEP)

    with interruptible(backend.vision_blocks(), before_block):
        features = backend.encode(grid.to(device_of(network)))
    prefix = DynamicCache(config=network.config.get_text_config())
    rows = backend.prefix(features)
    if rows.shape[1]:
        with watch.during(lambda _: stop_if(cancelled)):
            advance(network, rows, prefix)
    if progress is not None:
        progress(1.0, STEP)
    return VolumeCache(features, prefix, rows.shape[1])
