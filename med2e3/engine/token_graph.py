"""One token as one recorded step: a CUDA graph over keys, values and masks at fixed addresses.

A layer called by itself costs a GPU's host more time than the layer takes; a graph is one call.
Recording needs a network whose every value of a step lies in memory that stays: the cache has the
length of the context from the beginning, and a mask says which rows are filled. On a CPU, where the
tests run, the same step is called plainly in place of a recording.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import DynamicLayer

from med2e3.engine.growing import GrowingLayer
from med2e3.model.language import window_of_layers

#: Makes a function that repeats a step: a CUDA graph's replay, or on a CPU the step itself.
Record = Callable[[Callable[[], None]], Callable[[], None]]

#: Runs before recording, so that libraries choose their kernels outside of the graph.
WARM_UP = 3


class Rows:
    """The keys and values of one answer or batch, which may lie in a graph's memory meanwhile.

    `mask` (B, T) and `positions` (B,) are of a padded batch; None: all rows count, in their order.
    """

    def __init__(
        self, cache: Any, mask: Tensor | None = None, positions: Tensor | None = None
    ) -> None:
        self.cache, self.mask, self.positions = cache, mask, positions


class TokenGraph:
    """A step for `batch` tokens over `length` rows of keys and values.

    The memory holds one answer at a time. Another takes it by `take`, which first gives what the
    one before has added back to its own cache.
    """

    def __init__(
        self, network: Any, like: Any, batch: int, length: int, record: Record | None = None
    ) -> None:
        self._network, self._length = network, length
        device = like.layers[0].keys.device
        self._place = torch.zeros(1, dtype=torch.long, device=device)
        self._mask = torch.zeros((batch, 1, 1, length), dtype=torch.bool, device=device)
        self._ids = torch.zeros((batch, 1), dtype=torch.long, device=device)
        self._positions = torch.zeros((batch, 1), dtype=torch.long, device=device)
        self._cache = Cache(
            layers=[_FixedLayer(a, batch, length, self._place) for a in like.layers]
        )
        self._rotary = network.language_model.model.rotary_emb
        self._angles = tuple(t.clone() for t in self._turned())
        self._logits = torch.empty(0)
        self._owner: weakref.ref[Rows] | None = None
        self._from = self._filled = 0
        self._replay = (record or recorder(device))(self._step)

    @torch.inference_mode()
    def take(self, rows: Rows) -> None:
        """Bring an answer's keys and values into the graph's memory, unless they are there."""
        owner = None if self._owner is None else self._owner()
        if owner is rows:
            return
        if owner is not None:
            self._give_back(owner)
        held = rows.cache.get_seq_length()
        for own, layer in zip(self._cache.layers, rows.cache.layers, strict=True):
            own.keys[:, :, :held] = layer.keys
            own.values[:, :, :held] = layer.values
        self._mask.zero_()
        self._mask[:, 0, 0, :held] = True if rows.mask is None else rows.mask.bool()
        self._positions[:, 0] = held if rows.positions is None else rows.positions
        self._place.fill_(held)
        self._from = self._filled = held
        self._owner = weakref.ref(rows)

    @torch.inference_mode()
    def step(self, tokens: Sequence[int]) -> Tensor:
        """Logits (B, V) of the next tokens, valid until the next step. `take` comes before."""
        self._ids.copy_(torch.tensor(tokens, dtype=torch.long)[:, None])
        for held, now in zip(self._angles, self._turned(), strict=True):
            held.copy_(now)
        self._replay()
        self._filled += 1
        return self._logits

    def _give_back(self, owner: Rows) -> None:
        """Add the rows of the steps so far to their owner's cache."""
        new = slice(self._from, self._filled)
        for k, own in enumerate(self._cache.layers):
            owner.cache.update(own.keys[:, :, new].clone(), own.values[:, :, new].clone(), k)
        if owner.mask is not None:
            owner.mask = self._mask[:, 0, 0, : self._filled].clone()
        if owner.positions is not None:
            owner.positions = self._positions[:, 0].clone()

    @torch.inference_mode()
    def _step(self) -> None:
        """What is recorded: nothing in it depends on a value that the host would wait for."""
        self._mask.index_fill_(3, self._place, True)
        with _fixed_angles(self._rotary, self._angles):
            output = self._network.language_model(
                inputs_embeds=self._network.get_input_embeddings()(self._ids),
                attention_mask=self._mask,
                position_ids=self._positions,
                past_key_values=self._cache,
                use_cache=True,
                logits_to_keep=1,
            )
        self._logits = output.logits[:, -1].float()
        self._place.add_(1)
        self._positions.add_(1)

    def _turned(self) -> tuple[Tensor, Tensor]:
        """Cosines and sines of the positions, computed outside: long contexts compare them."""
        rows = self._cache.layers[0].keys[:, 0, :1]
        with torch.inference_mode():
            cosines, sines = self._rotary(rows, position_ids=self._positions)
        return cosines, sines


