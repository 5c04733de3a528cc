"""Where the parts of a model go: maps are read, checked for room, and refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import med2e3
from med2e3.checkpoints import memory, open_checkpoint
from med2e3.checkpoints.memory import auto_places, memory_need, need_by_place, room_by_place
from med2e3.checkpoints.spreading import computing, expanded, normalised, place_of, places
from med2e3.errors import ResourceError


def test_devices_get_their_names() -> None:
    given: dict[str, str | int | torch.device] = {
        "a": 1, "b": "cuda", "c": torch.device("cpu"), "d": "disk",
    }  # fmt: skip
    found = normalised(given)
    assert found == {"a": "cuda:1", "b": "cuda:0", "c": "cpu", "d": "disk"}
    assert places(found) == ["cuda:1", "cuda:0", "cpu", "disk"]
    assert computing(found) == torch.device("cuda:1")
    assert computing({"": "disk"}) == torch.device("cpu")
    assert normalised("auto") == "auto"
    assert normalised(None) is None


def test_the_longest_module_name_decides() -> None:
    device_map = {"": "cpu", "a.b": "cuda:0", "a.b.c": "cuda:1"}
    assert place_of("a.b.c.weight", device_map) == "cuda:1"
    assert place_of("a.b.cc.weight", device_map) == "cuda:0"
    assert place_of("a.weight", device_map) == "cpu"
    assert place_of("b.weight", {"a": "cpu"}) is None


def test_entries_inside_of_others_are_told_apart() -> None:
    names = dict.fromkeys(["a.x.weight", "b.c.0.weight", "b.c.1.weight", "b.d.weight"])
    device_map = {"": "cpu", "b.c.1": "disk"}
    assert expanded(device_map, names) == {  # type: ignore[arg-type]
        "a": "cpu", "b.c.0": "cpu", "b.c.1": "disk", "b.d": "cpu",
    }  # fmt: skip
    assert expanded({"a": "cpu", "ab": "disk"}, {}) == {"a": "cpu", "ab": "disk"}


@pytest.mark.parametrize(
    ("device_map", "words"),
    [
        ("balanced", "'balanced'; give 'auto'"),
        ({}, "no device map {}"),
        ({"": "gpu0"}, "'gpu0', which is no device"),
        ({"": "cuda:97"}, "cuda:97 is not there"),
        ({"vision3d": "cpu"}, "no place for .*language_model.* an entry ''"),
    ],
)
def test_a_map_that_cannot_be_used_says_why(
    tiny_folder: Callable[..., Path], device_map: Any, words: str
) -> None:
    with pytest.raises(ResourceError, match=words):
        med2e3.load(tiny_folder(), device_map=device_map)


def test_a_device_and_a_map_exclude_each_other(tiny_folder: Callable[..., Path]) -> None:
    with pytest.raises(ResourceError, match="Both a device \\(cpu\\) and a device map"):
        med2e3.load(tiny_folder(), device="cpu", device_map="auto")


def test_quantised_weights_are_not_streamed(tiny_folder: Callable[..., Path]) -> None:
    pytest.importorskip("bitsandbytes", reason="needs the extra `quantize` (bitsandbytes)")
    device_map = {"": "cpu", "language_model.model.layers.1": "disk"}
    with pytest.raises(ResourceError, match=r"8bit cannot be streamed.*not cpu, disk"):
        med2e3.load(tiny_folder(), device_map=device_map, quantize="8bit")


def test_each_device_of_a_map_needs_room_for_its_parts(
    tiny_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = open_checkpoint(tiny_folder())
    device_map = {"": "cpu", "language_model": "disk"}
    need = memory_need(checkpoint, torch.float32)
    wanted = need_by_place(checkpoint, torch.float32, None, device_map)
    assert sum(wanted.values()) == need.total
    language = sum(t.nbytes for n, t in checkpoint.weights.items() if n.startswith("language"))
    assert wanted["disk"] == language
    free = {"cpu": wanted["cpu"], "disk": language - 1}
    monkeypatch.setattr(memory, "free_at", free.__getitem__)
    with pytest.raises(
        ResourceError, match=rf"puts {language / 1e6:.1f} MB of tiny on disk.*quantize 8bit"
    ):
        med2e3.load(checkpoint.folder, device_map=device_map)


def test_auto_leaves_room_for_cache_and_activations_on_each_gpu(
    tiny_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    free = {"cuda:0": 500_000, "cuda:1": 1000, "cpu": 9_000_000}
    monkeypatch.setattr(memory, "free_at", free.__getitem__)
    need = memory_need(open_checkpoint(tiny_folder()), torch.float32)
    spare = need.cache + need.activations
    assert room_by_place(need, None) == {0: 500_000 - spare, 1: 0, "cpu": 9_000_000}
    assert room_by_place(need, "8bit")["cpu"] == 0
    assert auto_places("8bit") == ["cuda:0", "cuda:1"]
    assert auto_places(None) == ["cuda:0", "cuda:1", "cpu"]
