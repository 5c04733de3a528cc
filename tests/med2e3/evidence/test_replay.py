"""A record runs again and is equal; what differs is named."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import med2e3
from med2e3.errors import DataError
from med2e3.evidence.replay import Replay, read_record, replay
from med2e3.geometry import Plane
from med2e3.volume import Volume, Window

QUESTION = "is there a nodule in the left lung ?"


def recorded(
    model: med2e3.Model, volume: Any, reading: dict[str, Any] | None = None, **asking: Any
) -> dict[str, Any]:
    session = model.read(volume, **(reading or {}))
    answer = session.ask(QUESTION, max_new_tokens=5, **asking)
    answer.complete()
    return json.loads(json.dumps(answer.record))


@pytest.mark.parametrize(
    ("reading", "asking"),
    [
        ({}, {}),
        ({"plane": Plane.CORONAL}, {}),
        ({"window": "lung"}, {"leave_out": [1, 4]}),
        ({"window": "min-max"}, {}),
        ({"crop": False}, {}),
        ({}, {"temperature": 1.5, "seed": 3, "top_p": 0.9}),
        ({}, {"history": [("what plane ?", "axial")]}),
        ({}, {"scored_by": "liver"}),
    ],
    ids=str,
)
def test_every_record_runs_again_to_the_same(
    reading: dict[str, Any], asking: dict[str, Any], tiny: med2e3.Model, block: Volume
) -> None:
    found = replay(recorded(tiny, block, reading, **asking), tiny, block)
    assert found.differences == ()
    assert found.equal
    assert found.now == found.then
    assert found.sentence.startswith("Equal")
    assert Replay.from_json(found.to_json()) == found


def named(found: Replay) -> set[str]:
    return {difference.what for difference in found.differences}


def test_changed_weights_are_named(tiny: med2e3.Model, tiny_folder: Any, block: Volume) -> None:
    other = med2e3.load(tiny_folder(position_embeddings="tokens+slices"), device="cpu")
    found = replay(recorded(tiny, block), other, block)
    assert not found.equal
    assert "weights (SHA-256)" in named(found)
    assert "weights (SHA-256)" in found.sentence


def test_a_changed_weight_that_changes_no_word_is_named_too(
    tiny: med2e3.Model, block: Volume
) -> None:
    """The file's hash tells of it although the answer is the same."""
    record = recorded(tiny, block)
    record["model"]["weights_sha256"] = "0" * 64
    found = replay(record, tiny, block)
    assert named(found) == {"weights (SHA-256)"}
    assert not found.equal


def test_a_changed_window_version_volume_or_token_is_named(
    tiny: med2e3.Model, block: Volume
) -> None:
    record = recorded(tiny, block)
    version = copy.deepcopy(record)
    version["versions"]["torch"] = "1.0"
    found = replay(version, tiny, block)
    assert named(found) == {"version of torch"}
    assert found.equal, "the same tokens came out"
    assert "1.0 then" in found.sentence
    window = copy.deepcopy(record)
    window["input"]["window_centre_width"] = [90.0, 500.0]
    assert "input (SHA-256 of the grid)" in named(replay(window, tiny, block))
    voxels = block.voxels.copy()
    voxels[6, 20, 20] += 1
    other = Volume(voxels, block.geometry, block.info, block.slice_uids)
    assert "input (SHA-256 of the grid)" in named(replay(record, tiny, other))
    token = copy.deepcopy(record)
    token["token_ids"][2] += 1
    found = replay(token, tiny, block)
    assert "answer, from token 3 on" in named(found)
    prompt = copy.deepcopy(record)
    prompt["prompt_ids"][0] += 1
    assert "tokens of the prompt" in named(replay(prompt, tiny, block))
    scores = copy.deepcopy(record)
    scores["scores"]["bands"][0]["weight"] += 0.01
    assert named(replay(scores, tiny, block)) == {"slice scores"}


def test_a_weight_changed_in_memory_shows_in_what_came_out(
    tiny: med2e3.Model, block: Volume
) -> None:
    record = recorded(tiny, block)
    positions = tiny.backend.network.positions.slices
    with torch.no_grad():
        kept = positions.clone()
        positions.copy_(torch.flip(kept, dims=(0,)))
    try:
        found = replay(record, tiny, block)
    finally:
        with torch.no_grad():
            positions.copy_(kept)
    assert not found.equal
    assert "slice scores" in named(found)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read"),
        ("[1]", "no record"),
        ("{}", "no record"),
        ('{"question": "?"}', "format 'unknown'"),
        ('{"question": "?", "format": 99}', "format 99"),
        ('{"question": "?", "format": 1}', "lacks model"),
        ('{"record": {"question": "?", "format": 7}}', "format 7"),
    ],
)
def test_other_files_are_refused(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(content)
    with pytest.raises(DataError, match=said):
        read_record(path)


def test_a_damaged_record_is_refused(tiny: med2e3.Model, block: Volume) -> None:
    record = recorded(tiny, block)
    del record["input"]["plane"]
    with pytest.raises(DataError, match="damaged"):
        replay(record, tiny, block)


def test_the_hash_is_of_what_the_model_was_shown(tiny: med2e3.Model, block: Volume) -> None:
    hashes = {
        tiny.read(block, window=window).input.sha256
        for window in (None, Window(0, 1000), Window(0, 1001))
    }
    assert len(hashes) == 3
    one, other = tiny.read(block).input, tiny.read(block).input
    assert one.sha256 == other.sha256
    assert np.array_equal(one.grid, other.grid)
