"""What a volume cost is kept on disk: equal answers, whole files, bounds, damage, two programs."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import med2e3
from med2e3.engine import kept as kept_module
from med2e3.engine.kept import KeptVolumes
from med2e3.engine.session import encode_volume
from med2e3.volume import Volume, Window

QUESTION = "is there a nodule in the left lung ?"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kept"


@pytest.fixture
def model(tiny_folder: Callable[..., Path], folder: Path) -> med2e3.Model:
    model = med2e3.load(tiny_folder(score_norm="layer_norm"), device="cpu")
    model.kept = KeptVolumes(folder)
    return model


def _kept(model: med2e3.Model) -> KeptVolumes:
    assert model.kept is not None
    model.kept.wait()
    return model.kept


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


class _Encoded:
    """Counts how often a volume goes through the encoders."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        monkeypatch.setattr("med2e3.engine.session.encode_volume", self._encode)

    def _encode(self, *args: Any) -> Any:
        self.count += 1
        return encode_volume(*args)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> _Encoded:
    return _Encoded(monkeypatch)


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"encoders": "3d"},
        {"encoders": "2d", "local_features": "2d"},
        {"aggregation": "max"},
        {"text_config": {"model_type": "llama"}},
    ],
    ids=str,
)
def test_a_kept_volume_gives_the_same_answer_without_being_encoded(
    choices: dict[str, Any],
    tiny_folder: Callable[..., Path],
    ct: Volume,
    folder: Path,
    encoded: _Encoded,
) -> None:
    answers, probabilities = [], []
    for _ in range(2):  # two programs, one after the other
        model = med2e3.load(tiny_folder(**choices), device="cpu")
        model.kept = KeptVolumes(folder)
        answer = model.read(ct).ask(QUESTION, max_new_tokens=8)
        answer.complete()
        _kept(model)
        record = answer.record
        answers.append([record[key] for key in ("token_ids", "scores", "answer")])
        probabilities.append(record["token_probabilities"])
    assert encoded.count == 1
    assert answers[0] == answers[1]
    assert probabilities[0] == probabilities[1]


def test_a_grid_is_hashed_once_a_volume(
    model: med2e3.Model, ct: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = []

    def count(*args: Any) -> str:
        hashed.append(kept_module.name_of(*args))
        return hashed[-1]

    monkeypatch.setattr("med2e3.engine.session.name_of", count)
    session = model.read(ct)
    for question in ("Is there a nodule?", "Is there a cyst?"):
        session.ask(question, max_new_tokens=1).complete()
    _kept(model)
    assert hashed == [path.stem for path in _files(_kept(model).folder)]


def test_m3d_lamed_is_kept_too(fixtures: Path, ct: Volume, folder: Path, encoded: _Encoded) -> None:
    model = med2e3.load(fixtures / "m3d_lamed" / "checkpoint", device="cpu")
    tokens = []
    for _ in range(2):
        model.kept = KeptVolumes(folder)
        answer = model.read(ct).ask("Where is the liver?", max_new_tokens=6)
        answer.complete()
        tokens.append((answer.token_ids, answer.token_probabilities))
        _kept(model)
    assert encoded.count == 1
    assert tokens[0] == tokens[1]


def test_another_volume_window_or_model_is_not_taken_for_it(
    model: med2e3.Model,
    tiny_folder: Callable[..., Path],
    ct: Volume,
    other_ct: Volume,
    encoded: _Encoded,
    folder: Path,
) -> None:
    model.read(ct)
    _kept(model)
    model.read(other_ct)
    model.read(ct, window=Window(300, 1000))
    model.read(ct, plane="coronal")
    other = med2e3.load(tiny_folder(score_norm="none"), device="cpu")
    assert other.info.weights_sha256 != model.info.weights_sha256
    other.kept = KeptVolumes(folder)
    other.read(ct)
    half = med2e3.load(tiny_folder(score_norm="layer_norm"), device="cpu", dtype="bfloat16")
    half.kept = KeptVolumes(folder)
    half.read(ct)
    assert encoded.count == 6


@pytest.mark.parametrize("version", ["med2e3.__version__", "transformers.__version__"])
def test_a_file_of_another_version_is_not_read(
    version: str, model: med2e3.Model, ct: Volume, encoded: _Encoded, monkeypatch: Any
) -> None:
    model.read(ct)
    _kept(model)
    monkeypatch.setattr(f"med2e3.engine.kept.{version}", "0.0.0-other")
    model.read(ct)
    assert encoded.count == 2


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 0x40
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _foreign(path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(3)}, path)


def _text(path: Path) -> None:
    path.write_text("{}")


