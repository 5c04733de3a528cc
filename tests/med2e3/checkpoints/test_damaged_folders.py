"""Damaged model folders are refused by file and cause; what is no number is never an answer."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

import med2e3
from med2e3.checkpoints import Hub, hashes, open_checkpoint
from med2e3.errors import CheckpointError, Med2E3Error
from med2e3.retrieval.finder import load_retriever

#: What a damaged setting may hold.
ODD: tuple[Any, ...] = (
    None, 0, -1, 1e308, 10**12, "x", "", [], {}, [1], -(2**70), 0.5, [None], {"a": 1},
)  # fmt: skip


@pytest.fixture
def native(tiny_folder: Callable[..., Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder(score_norm="layer_norm"), tmp_path / "model"))


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own."""
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(tmp_path / "cache"))
    return tmp_path / "cache"


def grid() -> np.ndarray[Any, Any]:
    return np.linspace(0, 1, 8 * 32 * 32, dtype=np.float32).reshape(8, 32, 32)


def _set_one(settings: Any, choose: random.Random) -> None:
    """Give one value of parsed JSON, at any depth, another."""
    node = settings
    while True:
        key = choose.choice(list(node) if isinstance(node, dict) else range(len(node)))
        inner = node[key]
        if isinstance(inner, dict | list) and inner and choose.random() < 0.7:
            node = inner
            continue
        node[key] = choose.choice(ODD)
        return


@pytest.mark.parametrize("seed", range(24))
def test_damage_of_any_kind_is_an_error_of_ours_or_does_no_harm(
    seed: int, native: Path, fixtures: Path, tmp_path: Path
) -> None:
    choose, refused = random.Random(seed), []
    published = Path(shutil.copytree(fixtures / "m3d_lamed" / "checkpoint", tmp_path / "lamed"))
    for folder in (native, published):
        path = choose.choice(sorted(p for p in folder.iterdir() if p.is_file()))
        if path.suffix == ".json" and choose.random() < 0.7:
            settings = json.loads(path.read_text())
            _set_one(settings, choose)
            path.write_text(json.dumps(settings))
        else:
            content = bytearray(path.read_bytes())
            for _ in range(8):
                content[choose.randrange(min(2000, len(content)))] = choose.randrange(256)
            path.write_bytes(content[: choose.randrange(len(content))] if seed % 2 else content)
        try:
            answer = med2e3.load(folder, device="cpu").read(grid()).ask("Where?", max_new_tokens=2)
            answer.complete()
        except Med2E3Error as error:
            refused.append(str(error))
        assert all(str(tmp_path) in text or "finite" in text for text in refused)


@pytest.mark.parametrize(
    ("file", "content", "cause"),
    [
        ("config.json", "[" * 3000, "config.json is not valid JSON"),
        ("tokenizer.json", "[" * 3000, "tokenizer"),
        ("tokenizer_config.json", "[]", "tokenizer_config.json holds no JSON object"),
    ],
)
def test_text_that_stops_a_parser_is_named(
    file: str, content: str, cause: str, native: Path
) -> None:
    (native / file).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(CheckpointError, match=cause):
        open_checkpoint(native)


@pytest.mark.parametrize(
    ("part", "setting", "value", "cause"),
    [
        ("text_config", "num_hidden_layers", 9_000_000, "num_hidden_layers = 9000000"),
        ("vision2d_config", "num_hidden_layers", 10**12, "num_hidden_layers = 1000000000000"),
        ("text_config", "vocab_size", 10**10, "vocab_size = 10000000000"),
        ("vision3d_config", "layer_norm_eps", "x", "layer_norm_eps = .x., which should be a float"),
        ("text_config", "vocab_size", 7, "has 7 rows|has a token of id"),
    ],
)
def test_a_size_that_no_model_has_is_refused_before_it_is_built(
    part: str, setting: str, value: Any, cause: str, native: Path
) -> None:
    config = json.loads((native / "config.json").read_text())
    config[part][setting] = value
    (native / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=cause):
        open_checkpoint(native)


@pytest.mark.parametrize(
    ("setting", "value", "cause"),
    [("eos_token", None, "names no token that ends"), ("model_max_length", [1], "no whole model")],
)
def test_a_tokenizer_that_could_not_answer_is_refused_at_the_load(
    setting: str, value: Any, cause: str, native: Path
) -> None:
    path = native / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), setting: value}))
    with pytest.raises(CheckpointError, match=cause):
        med2e3.load(native, device="cpu")


def test_a_card_in_another_encoding_stops_nothing(native: Path) -> None:
    (native / "README.md").write_bytes(b"---\nlicense: \xff\n---\n")
    assert open_checkpoint(native).weights