class TokenGraphs:
    """The graphs of one model: the last one of single answers, and the last one of batches."""

    def __init__(self, network: Any, record: Record | None = None) -> None:
        self._network, self._record = network, record
        self._graphs: dict[bool, tuple[tuple[int, int], TokenGraph]] = {}
        #: Why this model's tokens are not recorded; "" while they are.
        self.said = ""

    def of(self, cache: Any, batch: int, length: int) -> TokenGraph | None:
        """The graph for caches like `cache`; None where there can be none, which `said` explains.

        The caller holds the model's lock.
        """
        if self.said or not all(type(r) in (DynamicLayer, GrowingLayer) for r in cache.layers):
            return None
        kept = self._graphs.get(batch > 1)
        if kept is None or kept[0][0] != batch or kept[0][1] < length:
            self._graphs.pop(batch > 1, None)
            try:
                graph = TokenGraph(self._network, cache, batch, length, self._record)
            except torch.OutOfMemoryError:
                raise
            except (RuntimeError, NotImplementedError) as error:
                self.said = f"Tokens are computed layer by layer: {error}"
                return None
            kept = self._graphs[batch > 1] = ((batch, length), graph)
        return kept[1]


def graphs_of(network: Any, device: torch.device) -> TokenGraphs | None:
    """Graphs for a network that lies whole on one CUDA device; None for any other.

    Parts elsewhere, in few bits of bitsandbytes, and attention other than torch's own cannot be
    recorded; nor can layers that look back less far than the context reaches, for a graph has one
    mask for all layers.
    """
    whole = all(p.device.type == "cuda" for p in network.language_model.parameters())
    fused = network.language_model.config._attn_implementation == "sdpa"
    quantised = getattr(network, "is_quantized", False)
    possible = device.type == "cuda" and whole and fused and not quantised and sees_all(network)
    return TokenGraphs(network) if possible else None


def sees_all(network: Any) -> bool:
    """Whether every layer of the language model attends to all rows of the longest context."""
    window = window_of_layers(network.language_model.config)
    return window is None or network.config.max_context <= window


def recorder(device: torch.device) -> Record:
    """Records CUDA graphs on a CUDA device; elsewhere a step is called as it is."""
    if device.type != "cuda":
        return lambda step: step

    def record(step: Callable[[], None]) -> Callable[[], None]:
        beside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        beside.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(beside):
            for _ in range(WARM_UP):
                step()
        torch.cuda.current_stream(device).wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        return graph.replay

    return record


class _FixedLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values (B, H, L, D) at one address; new rows are written at `place`, a tensor."""

    def __init__(self, like: Any, batch: int, length: int, place: Tensor) -> None:
        super().__init__()
        self.dtype, self.device, self.is_initialized = like.keys.dtype, like.keys.device, True
        self._length, self._place = length, place
        self.keys = _empty(like.keys, batch, length)
        self.values = _empty(like.values, batch, length)

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write one row (B, H, 1, D); returns the whole memory."""
        self.keys.index_copy_(2, self._place, key_states)
        self.values.index_copy_(2, self._place, value_states)
        return self.keys, self.values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """The mask spans the whole memory."""
        return self._length, 0


def _empty(like: Tensor, batch: int, length: int) -> Tensor:
    return like.new_zeros((batch, like.shape[1], length, like.shape[3]))


class _fixed_angles:  # noqa: N801 - reads as a word of the `with` statement
    """While a step runs or is recorded, cosines and sines come from memory that stays."""

    def __init__(self, rotary: Any, angles: tuple[Tensor, ...]) -> None:
        self._rotary, self._angles = rotary, angles

    def __enter__(self) -> None:
        """Put the memory in the place of the module's own computation."""
        self._rotary.forward = lambda *_, **__: self._angles

    def __exit__(self, *_: object) -> None:
        """Have the module compute again."""
        del self._rotary.forward
