"""DeepTumorVQA's evaluator gets answers about volumes, and no answer without one."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

import med2e3
from med2e3.errors import InputError
from med2e3.evaluation import deep_tumor_vqa
from med2e3.evaluation.deep_tumor_vqa import VolumeAnswerer, build_evaluator


@pytest.fixture
def volume(tmp_path: Path) -> str:
    stored = np.random.default_rng(0).integers(-1000, 1000, (20, 20, 9)).astype(np.int16)
    path = tmp_path / "ct.nii.gz"
    nibabel.save(nibabel.Nifti1Image(stored, np.eye(4)), path)
    return str(path)


@pytest.fixture
def folder(tiny_folder: Callable[..., Path]) -> Path:
    return tiny_folder(score_norm="layer_norm")


def test_answers_are_the_engines_own_and_a_volume_is_read_once(
    folder: Path, volume: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = med2e3.load(folder, device="cpu")
    session = model.read(med2e3.load_volume(volume))
    wanted = [r.text.strip() for r in session.ask_many(["Which plane?", "A?"], max_new_tokens=5)]
    read: list[str] = []
    monkeypatch.setattr(
        deep_tumor_vqa, "load_volume", lambda path: read.append(path) or med2e3.load_volume(path)
    )
    answerer = VolumeAnswerer(model, 5)
    said = [answerer.generate(q, None, volume) for q in ("Which plane?", "A?")]
    assert said == wanted
    assert read == [volume]


def test_without_a_volume_nothing_is_guessed(folder: Path) -> None:
    answerer = VolumeAnswerer(med2e3.load(folder, device="cpu"))
    with pytest.raises(InputError, match="single images"):
        answerer.generate("Which?", [object()])
    with pytest.raises(InputError, match="no image at all"):
        answerer.generate("Which?")


def test_the_evaluator_builds_it_by_name(
    folder: Path, volume: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="deeptumorvqa is not installed"):
        build_evaluator(types.SimpleNamespace(device="cpu"))

    class Base:
        def __init__(self, model_id: str, device: str) -> None:
            self.model_id, self.device = model_id, device

    theirs: Any = types.ModuleType("deeptumorvqa.eval.vqa_evaluator")
    theirs.HFVLMEvaluator = Base
    for name in ("deeptumorvqa", "deeptumorvqa.eval"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, theirs.__name__, theirs)
    with pytest.raises(InputError, match="Name the model in MED2E3_MODEL"):
        build_evaluator(types.SimpleNamespace(device="cpu"))
    monkeypatch.setenv("MED2E3_MODEL", str(folder))
    monkeypatch.setenv("MED2E3_MAX_NEW_TOKENS", "3")
    made = build_evaluator(types.SimpleNamespace(device="cpu"))
    assert isinstance(made, Base)
    assert isinstance(made.generate("Which plane?", images=None, video_path=volume), str)
