"""A loaded model: reads volumes into sessions and keeps what it computed of them, within bounds."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache

from med2e3.engine.backends.backend import Backend, Features, advance, language_blocks
from med2e3.engine.decoding import cache_bytes
from med2e3.engine.info import ModelInfo, Progress
from med2e3.engine.inputs import prepare_input
from med2e3.engine.watching import interruptible, stop_if
from med2e3.geometry import Plane
from med2e3.model.placing import device_of
from med2e3.volume import Volume, Window

if TYPE_CHECKING:
    from med2e3.engine.session import Session

#: Features and prefix of one volume at the published size take 0.33 GB in float32; this keeps six.
CACHE_LIMIT = 2_000_000_000

Cancelled = Callable[[], bool]


@dataclass(frozen=True, eq=False)
class VolumeCache:
    """What is kept of a volume: features, and the language model's cache of the prefix."""

    features: Features
    cache: Any
    prefix_rows: int

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.features.nbytes + cache_bytes(self.cache)


class Model:
    """Made by `med2e3.load`. One computation at a time: `lock` is held during each."""

    def __init__(self, info: ModelInfo, backend: Backend) -> None:
        self.info = info
        self.backend = backend
        self.lock = threading.RLock()
        self.cache_limit = CACHE_LIMIT
        self._kept: OrderedDict[int, VolumeCache] = OrderedDict()

    @property
    def end_token(self) -> int:
        """The token that ends an answer."""
        return int(self.backend.processor.tokenizer.eos_token_id)

    @property
    def cache_bytes(self) -> int:
        """Memory that the kept volumes take; the least recently used is dropped beyond a limit."""
        return sum(kept.nbytes for kept in list(self._kept.values()))

    def read(
        self,
        volume: Volume | NDArray[np.generic],
        *,
        plane: Plane | str | None = None,
        window: Window | str | None = None,
        crop: bool = True,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
    ) -> Session:
        """Bring a volume onto the model's grid and encode it once.

        `plane` and `window` None are the model's own; volumes that are not called CT and hold 0..1
        or 8-bit values are scaled by these instead. `crop` cuts to the box of what is brighter than
        black. An array must hold 0..1 (8-bit ones are divided by 255); it is cropped and resized
        like a volume, but one of zeros alone stays whole. Raises `PreprocessingError`, `Cancelled`.
        """
        from med2e3.engine.session import Session

        report = progress or (lambda fraction, what: None)
        report(0.0, "Preparing the volume")
        stop_if(cancelled)
        given, prepared = prepare_input(self.info, volume, plane, window, crop=crop)
        session = Session(self, given, prepared)
        self.kept(session, report, cancelled)
        return session

    def kept(
        self, session: Session, report: Progress | None = None, cancelled: Cancelled | None = None
    ) -> VolumeCache:
        """What is known of a session's volume, computed again if it was dropped."""
        with self.lock:
            key = id(session)
            kept = self._kept.get(key)
            if kept is None:
                kept = self._compute(session.input.grid, report, cancelled)
                weakref.finalize(session, self._kept.pop, key, None)
                self._kept[key] = kept
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and self.cache_bytes > self.cache_limit:
                self._kept.popitem(last=False)
            return kept

    @torch.inference_mode()
    def _compute(
        self, grid: torch.Tensor, report: Progress | None, cancelled: Cancelled | None
    ) -> VolumeCache:
        network = self.backend.model

        def tick(fraction: float) -> None:
            stop_if(cancelled)
            if report is not None:
                report(0.9 * fraction, "Encoding the volume")

        with interruptible(self.backend.vision_blocks(), tick):
            features = self.backend.encode(grid.to(device_of(network)))
        cache = DynamicCache(config=network.config.get_text_config())
        rows = self.backend.prefix(features)
        if rows.shape[1]:
            with interruptible(language_blocks(network), lambda _: stop_if(cancelled)):
                advance(network, rows, cache)
        if report is not None:
            report(1.0, "Encoding the volume")
        return VolumeCache(features, cache, rows.shape[1])
