"""The passes of one answer through the language model: its prompt, then token after token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from med2e3.engine.backends.backend import advance
from med2e3.engine.interruption import BlockCallback
from med2e3.engine.runtime import Runtime
from med2e3.engine.token_graph import Rows, TokenGraph
from med2e3.errors import ResourceError
from med2e3.model.placing import device_of


@dataclass(frozen=True, eq=False)
class DecoderInput:
    """What decoding begins with: `cache` of the prefix, and the prompt's other rows (1, T, D).

    `cache` grows with every token, so each answer has a copy of its own. `said` tells why
    `max_new_tokens` are fewer than were asked for.
    """

    cache: Any
    rows: Tensor
    max_new_tokens: int
    said: str = ""


class Decoder:
    """One answer's keys and values, and the passes that add to them.

    Each pass holds the model's lock, and calls `stop` before each layer, which may raise; a token
    that a graph computes is too short for that.
    """

    def __init__(self, model: Runtime, start: DecoderInput) -> None:
        self._model, self.start = model, start
        self._network = model.backend.network
        self._device = device_of(self._network)
        self._rows = Rows(start.cache)

    def prompt(self, stop: BlockCallback) -> Tensor:
        """Logits (V,) of the first token. Raises what `stop` raises, and `ResourceError`."""
        return self._pass(self.start.rows, stop)

    def token(self, token: int, stop: BlockCallback) -> Tensor:
        """Logits (V,) of the token after `token`. Raises as `prompt` does."""
        with self._model.lock:
            graph = self._graph()
            if graph is not None:
                with enough_memory(self._device):
                    graph.take(self._rows)
                    return graph.step([token])[0]
            ids = torch.tensor([[token]], device=self._device)
            with torch.inference_mode():
                rows = self._network.get_input_embeddings()(ids)
            return self._pass(rows, stop)

    def _pass(self, rows: Tensor, stop: BlockCallback) -> Tensor:
        with self._model.lock, self._model.watch.during(stop), enough_memory(self._device):
            return advance(self._network, rows, self.start.cache)

    def _graph(self) -> TokenGraph | None:
        graphs = self._model.graphs
        return None if graphs is None else graphs.of(self.start.cache, 1, self._longest)

    @property
    def _longest(self) -> int:
        return self._model.backend.context_length


class enough_memory:  # noqa: N801 - reads as a word of the `with` statement
    """Tells memory of a device that runs out inside a pass as a `ResourceError`."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def __enter__(self) -> None:
        """Nothing is taken ahead."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Raise `ResourceError` for what torch and Python say of memory."""
        if isinstance(error, torch.OutOfMemoryError | MemoryError):
            raise ResourceError(
                f"The memory of {self.device} ran out while the answer was computed. Close other "
                "volumes or programs that use it, or ask for a shorter answer."
            ) from error