def test_a_processor_of_another_model_is_named(native: Path) -> None:
    path = native / "processor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_visual_tokens": 3}))
    with pytest.raises(CheckpointError, match=r"processor_config\.json says num_visual_tokens = 3"):
        open_checkpoint(native)


def _spoil(folder: Path, name: str, value: float) -> None:
    """Replace one number of a tensor."""
    path = folder / "model.safetensors"
    weights = safetensors.torch.load_file(path)
    spoiled = weights[name].clone()
    spoiled.view(-1)[0] = value
    safetensors.torch.save_file({**weights, name: spoiled}, path, metadata={"format": "pt"})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_are_an_error(native: Path, value: float) -> None:
    name = next(
        n for n in safetensors.torch.load_file(native / "model.safetensors") if "vision2d" in n
    )
    _spoil(native, name, value)
    session = med2e3.load(native, device="cpu").read(grid())
    with pytest.raises(CheckpointError, match="slice scores are not all finite"):
        session.ask("Where is the nodule?")
    with pytest.raises(CheckpointError, match="slice scores are not all finite"):
        session.ask_many(["Where is the nodule?"])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_no_numbers_are_an_error(native: Path, value: float) -> None:
    _spoil(native, "language_model.model.norm.weight", value)
    session = med2e3.load(native, device="cpu").read(grid())
    answer = session.ask("Where is the nodule?")
    with pytest.raises(CheckpointError, match="logits are not all finite"):
        answer.complete()
    assert answer.text == ""
    with pytest.raises(CheckpointError, match="logits are not all finite"):
        session.ask_many(["Where is the nodule?"])


def test_features_that_are_no_numbers_rank_nothing(fixtures: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(fixtures / "m3d_clip" / "checkpoint", tmp_path / "clip"))
    path = next(p for p in folder.iterdir() if p.suffix in (".bin", ".safetensors"))
    if path.suffix == ".bin":
        weights = torch.load(path, weights_only=True)
        weights["mm_language_proj.weight"][0, 0] = float("nan")
        torch.save(weights, path)
    else:
        weights = safetensors.torch.load_file(path)
        weights["mm_language_proj.weight"][0, 0] = float("nan")
        safetensors.torch.save_file(weights, path, metadata={"format": "pt"})
    retriever = load_retriever(folder, hub=fixtures / "m3d_clip" / "hub", device="cpu")
    with pytest.raises(CheckpointError, match="features are not all finite"):
        retriever.text_features(["liver"])


def _record(folder: Path) -> None:
    """Write the record that a download leaves."""
    (folder / hashes.RECORD_FILE).unlink(missing_ok=True)
    files = {
        path.name: {
            "size": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in sorted(folder.iterdir())
    }
    (folder / hashes.RECORD_FILE).write_text(json.dumps({"source": "x", "files": files}))


def test_a_file_changed_since_its_download_is_refused(native: Path) -> None:
    _record(native)
    assert med2e3.load(native, device="cpu").info.kind == "med2e3"
    _spoil(native, "language_model.model.norm.weight", 0.5)
    with pytest.raises(CheckpointError, match=r"model\.safetensors is not the file that was down"):
        med2e3.load(native, device="cpu")
    _record(native)
    (native / "tokenizer.json").write_text((native / "tokenizer.json").read_text() + " ")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is not the file"):
        med2e3.load(native, device="cpu")
    (native / hashes.RECORD_FILE).write_text("{")
    with pytest.raises(CheckpointError, match=r"download\.json is damaged"):
        med2e3.load(native, device="cpu")


def test_a_hub_file_changed_since_its_download_is_refused(fixtures: Path, tmp_path: Path) -> None:
    hub = Path(shutil.copytree(fixtures / "m3d_clip" / "hub", tmp_path / "hub"))
    folder = hub / "bert-base-uncased"
    _record(folder)
    clip = fixtures / "m3d_clip" / "checkpoint"
    assert open_checkpoint(clip, Hub(hub)).weights
    config = folder / "config.json"
    config.write_text(config.read_text() + "\n")
    with pytest.raises(CheckpointError, match="is not the file that was downloaded"):
        open_checkpoint(clip, Hub(hub))


def test_the_second_load_hashes_no_large_file_again(
    native: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _record(native)
    monkeypatch.setattr(hashes, "QUICK_TO_HASH", -1)
    read: list[str] = []
    true = hashes.file_sha256
    monkeypatch.setattr(hashes, "file_sha256", lambda path: read.append(path.name) or true(path))
    med2e3.load(native, device="cpu")
    assert read.count("model.safetensors") == 1
    read.clear()
    med2e3.load(native, device="cpu")
    assert read == []
