"""A run of kind "insight": from its recipe to a model, stopped and resumed, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from med2e3.checkpoints import Hub
from med2e3.cli import main
from med2e3.errors import CheckpointError, DataError, InputError, RecipeError
from med2e3.model.insight import open_insight
from med2e3.training import Options, open_recipe
from med2e3.training.dry_run import plan_recipe
from med2e3.training.insight import pipeline
from med2e3.training.insight.alignment import AlignmentRecipe
from med2e3.training.insight.caption_study import varied
from med2e3.training.insight.pairs import Pair, Pairs, shuffled
from med2e3.training.insight.pipeline import recipe_of
from med2e3.training.insight.stage import Frozen, InsightStage, share_right
from med2e3.training.insight.teacher import embed_pairs, open_teacher

Make = Callable[..., Path]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(open_insight(folder).state_dict())


def test_a_run_leaves_a_model_and_what_it_finds(finished: Path) -> None:
    model = open_insight(finished / "model")
    assert model.config.grid_shape == (8, 16, 16)
    assert model.config.embedding_size == 8
    found = json.loads((finished / "retrieval.json").read_text())
    assert 0 <= found["image R@1"] <= found["image R@10"] <= 1
    log = (finished / "insight.csv").read_text().splitlines()
    assert log[0] == "step,loss,image,text,reconstruction,R@1"
    assert len(log) == 1 + 4


def test_the_teacher_is_a_folder_that_transformers_opens(finished: Path) -> None:
    teacher = open_teacher(finished / "teacher")
    images = [np.full((9, 16), grey, np.uint8) for grey in (0, 200)]
    assert teacher.images(images).shape == (2, 8)
    said = teacher.texts(["Axial CT slice of the chest.", "Coronal CT slice of the chest."])
    assert not torch.allclose(said[0], said[1])


def test_a_stopped_run_goes_on_as_if_never_stopped(
    finished: Path, tiny_recipe: Make, train_tiny: Make, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    recipe, folder = tiny_recipe(), tmp_path / "run"
    calls = 0
    plain = InsightStage.loss

    def stop_at_third(self: Any, rng: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return plain(self, rng)

    with monkeypatch.context() as patched:
        patched.setattr("med2e3.training.trainer.CHECKPOINT_SECONDS", -1.0)
        patched.setattr(InsightStage, "loss", stop_at_third)
        with pytest.raises(KeyboardInterrupt):
            train_tiny(recipe, folder)
    assert not (folder / "model").exists()
    assert torch.load(folder / "insight.pt", weights_only=True)["step"] == 2
    train_tiny(recipe, folder, resume=True)
    whole, resumed = weights(finished / "model"), weights(folder / "model")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_another_recipe_does_not_resume_it(
    finished: Path, tiny_recipe: Make, train_tiny: Make
) -> None:
    with pytest.raises(InputError, match=r"stages.insight.volumes was 3, and is 2 now"):
        train_tiny(tiny_recipe(("volumes = 3", "volumes = 2")), finished, resume=True)


def test_a_folder_gives_its_recipe_back(finished: Path, tiny_recipe: Make) -> None:
    assert recipe_of(finished) == open_recipe(tiny_recipe(), Options(cpu=True))
    with pytest.raises(InputError, match="holds no run"):
        recipe_of(finished / "model")


@pytest.mark.parametrize("kind", ["infonce", "ot", "partial_ot"])
def test_the_loss_falls_on_a_batch_that_comes_again(finished: Path, kind: str) -> None:
    loss_of = AlignmentRecipe(kind, mass=0.75)
    recipe = varied(recipe_of(finished), loss_of, share=0.0, steps=1)
    run = pipeline.InsightRun(recipe, finished, Options(cpu=True))
    pairs = run.pairs()
    stage = run.stage(pairs, run.embeddings(pairs))
    optimizer = torch.optim.Adam(stage.module.parameters(), 1e-2)
    losses = []
    for _ in range(50):
        loss, _ = stage.loss(np.random.default_rng(1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_the_same_seed_makes_the_same_captions_wrong_and_more_of_them() -> None:
    pairs = Pairs([], tuple(Pair(k // 4, 0, k % 4, 4, "") for k in range(400)))
    few, many = shuffled(pairs, 0.25, 5), shuffled(pairs, 0.5, 5)
    own = np.arange(400)
    assert (shuffled(pairs, 0.0, 5) == own).all()
    assert (few != own).sum() == 100
    assert (many != own).sum() == 200
    assert (many[few != own] == few[few != own]).all()
    wrong = many != own
    assert (many[wrong] // 4 != own[wrong] // 4).all()  # of another volume
    assert (shuffled(pairs, 0.25, 6) != few).any()


def test_wrong_captions_change_texts_and_no_images(finished: Path, tiny_recipe: Make) -> None:
    recipe = open_recipe(
        tiny_recipe(("slices = 2\n[window]", "slices = 2\nwrong_captions = 0.5\n[window]")),
        Options(cpu=True),
    )
    run = pipeline.InsightRun(recipe, finished, Options(cpu=True))
    pairs = run.pairs()
    image, text = run.embeddings(pairs)
    frozen = run.stage(pairs, (image, text)).frozen
    assert torch.equal(frozen.image, image)
    assert int((frozen.text != text).any(1).sum()) >= len(text) // 4


def test_hidden_patches_are_whole_patches(finished: Path) -> None:
    import dataclasses

    run = pipeline.InsightRun(recipe_of(finished), finished, Options(cpu=True))
    pairs = run.pairs()
    stage = run.stage(pairs, run.embeddings(pairs))
    stage.recipe = dataclasses.replace(stage.recipe, mask_ratio=0.5)
    seen = torch.rand(2, 1, 8, 16, 16)
    hidden = stage._masked(seen, np.random.default_rng(0)) != seen
    cells = hidden.unfold(2, 2, 2).unfold(3, 4, 4).unfold(4, 4, 4).flatten(5)
    assert (cells.all(-1) | ~cells.any(-1)).all()
    assert 0.2 < float(hidden.float().mean()) < 0.8


def test_recall_counts_own_targets() -> None:
    assert share_right(torch.eye(4), torch.eye(4)) == 1.0
    assert share_right(torch.eye(4), torch.eye(4).roll(1, 0)) == 0.0


class Alike:
    """A frozen model to which all captions are the same."""

    def images(self, images: Any) -> torch.Tensor:
        return torch.eye(len(images), 8)

    def texts(self, texts: Any) -> torch.Tensor:
        return torch.ones(len(texts), 8)


def test_equal_embeddings_are_an_error_and_not_a_lesson() -> None:
    pairs = Pairs([np.zeros((4, 4, 4), np.uint8)], tuple(Pair(0, 0, k, 4, "x") for k in range(3)))
    with pytest.raises(DataError, match="same embedding of their caption"):
        embed_pairs(Alike(), pairs)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("train_seeds = [0, 4]", "train_seeds = [4, 4]", "name one of them"),
        ("train_seeds = [0, 4]", 'captions = "c.jsonl"', "names no model"),
        (
            "[stages.teacher]\nsteps = 2\nlearning_rate = 1e-3\nslices = 6\n",
            "",
            "must have teacher and insight",
        ),
        ('kind = "partial_ot"', 'kind = "wasserstein"', "wasserstein"),
        ("mass = 0.75", "mass = 1.5", "between 0 and 1"),
        ("mass = 0.75", "mass = 1.0", "“ot”"),
        ("heads = 2\nfeedforward", "heads = 3\nfeedforward", "do not divide"),
        ('encoder = "vit3d"', 'encoder = "vit4d"', "vit4d"),
        ("queries = 2", "querys = 2", "queries"),
        ("volumes = 3\nslices = 2", "volumes = 1\nslices = 1", "batches of one pair"),
        ("width = 2000.0", "width = 0.0", "more than 0"),
        ("queue = 8", "queue = -1", "at least 0"),
    ],
)
def test_a_wrong_recipe_is_named_with_its_line(
    tiny_recipe: Make, before: str, after: str, said: str
) -> None:
    with pytest.raises(RecipeError, match="tiny") as error:
        open_recipe(tiny_recipe((before, after)), Options(cpu=True))
    assert said in str(error.value)


def test_options_that_would_change_nothing_are_refused(tiny_recipe: Make) -> None:
    with pytest.raises(InputError, match="would not read start"):
        open_recipe(tiny_recipe(), Options(cpu=True, start="demo"))


def test_a_teacher_that_is_no_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a folder"):
        open_teacher(tmp_path / "biomedclip")


def test_a_teacher_without_features_of_texts_is_named(finished: Path) -> None:
    with pytest.raises(CheckpointError, match="CLIP-like"):
        open_teacher(finished / "model")


def test_the_command_trains_in_smoke_and_plans_without_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tiny_recipe: Make
) -> None:
    recipe, folder = tiny_recipe(), tmp_path / "run"
    assert main(["train", str(recipe), "--out", str(folder), "--smoke", "--cpu"]) == 0
    assert capsys.readouterr().out.strip() == str(folder / "model")
    assert open_insight(folder / "model").config.queries == 2
    assert main(["train", "insight", "--dry-run"]) == 0
    planned = capsys.readouterr().out
    assert "stage teacher" in planned
    assert "stage insight" in planned
    assert "8 volumes × 6 slices" in planned


@pytest.mark.parametrize(
    ("volumes", "mass", "said"),
    [(5, "0.95", "can leave out 0.5 of 10 pairs"), (200, "0.95", "")],
)
def test_the_plan_says_where_partial_transport_cannot_act(
    tiny_recipe: Make, volumes: int, mass: str, said: str
) -> None:
    recipe = open_recipe(
        tiny_recipe(
            ("volumes = 3", f"volumes = {volumes}"), ("mass = 0.75", f"mass = {mass}"),
            ("queue = 8", "queue = 0"),
        ),
        Options(cpu=True),
    )  # fmt: skip
    (_, plan) = plan_recipe(recipe, Hub(None), None)
    assert said in plan.text(1)
    assert ("nearly ot" in plan.text(1)) == bool(said)


def test_embeddings_of_other_captions_are_not_taken_for_these(
    finished: Path, tmp_path: Path
) -> None:
    shutil.copy(finished / "embeddings.pt", tmp_path / "embeddings.pt")
    run = pipeline.InsightRun(recipe_of(finished), tmp_path, Options(cpu=True))
    with pytest.raises(CheckpointError, match="captions have changed"):
        run.embeddings(Pairs([], ()))


def test_a_volume_with_few_captions_gives_them_twice(finished: Path) -> None:
    run = pipeline.InsightRun(recipe_of(finished), finished, Options(cpu=True))
    model = open_insight(finished / "model")
    grids = [np.zeros((8, 16, 16), np.uint8)] * 2
    pairs = Pairs(grids, (Pair(1, 0, 0, 8, "a"),))
    frozen = Frozen(torch.ones(1, 8), torch.ones(1, 8))
    stage = InsightStage(run.recipe.aligning, model, pairs, frozen)
    chosen, rows, owner = stage.draw(np.random.default_rng(0))
    assert set(chosen) == {1}  # the other volume has no caption
    assert rows.tolist() == [0] * 6
    assert owner.tolist() == [0, 0, 1, 1, 2, 2]


def test_a_step_and_the_transport_are_timed_beside_others(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from med2e3.training.insight import timing

    monkeypatch.setattr(timing, "STEPS", 2)
    monkeypatch.setattr(timing, "TRANSPORTS", (10,))
    assert main(["benchmark", "--insight", str(finished), "--json"]) == 0
    step, transport = json.loads(capsys.readouterr().out)["timed"]
    assert (step["against"], transport["what"]) == (
        "plain PyTorch loop", "partial transport, 10 pairs",
    )  # fmt: skip
    assert min(step["ours"], step["other"], transport["ours"], transport["other"]) > 0