@pytest.mark.parametrize("damage", [_flip, _cut, _empty, _foreign, _text])
def test_a_damaged_or_foreign_file_is_ignored_and_replaced(
    damage: Callable[[Path], None], model: med2e3.Model, ct: Volume, encoded: _Encoded, folder: Path
) -> None:
    first = model.read(ct).ask(QUESTION, max_new_tokens=4).complete()
    _kept(model)
    (path,) = _files(folder)
    whole, rows = kept_module._read(path, path.stem)
    damage(path)
    assert model.read(ct).ask(QUESTION, max_new_tokens=4).complete() == first
    _kept(model)
    assert encoded.count == 2
    again, again_rows = kept_module._read(path, path.stem)
    assert again_rows == rows
    assert again.keys() == whole.keys()
    assert all(torch.equal(again[key], whole[key]) for key in whole)


def test_a_file_under_another_volumes_name_is_not_taken(
    model: med2e3.Model, ct: Volume, other_ct: Volume, encoded: _Encoded, folder: Path
) -> None:
    model.read(ct)
    _kept(model)
    (first,) = _files(folder)
    model.read(other_ct)
    _kept(model)
    (second,) = [path for path in _files(folder) if path != first]
    second.write_bytes(first.read_bytes())
    model.read(other_ct)
    assert encoded.count == 3


@pytest.mark.skipif(os.name != "posix", reason="rights of files are those of POSIX")
def test_files_are_their_owners_alone(model: med2e3.Model, ct: Volume, folder: Path) -> None:
    model.read(ct)
    _kept(model)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in _files(folder)] == [0o600]


def test_the_least_recently_used_go_first(
    model: med2e3.Model, ct: Volume, folder: Path, encoded: _Encoded
) -> None:
    windows = [Window(40, 400), Window(40, 600), Window(40, 800)]
    for window in windows[:2]:
        model.read(ct, window=window)
        _kept(model)
        time.sleep(0.02)  # file systems that count in centiseconds
    one = _files(folder)[0].stat().st_size
    _kept(model).limit = int(2.5 * one)
    model.read(ct, window=windows[0])  # used again: the second is now the oldest
    assert encoded.count == 2
    time.sleep(0.02)
    model.read(ct, window=windows[2])
    assert _kept(model).nbytes <= 2.5 * one
    model.read(ct, window=windows[0])
    assert encoded.count == 3
    model.read(ct, window=windows[1])
    assert encoded.count == 4


def test_what_is_larger_than_the_bound_is_not_kept(
    model: med2e3.Model, ct: Volume, folder: Path
) -> None:
    model.kept = KeptVolumes(folder, limit=100)
    model.read(ct)
    _kept(model)
    assert not folder.exists() or not _files(folder)


def test_a_full_disk_costs_nothing_but_the_file(
    model: med2e3.Model, ct: Volume, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept_module, "save_file", full)
    assert model.read(ct).ask(QUESTION, max_new_tokens=4).complete() != ""
    assert "was not kept" in _kept(model).said
    assert "No space left on device" in _kept(model).said
    assert [path for path in folder.iterdir() if path.name != ".lock"] == []
    monkeypatch.undo()
    model.read(ct, window=Window(10, 300))
    assert _kept(model).said == ""


def test_a_place_that_is_no_folder_costs_nothing_but_the_file(
    model: med2e3.Model, ct: Volume, folder: Path
) -> None:
    folder.write_text("a file stands here")
    assert model.read(ct).ask(QUESTION, max_new_tokens=4).complete() != ""
    assert "was not kept" in _kept(model).said


def test_weights_without_a_hash_are_not_kept(model: med2e3.Model, ct: Volume, folder: Path) -> None:
    import dataclasses

    model.info = dataclasses.replace(model.info, weights_sha256="")
    model.read(ct)
    _kept(model)
    assert not folder.exists()


def _use(path: str, folder: str, levels: list[int], voxels: Any) -> None:
    """Another program: reads volumes with one folder, over and over."""
    from med2e3.geometry import Geometry

    torch.set_num_threads(1)
    model = med2e3.load(path, device="cpu")
    model.kept = KeptVolumes(Path(folder), limit=400_000)
    for level in levels:
        volume = Volume(voxels + level, Geometry.from_spacing(voxels.shape, (5.0, 1.0, 1.0)))
        model.read(volume, window=Window(40, 400))
    model.kept.wait()


@pytest.mark.timeout(180)
def test_two_programs_and_a_kill_leave_the_folder_whole(
    tiny_folder: Callable[..., Path], ct: Volume, folder: Path
) -> None:
    path = str(tiny_folder(score_norm="layer_norm"))
    context = multiprocessing.get_context("spawn")
    voxels = ct.voxels.copy()

    def program(levels: list[int]) -> Any:
        process = context.Process(target=_use, args=(path, str(folder), levels, voxels))
        process.start()
        return process

    one, two = program([1, 2, 3, 1, 2, 3] * 2), program([3, 2, 1, 4] * 3)
    victim = program([5, 6, 7, 8] * 500)
    deadline = time.monotonic() + 60
    while not _files(folder) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    for process in (one, two, victim):
        process.join(60)
    assert (one.exitcode, two.exitcode) == (0, 0)
    names = _files(folder)
    assert names
    for file in names:
        kept_module._read(file, file.stem)  # raises where a file is not whole
