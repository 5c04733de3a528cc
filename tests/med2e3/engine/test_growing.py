"""Keys and values that grow in place are those of a cache that joins them anew."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.cache_utils import DynamicLayer

import med2e3
from med2e3.engine.growing import STEP, GrowingLayer, growing
from med2e3.volume import Volume

QUESTION = "is there a nodule in the left lung ?"


def _rows(number: int, generator: torch.Generator, batch: int = 1) -> tuple[Tensor, Tensor]:
    shape = (batch, 3, number, 8)
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


@pytest.fixture
def joined() -> Any:
    layer = DynamicLayer()
    layer.update(*_rows(5, torch.Generator().manual_seed(1)))
    return layer


def test_rows_are_those_of_a_joined_layer_also_beyond_the_room(joined: Any) -> None:
    mine, generator = growing(joined), torch.Generator().manual_seed(2)
    for number in (7, *[1] * (STEP + 3), 2 * STEP, 1):
        rows = _rows(number, generator)
        for one, other in zip(mine.update(*rows), joined.update(*rows), strict=True):
            assert torch.equal(one, other)
        assert mine.get_seq_length() == joined.get_seq_length()


def test_the_layer_it_starts_from_does_not_change(joined: Any) -> None:
    before = copy.deepcopy((joined.keys, joined.values))
    first, second = growing(joined), growing(joined)
    first.update(*_rows(3, torch.Generator().manual_seed(3)))
    second.update(*_rows(3, torch.Generator().manual_seed(4)))
    assert torch.equal(joined.keys, before[0])
    assert torch.equal(joined.values, before[1])
    assert not torch.equal(first.keys, second.keys)


def test_memory_is_taken_for_many_tokens_at_once(joined: Any) -> None:
    mine, generator = growing(joined), torch.Generator().manual_seed(5)
    places = set()
    for _ in range(2 * STEP):
        places.add(mine.update(*_rows(1, generator))[0].untyped_storage().data_ptr())
    assert len(places) <= 3


def test_a_batch_is_repeated_and_picked_from(joined: Any) -> None:
    mine, generator = growing(joined), torch.Generator().manual_seed(6)
    for layer in (mine, joined):
        layer.batch_repeat_interleave(4)
    for picked in ([0, 2, 3], [1, 2], [0]):
        rows = _rows(2, generator, batch=mine.keys.shape[0])
        for layer in (mine, joined):
            layer.update(*rows)
            layer.batch_select_indices(torch.tensor(picked))
        assert torch.equal(mine.keys, joined.keys)
        assert torch.equal(mine.values, joined.values)


def test_cropped_rows_are_written_over(joined: Any) -> None:
    mine, generator = growing(joined), torch.Generator().manual_seed(7)
    for _ in range(3):
        rows = _rows(4, generator)
        for layer in (mine, joined):
            layer.update(*rows)
            layer.crop(-2)
    assert torch.equal(mine.keys, joined.keys)
    assert torch.equal(mine.values, joined.values)


def test_a_layer_without_rows_grows_as_it_is() -> None:
    layer = growing(DynamicLayer())
    rows = _rows(2, torch.Generator().manual_seed(8))
    assert torch.equal(layer.update(*rows)[0], rows[0])


def test_memory_of_the_asked_length_is_taken_once(joined: Any) -> None:
    mine, generator = growing(joined, 3 + 200), torch.Generator().manual_seed(9)
    places = {mine.update(*_rows(3, generator))[0].untyped_storage().data_ptr()}
    size = mine.keys.untyped_storage().nbytes()
    for _ in range(200):
        places.add(mine.update(*_rows(1, generator))[0].untyped_storage().data_ptr())
    assert len(places) == 1
    assert size == 3 * 8 * 4 * (5 + 3 + 200)


def test_tokens_and_probabilities_are_those_of_a_joined_cache(
    tiny: med2e3.Model, ct: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = tiny.read(ct)
    grown = session.ask(QUESTION, max_new_tokens=30)
    held = grown._decoder
    assert held is not None
    grown.complete()
    assert grown._decoder is None
    layer = held.start.cache.layers[0]
    room = layer.keys.untyped_storage().nbytes() // (4 * layer.keys.shape[1] * layer.keys.shape[3])
    assert room == session.computed().prefix_rows + held.start.rows.shape[1] + 29
    monkeypatch.setattr("med2e3.engine.volume_cache.growing", lambda layer, _: copy.copy(layer))
    joined = session.ask(QUESTION, max_new_tokens=30)
    assert joined._decoder is not None
    layers = joined._decoder.start.cache.layers
    assert not any(isinstance(layer, GrowingLayer) for layer in layers)
    joined.complete()
    assert grown.token_ids == joined.token_ids
    assert grown.token_probabilities == joined.token_probabilities
