"""Checkpoints that are not what they seem: one clear message, and nothing half-done left behind."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

import med2e3
from med2e3.checkpoints import Hub, build, convert, open_checkpoint
from med2e3.checkpoints.reading import read_weights
from med2e3.errors import CheckpointError, ResourceError


@pytest.fixture
def release(golden_folder: Path, tmp_path: Path) -> Path:
    """A copy of the published layout to damage."""
    return Path(shutil.copytree(golden_folder / "checkpoint", tmp_path / "Med-2E3-M3D"))


@pytest.fixture
def hub(golden_folder: Path) -> Path:
    return golden_folder / "hub"


def refused(folder: Path, hub: Path | None = None) -> str:
    """The message with which loading is refused."""
    with pytest.raises(CheckpointError) as caught:
        med2e3.load(folder, hub=hub, device="cpu")
    return str(caught.value)


def cut(path: Path) -> None:
    """Lose the last third of a file."""
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * 2 // 3)


class Trap:
    """Runs something when it is unpickled."""

    def __reduce__(self) -> Any:
        return (os.mkdir, ("trapped",))


def test_a_truncated_pickle(release: Path, hub: Path) -> None:
    cut(release / "llm" / "pytorch_model.bin")
    message = refused(release, hub)
    assert "pytorch_model.bin" in message
    assert "truncated or damaged" in message


def test_a_truncated_safetensors_shard(golden_folder: Path, hub: Path, tmp_path: Path) -> None:
    folder = convert(
        golden_folder / "checkpoint", tmp_path / "native", hub=hub, max_shard_size="500KB"
    )
    shard = sorted(folder.glob("*.safetensors"))[1]
    cut(shard)
    message = refused(folder)
    assert shard.name in message
    assert "truncated or damaged" in message
    shard.unlink()
    message = refused(folder)
    assert shard.name in message
    assert "incomplete" in message


@pytest.mark.parametrize(
    "shard", ["../secret.safetensors", "/secret.safetensors", "a/../../secret.safetensors"]
)
def test_an_index_that_names_a_file_outside_its_folder_is_refused(
    shard: str, tmp_path: Path
) -> None:
    safetensors.torch.save_file({"w": torch.ones(2)}, tmp_path / "secret.safetensors")
    folder = tmp_path / "model"
    folder.mkdir()
    name = shard.replace("/secret", f"{tmp_path}/secret") if shard.startswith("/") else shard
    index = {"weight_map": {"w": name}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(CheckpointError, match="outside its folder"):
        read_weights(folder)


def test_a_pickle_with_code_is_never_run(
    release: Path, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Trap()}, release / "llm" / "pytorch_model.bin")
    assert "could run code" in refused(release, hub)
    with (release / "llm" / "pytorch_model.bin").open("wb") as file:
        pickle.dump({"a": Trap()}, file)
    assert "could run code" in refused(release, hub)
    assert not (tmp_path / "trapped").exists()


def test_a_pickle_of_something_else(release: Path, hub: Path) -> None:
    torch.save({"step": 3, "model": {}}, release / "llm" / "pytorch_model.bin")
    assert "something else than named tensors" in refused(release, hub)


def test_missing_and_unexpected_keys_are_listed(release: Path, hub: Path) -> None:
    path = release / "vision3d_connector" / "pytorch_model.bin"
    weights = torch.load(path, weights_only=True)
    torch.save({k: v for k, v in weights.items() if k != "text_mlp.weight"}, path)
    message = refused(release, hub)
    assert "missing are text_projection.weight" in message
    torch.save({**weights, "score_mlp.weight": torch.zeros(1)}, path)
    message = refused(release, hub)
    assert "score_mlp.weight" in message
    assert "vision3d_connector" in message


def test_a_tensor_of_another_size_is_named(release: Path, hub: Path) -> None:
    path = release / "vision2d_connector" / "pytorch_model.bin"
    weights = torch.load(path, weights_only=True)
    weights["_connector.0.weight"] = torch.zeros(64, 40)
    torch.save(weights, path)
    assert "connector2d.linear1.weight is (64, 40) and not (64, 32)" in refused(release, hub)


def test_a_part_that_is_not_there(release: Path, hub: Path) -> None:
    shutil.rmtree(release / "vision2d_connector")
    assert "vision2d_connector has no weights" in refused(release, hub)


def test_a_lora_directory_without_its_base(release: Path, hub: Path, tmp_path: Path) -> None:
    (release / "adapter_config.json").write_text("{}", encoding="utf-8")
    assert "merge_and_unload" in refused(release, hub)
    alone = tmp_path / "adapter"
    alone.mkdir()
    (alone / "adapter_config.json").write_text("{}", encoding="utf-8")
    assert "LoRA adapter without its base" in refused(alone)


@pytest.mark.parametrize("name", ["exp_id", "vision3d_connector_type"])
def test_an_unknown_experiment(name: str, release: Path, hub: Path) -> None:
    path = release / "args" / "config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**settings, name: 77}), encoding="utf-8")
    assert f"{name} = 77" in refused(release, hub)


def test_another_models_folder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llava"}', encoding="utf-8")
    message = refused(tmp_path)
    assert "'llava'" in message
    assert "the published Med-2E3 directory" in message


def test_no_model_at_all(tmp_path: Path) -> None:
    assert "no config.json" in refused(tmp_path)
    (tmp_path / "config.json").write_text("{broken", encoding="utf-8")
    assert "not valid JSON" in refused(tmp_path)


def test_a_name_that_is_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MED2E3_MODELS", str(tmp_path))
    assert "Fetch it first: med2e3 download med2e3-m3d" in refused(Path("med2e3-m3d"))
    message = refused(Path("nobody/nothing"))
    assert "nobody/nothing" in message
    assert "demo" in message


def test_a_missing_hub_file_says_where_to_put_it(
    release: Path, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MED2E3_MODELS", str(tmp_path / "models"))
    own = Path(shutil.copytree(hub, tmp_path / "hub"))
    for vocabulary in own.rglob("vocab.txt"):
        vocabulary.unlink()
    message = refused(release, own)
    assert str(own / "bert-base-uncased" / "vocab.txt") in message
    assert "med2e3 download bert-base-uncased" in message
    shutil.rmtree(own / "bert-base-uncased")
    assert str(own / "bert-base-uncased" / "config.json") in refused(release, own)


def test_the_vocabulary_may_lie_in_the_checkpoint(release: Path, hub: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(hub, tmp_path / "hub"))
    shutil.move(own / "GoodBaiBai88/M3D-CLIP/vocab.txt", release / "vision3d_model/vocab.txt")
    (own / "bert-base-uncased" / "vocab.txt").unlink()
    assert open_checkpoint(release, Hub(own)).processor.question_words is not None


def test_a_native_folder_of_another_models_weights(
    tiny_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_folder(), tmp_path / "mixed"))
    safetensors.torch.save_file({"lm_head.weight": torch.zeros(3, 3)}, folder / "model.safetensors")
    message = refused(folder)
    assert "unexpected are lm_head.weight" in message
    assert "more" in message


def test_a_native_folder_with_a_broken_tokenizer_or_config(
    tiny_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_folder(), tmp_path / "broken"))
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(
        json.dumps({**settings, "aggregation": "attention"}), encoding="utf-8"
    )
    assert "aggregation='attention'" in refused(folder)
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "processor_config.json").unlink()
    assert "tokenizer or processor" in refused(folder)


def test_too_little_memory_names_need_and_free(
    tiny_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("med2e3.checkpoints.memory.free_memory", lambda device: 150_000)
    with pytest.raises(
        ResourceError, match=r"needs 0.5 MB on cpu in float32.* but 0.1 MB are free"
    ):
        med2e3.load(tiny_folder(), device="cpu")


def test_an_absent_device_is_named(tiny_folder: Callable[..., Path]) -> None:
    with pytest.raises(ResourceError, match="cuda:97"):
        med2e3.load(tiny_folder(), device="cuda:97")
    with pytest.raises(ResourceError, match="gpu0"):
        med2e3.load(tiny_folder(), device="gpu0")
    with pytest.raises(ResourceError, match="int3"):
        med2e3.load(tiny_folder(), device="cpu", dtype="int3")


def test_loading_maps_and_does_not_copy(tiny_folder: Callable[..., Path]) -> None:
    checkpoint = open_checkpoint(tiny_folder())
    model = build(checkpoint, torch.device("cpu"), torch.float32)
    for name, parameter in model.named_parameters():
        assert parameter.data_ptr() == checkpoint.weights[name].data_ptr()


def test_half_precision_weights_are_raised_on_the_cpu(
    golden_folder: Path, hub: Path, tmp_path: Path
) -> None:
    folder = convert(golden_folder / "checkpoint", tmp_path / "half", hub=hub, dtype=torch.float16)
    stored = open_checkpoint(folder)
    assert {t.dtype for t in stored.weights.values()} == {torch.float16}
    assert "float32 → float16" in (folder / "README.md").read_text(encoding="utf-8")
    model = med2e3.load(folder, device="cpu")
    assert model.info.dtype == "float32"


def test_the_card_says_source_hashes_and_date(
    golden_folder: Path, hub: Path, tmp_path: Path
) -> None:
    import datetime
    import hashlib

    folder = convert(golden_folder / "checkpoint", tmp_path / "native", hub=hub)
    card = (folder / "README.md").read_text(encoding="utf-8")
    source = golden_folder / "checkpoint" / "llm" / "pytorch_model.bin"
    assert hashlib.sha256(source.read_bytes()).hexdigest() in card
    assert hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest() in card
    assert str(datetime.datetime.now(datetime.UTC).year) in card
    assert "text_mlp" in card
    assert open_checkpoint(folder).licence.startswith("Apache-2.0")


def test_a_failed_conversion_leaves_nothing(
    golden_folder: Path, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("med2e3.model.processor.Med2E3Processor.save_pretrained", full)
    with pytest.raises(ResourceError, match="is full"):
        convert(golden_folder / "checkpoint", tmp_path / "native", hub=hub)
    assert list(tmp_path.iterdir()) == []


def test_conversion_never_overwrites(golden_folder: Path, hub: Path, tmp_path: Path) -> None:
    (tmp_path / "native").mkdir()
    (tmp_path / "native" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(CheckpointError, match="exists already"):
        convert(golden_folder / "checkpoint", tmp_path / "native", hub=hub)
    assert (tmp_path / "native" / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_conversion_refuses_a_disk_that_is_too_small(
    golden_folder: Path, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type(shutil.disk_usage(tmp_path))
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(10**9, 10**9, 1000))
    with pytest.raises(ResourceError, match="are free"):
        convert(golden_folder / "checkpoint", tmp_path / "native", hub=hub)


def test_a_config_that_asks_for_far_more_than_the_files_hold_is_refused_unbuilt(
    fixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its sizes the published ones would be taken: 100 million numbers."""

    def built(*args: object, **options: object) -> None:
        raise AssertionError("memory is taken for the model")

    folder = convert(fixtures / "m3d_lamed" / "checkpoint", tmp_path / "model")
    text = (folder / "config.json").read_text(encoding="utf-8")
    (folder / "config.json").write_text(text.replace("vision_config", "6", 1), "utf-8")
    monkeypatch.setattr("transformers.PreTrainedModel.from_pretrained", built)
    message = refused(folder)
    assert "do not fit their config: missing or of another shape are" in message
    assert len(message) < 2000


def test_an_error_names_few_of_many_tensors_of_another_shape(
    fixtures: Path, tmp_path: Path
) -> None:
    folder = convert(fixtures / "m3d_lamed" / "checkpoint", tmp_path / "model")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["vision_config"]["hidden_size"] *= 2
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    message = refused(folder)
    assert "more are of another shape" in message
    assert len(message) < 2000
