"""What has to be said of every answer about a volume: that it means nothing, or less.

Knows nothing of questions.
"""

from __future__ import annotations

from contextlib import suppress

from med2e3.engine.info import ModelInfo
from med2e3.engine.likeness import read_likeness, vector_of
from med2e3.engine.volume_cache import VolumeCache
from med2e3.errors import DataError
from med2e3.phantoms.maker import NO_PHANTOM, made_as_phantom
from med2e3.volume import Volume, Window

OTHER_WINDOW = "The model was not trained in this window."


def is_trained_window(info: ModelInfo, window: Window | None) -> bool:
    """Whether the model was trained in this window; None is from minimum to maximum."""
    return window == info.default_window


def is_phantom(info: ModelInfo, volume: Volume, cache: VolumeCache) -> bool:
    """Whether a volume is a phantom: by its file, else by its likeness to those of the training.

    Where neither is known it is none.
    """
    said = made_as_phantom(volume)
    if said is not None:
        return said
    vector = vector_of(cache.features)
    with suppress(DataError):
        known = read_likeness(info)
        if known is not None and vector is not None and len(vector) == len(known.mean):
            return known.is_like(vector)
    return False


def cautions(
    info: ModelInfo, volume: Volume, window: Window | None, cache: VolumeCache
) -> tuple[str, ...]:
    """The sentences that belong to every answer of a model about a volume in a window."""
    said = []
    if info.is_demo and not is_phantom(info, volume, cache):
        said.append(NO_PHANTOM)
    if not is_trained_window(info, window):
        said.append(OTHER_WINDOW)
    return tuple(said)
