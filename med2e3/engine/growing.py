"""Keys and values that grow in place: memory is taken ahead of the tokens, not anew for each.

A dynamic cache of transformers joins all rows so far with each new one, which copies them at every
token. Here a layer has room for `STEP` rows more than it holds; a token fills one of them. Values
are those of the dynamic cache, bit for bit. Knows nothing of volumes.
"""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor
from transformers.cache_utils import DynamicLayer

#: Rows of room that are taken at once: a usual answer fits, and little memory waits in vain.
STEP = 128


class GrowingLayer(DynamicLayer):  # type: ignore[misc]
    """Starts from keys and values (B, H, T, D) of another layer, which it never changes."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.dtype, self.device = keys.dtype, keys.device
        self.is_initialized = True
        self.keys, self.values = keys, values
        self._rooms: tuple[Tensor, Tensor] | None = None

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Add rows (B, H, T, D); returns all keys and values, as views of the rooms."""
        held, new = self.keys.shape[-2], key_states.shape[-2]
        rooms = self._rooms
        if rooms is None or held + new > rooms[0].shape[-2]:
            rooms = self._rooms = (
                _with_room(self.keys, new + STEP),
                _with_room(self.values, new + STEP),
            )
        for room, rows in zip(rooms, (key_states, value_states), strict=True):
            room[..., held : held + new, :] = rows
        self.keys, self.values = (room[..., : held + new, :] for room in rooms)
        return self.keys, self.values

    def reset(self) -> None:
        """Forget all rows."""
        self._rooms = None
        super().reset()

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat each entry of the batch."""
        self._rooms = None
        super().batch_repeat_interleave(repeats)

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep the entries of the batch at `indices` (B,)."""
        if self._rooms is None:
            super().batch_select_indices(indices)
            return
        held = self.keys.shape[-2]
        self._rooms = (self._rooms[0][indices], self._rooms[1][indices])
        self.keys, self.values = (room[..., :held, :] for room in self._rooms)


def growing(layer: Any) -> Any:
    """A layer that starts from another one's rows and grows without changing it.

    Layers of a sliding window, and those that hold nothing yet, are copied as they are: they
    replace their tensors when they grow.
    """
    if type(layer) not in (DynamicLayer, GrowingLayer) or not layer.get_seq_length():
        return copy.copy(layer)
    return GrowingLayer(layer.keys, layer.values)


def _with_room(rows: Tensor, more: int) -> Tensor:
    """A tensor that begins with `rows` (B, H, T, D) and has room for `more`."""
    batch, heads, held, width = rows.shape
    room = rows.new_empty((batch, heads, held + more, width))
    room[..., :held, :] = rows
    return room
