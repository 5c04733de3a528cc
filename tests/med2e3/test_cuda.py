"""What the recorded tensors and the CPU say holds on a GPU; run where there is one."""

from __future__ import annotations

import csv
import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import med2e3
from med2e3.checkpoints import Hub, build, open_checkpoint
from med2e3.io import load_volume
from med2e3.resources import resource_path
from med2e3.training import Options, train
from med2e3.training.distributed import Compute
from med2e3.training.pipeline import Conditions, run_all
from med2e3.training.recipe import TokenizerRecipe, load_recipe
from med2e3.training.run_folder import RunFolder

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

#: float32 products may pass through TF32 inside convolutions.
LOOSE = 2e-3


@pytest.fixture(autouse=True)
def exact_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """No TF32: what is compared with the CPU is computed as precisely."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def _speak(answer: Any, tokens: list[int]) -> None:
    """Has an answer say these tokens."""
    left = list(tokens)
    answer._sampler = type("Speaks", (), {"choose": lambda self, logits: left.pop(0)})()


def test_m3d_lamed_answers_and_draws_as_recorded(fixtures: Path) -> None:
    source = fixtures / "m3d_lamed"
    golden = np.load(source / "golden.npz")
    questions = json.loads((source / "texts.json").read_text())["questions"]
    model = med2e3.load(source / "checkpoint", device="cuda", dtype="float32")
    sessions = [model.read(golden["volumes_u8"][k, 0].astype(np.float32) / 255) for k in (0, 1)]
    for number, session in enumerate(sessions):
        answer = session.ask(questions[number], max_new_tokens=16)
        answer.complete()
        assert answer.token_ids == golden[f"q{number}.generated_ids"].tolist()
    drawn = sessions[1].ask(questions[1], max_new_tokens=8)
    _speak(drawn, golden["seg1.generated_ids"].tolist())
    drawn.complete()
    (mask,) = drawn.masks
    recorded = golden["seg1.mask_logits_sub"] > 0
    assert (mask.voxels[::2, ::4, ::4] == recorded).mean() > 0.9999


@torch.no_grad()
def test_m3d_clip_gives_the_recorded_tokens(fixtures: Path) -> None:
    source = fixtures / "m3d_clip"
    golden = np.load(source / "golden.npz")
    checkpoint = open_checkpoint(source / "checkpoint", Hub(source / "hub"))
    model: Any = build(checkpoint, torch.device("cuda"), None)
    volumes = torch.from_numpy(golden["volumes_u8"]).cuda().float() / 255
    output = model.vision3d(volumes)
    found = torch.cat([output.class_normed[:, None], output.normed], dim=1)
    np.testing.assert_allclose(found.cpu(), golden["vit_norm_tokens"], rtol=0, atol=1e-4)


def test_the_demo_answers_as_on_the_cpu() -> None:
    volume = load_volume(resource_path("demo-study"))
    models = [med2e3.load("demo", device=d, dtype="float32") for d in ("cpu", "cuda")]
    assert models[1].info.device.startswith("cuda")
    sessions = [model.read(volume) for model in models]
    for question in models[0].info.questions:
        said = [session.ask(question.text) for session in sessions]
        for answer in said:
            answer.complete()
        assert said[1].text == said[0].text
        assert said[0].scores is not None
        assert said[1].scores is not None
        np.testing.assert_allclose(said[1].scores.values, said[0].scores.values, atol=LOOSE)


def test_the_demo_reads_and_answers_in_bfloat16_which_is_the_default() -> None:
    model = med2e3.load("demo")
    assert (model.info.device, model.info.dtype) == ("cuda:0", "bfloat16")
    answer = model.read(load_volume(resource_path("demo-study"))).ask("Which phase is this CT?")
    answer.complete()
    assert answer.finish_reason == "end"


def test_training_on_phantoms_comes_to_the_losses_of_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("stages.encoders", "stages.text", "stages.tuning", "data.features"):
        monkeypatch.setattr(f"med2e3.training.{module}.half_precision", nullcontext)
    recipe = load_recipe("demo").smoke()
    recipe = replace(recipe, tokenizer=TokenizerRecipe(size=600, texts=300))
    losses: dict[bool, dict[str, list[float]]] = {}
    for cpu in (True, False):
        folder = tmp_path / ("cpu" if cpu else "cuda")
        given = Conditions(Compute(cpu=cpu))
        run_all(RunFolder(recipe, folder), lambda *_: None, workers=1, conditions=given)
        losses[cpu] = {stage: _losses(folder / f"{stage}.csv") for stage in recipe.stages}
    for stage, values in losses[True].items():
        assert losses[False][stage] == pytest.approx(values, rel=0.02), stage


def _losses(path: Path) -> list[float]:
    with path.open(newline="", encoding="utf-8") as stream:
        return [float(row["loss"]) for row in csv.DictReader(stream)]


def test_a_recipe_runs_in_half_precision_with_processes_side_by_side(tmp_path: Path) -> None:
    demo = load_recipe("demo").smoke()
    run_folder = RunFolder(demo, tmp_path)
    folder = run_all(run_folder, workers=4, conditions=Conditions(Compute(cpu=False)))
    assert med2e3.load(folder, device="cpu").info.parameters > 1e6


@pytest.mark.parametrize("cpu", [False, True])
def test_the_cpu_can_be_kept_to(tmp_path: Path, cpu: bool) -> None:
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.empty_cache()
    before = torch.cuda.max_memory_allocated()
    train("demo", tmp_path / "run", smoke=True, options=Options(cpu=cpu))
    assert (torch.cuda.max_memory_allocated() > before) is not cpu
