"""What the engine computes of a volume once and uses for every question. Knows no networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from med2e3.engine.decoding import cache_bytes


class Features(Protocol):
    """The image features of a volume; each backend has a class of its own."""

    @property
    def nbytes(self) -> int:
        """Memory that the tensors take."""
        ...


@dataclass(frozen=True, eq=False)
class VolumeCache:
    """Image features, and keys and values of the prompt's prefix: its first `prefix_rows` rows.

    `prefix` is a transformers cache; copy it with `shared_copy` before a pass that grows it.
    """

    features: Any
    prefix: Any
    prefix_rows: int

    @property
    def nbytes(self) -> int:
        """Memory that features, keys and values take."""
        features: Features = self.features
        return features.nbytes + cache_bytes(self.prefix)


class CacheOwner(Protocol):
    """Holds the cache of one volume until the model drops it; `Session` is one."""

    cache: VolumeCache | None
