"""What all computations with one loaded model share: the backend, a lock, a limit of memory."""

from __future__ import annotations

import threading
import weakref
from functools import cached_property

from med2e3.engine.backends.backend import Backend, language_blocks
from med2e3.engine.info import ModelInfo
from med2e3.engine.interruption import PassWatch
from med2e3.engine.kept import KeptVolumes
from med2e3.engine.token_graph import TokenGraphs
from med2e3.engine.volume_cache import CacheOwner

#: Features and prefix of one volume at the published size take 0.33 GB in float32; this keeps six.
CACHE_LIMIT = 2_000_000_000


class Runtime:
    """One computation at a time: `lock` is held during each.

    Sessions own the caches of their volumes. The runtime knows the sessions by weak references,
    in the order of their use, and empties the least recently used where all take more than
    `cache_limit` bytes together; a session without its cache computes it again when asked.
    """

    def __init__(self, info: ModelInfo, backend: Backend) -> None:
        self.info = info
        self.backend = backend
        self.lock = threading.RLock()
        self.cache_limit = CACHE_LIMIT
        #: Where what volumes cost to encode is kept between programs; None: nowhere.
        self.kept: KeptVolumes | None = None
        #: Tokens as recorded steps, on CUDA; None: layer by layer.
        self.graphs: TokenGraphs | None = None
        # Least recently used first; replaced as a whole, so that any thread may read it.
        self._owners: tuple[weakref.ref[CacheOwner], ...] = ()

    @cached_property
    def watch(self) -> PassWatch:
        """The hooks on the language model's layers, by which a pass can be stopped; they stay."""
        return PassWatch(language_blocks(self.backend.network))

    @property
    def end_token(self) -> int:
        """The token that ends an answer."""
        return int(self.backend.processor.tokenizer.eos_token_id)

    @property
    def cache_bytes(self) -> int:
        """Memory that the caches of all living sessions take together."""
        caches = (owner.cache for owner in self._living())
        return sum(cache.nbytes for cache in caches if cache is not None)

    def mark_used(self, owner: CacheOwner) -> None:
        """Make `owner` the most recently used, and empty others while the limit is passed.

        Its own cache stays, however large. The caller holds the lock.
        """
        others = [o for o in self._living() if o is not owner and o.cache is not None]
        self._owners = tuple(weakref.ref(o) for o in (*others, owner))
        for least_recent in others:
            if self.cache_bytes <= self.cache_limit:
                break
            least_recent.cache = None

    def _living(self) -> list[CacheOwner]:
        owners = (reference() for reference in self._owners)
        return [owner for owner in owners if owner is not None]
