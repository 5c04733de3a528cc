"""Keys and values in memory of the length that an answer needs, taken once before its first token.

A dynamic cache of transformers joins all rows so far with each new one, which copies them at every
token. Here a token fills one row of memory that is there. Attention sees the filled rows alone, so
values are those of the dynamic cache, bit for bit. Knows nothing of volumes.
"""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor
from transformers.cache_utils import DynamicLayer

#: Rows that are taken where no length was asked for, or more come than were asked for.
STEP = 128


class GrowingLayer(DynamicLayer):  # type: ignore[misc]
    """Starts from keys and values (B, H, T, D) of another layer, which it never changes.

    `room` is how many rows will follow them.
    """

    def __init__(self, keys: Tensor, values: Tensor, room: int = 0) -> None:
        super().__init__()
        self.room = room
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
            more, self.room = self.room if self.room >= new else new + STEP, 0
            rooms = self._rooms = (_with_room(self.keys, more), _with_room(self.values, more))
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


def growing(layer: Any, room: int = 0) -> Any:
    """A layer that starts from another one's rows, with room for more, and never changes it.

    Layers of a sliding window, and those that hold nothing yet, are copied as they are: they
    replace their tensors when they grow.
    """
    if type(layer) not in (DynamicLayer, GrowingLayer) or not layer.get_seq_length():
        return copy.copy(layer)
    return GrowingLayer(layer.keys, layer.values, room)


def _with_room(rows: Tensor, more: int) -> Tensor:
    """A tensor that begins with `rows` (B, H, T, D) and has room for `more`."""
    batch, heads, held, width = rows.shape
    room = rows.new_empty((batch, heads, held + more, width))
    room[..., :held, :] = rows
    return room
