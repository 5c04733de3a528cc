"""What the engine computes once for a volume and uses for every question. Knows no networks."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from med2e3.engine.growing import growing


class Features(Protocol):
    """The image features of a volume; each backend has a class of its own."""

    @property
    def nbytes(self) -> int:
        """Memory that the tensors take."""
        ...


@dataclass(frozen=True, eq=False)
class VolumeCache:
    """Image features, and keys and values of the prompt's prefix: its first `prefix_rows` rows.

    `prefix` is a cache of transformers; a pass grows it, so give each pass a `copy_prefix`.
    """

    features: Any
    prefix: Any
    prefix_rows: int

    @property
    def prefix_bytes(self) -> int:
        """Memory that the keys and values take."""
        return sum(
            tensor.nbytes
            for layer in self.prefix.layers
            for tensor in (layer.keys, layer.values)
            if isinstance(tensor, Tensor)
        )

    @property
    def prefix_device(self) -> torch.device | None:
        """Where the first keys lie; None without a prefix."""
        keys = (layer.keys for layer in self.prefix.layers)
        return next((held.device for held in keys if isinstance(held, Tensor)), None)

    @property
    def nbytes(self) -> int:
        """Memory that features, keys and values take."""
        features: Features = self.features
        return features.nbytes + self.prefix_bytes

    def copy_prefix(self, room: int = 0) -> Any:
        """A cache that starts from the same keys and values and grows without changing them.

        It takes memory for `room` rows more at once, when the first rows are added.
        """
        twin = copy.copy(self.prefix)
        twin.layers = [growing(layer, room) for layer in self.prefix.layers]
        return twin


class CacheOwner(Protocol):
    """Holds the cache of one volume until the model drops it; `Session` is one."""

    cache: VolumeCache | None
