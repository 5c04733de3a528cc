"""Training on lists of one's own: pointing, what is held out, best step, early stop, SIGTERM."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from med2e3.checkpoints import Hub, build, open_checkpoint
from med2e3.errors import DataError, InputError, RecipeError, Terminated
from med2e3.training import Options, open_recipe, train
from med2e3.training.cautions import cautions
from med2e3.training.checkpointing import read_weights
from med2e3.training.data.augment import Augmentation, names_sides
from med2e3.training.data.dataset import Reader
from med2e3.training.data.held_out import split
from med2e3.training.micro_batch import MicroBatch
from med2e3.training.optimizers import Schedule
from med2e3.training.published_recipe import PublishedRecipe
from med2e3.training.stage_recipe import StageRecipe
from med2e3.training.stages.published import open_parts
from med2e3.training.trainer import Run, run_stage
from med2e3.training.validating import Validation, read_losses


@pytest.fixture(scope="module")
def own_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight volumes of two patients a folder; a bright slab, which half of the rows ask about."""
    folder = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(5)
    rows = []
    for k in range(8):
        scan = rng.random((1, 32, 64, 64), dtype=np.float32) * 0.2 + 0.01
        first = 4 * k if k < 7 else 2
        scan[:, first : first + 3, 16:48, 16:48] += 0.7
        name = f"patient{k // 2}/{k}.npy"
        (folder / name).parent.mkdir(exist_ok=True)
        np.save(folder / name, scan)
        for question, answer in (("Where is the clip?", "There."), ("Is it CT?", "Yes.")):
            said = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
            row: dict[str, Any] = {"vision3d": [name], "conversations": said}
            rows.append(row | ({"slices": f"{first}-{first + 2}"} if "clip" in question else {}))
    (folder / "own.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def options(hub_folder: Path, own_files: Path) -> Options:
    return Options(cpu=True, data=own_files, hub=hub_folder)


@pytest.fixture
def recipe_text(pretrain_text: str) -> str:
    """Connectors and scores of a new model, on the list of `own_files`."""
    text = pretrain_text.replace("m3d_pretrain.json", "own.json")
    return text.replace('template = "pretrain"', 'template = "short"')


def opened(path: Path, options: Options) -> PublishedRecipe:
    recipe = open_recipe(path, options)
    assert isinstance(recipe, PublishedRecipe)
    return recipe


def column(folder: Path, name: str) -> list[float]:
    with (folder / "pretrain.csv").open(newline="", encoding="utf-8") as stream:
        return [float(row[name]) for row in csv.DictReader(stream)]


def test_scores_learn_to_point_at_the_slices_of_a_list(
    options: Options, write_recipe: Any, recipe_text: str, tmp_path: Path
) -> None:
    """Its chance is 3 of 32 slices; without the loss the mass stays there."""
    path = write_recipe(recipe_text, pointing=1.0, max_steps=8, batch=8, parts=1)
    train(path, tmp_path / "run", options=options)
    mass = column(tmp_path / "run", "mass")
    assert mass[0] < 0.2
    assert max(mass[-3:]) > 2 * mass[0]
    answers, points, loss = (
        np.array(column(tmp_path / "run", name)) for name in ("answers", "pointing", "loss")
    )
    assert answers + points == pytest.approx(loss, rel=1e-4)


def test_pointing_without_slices_or_without_scores_is_refused(
    options: Options, m3d_files: Path, write_recipe: Any, recipe_text: str, pretrain_text: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    stating_nothing = write_recipe(pretrain_text, pointing=0.5)
    with pytest.raises(DataError, match=r"of 2 rows none states it. Give the lists “slices”"):
        train(stating_nothing, tmp_path / "a", options=replace(options, data=m3d_files))
    mean = recipe_text.replace("[start]", '[model]\naggregation = "mean"\n[start]', 1)
    path = write_recipe(mean, pointing=0.5, train=["connector3d", "connector2d"])
    with pytest.raises(InputError, match=r"this model has none \(aggregation mean"):
        train(path, tmp_path / "b", options=options)


def test_whole_volumes_are_held_out_and_no_row_is_in_both_parts(
    options: Options, write_recipe: Any, recipe_text: str, own_files: Path, tmp_path: Path
) -> None:
    recipe = opened(write_recipe(recipe_text), replace(options, validation=0.25))
    trained, validation = open_parts(recipe, None, (32, 64, 64), options)  # type: ignore[arg-type]
    assert validation is not None
    held: Any = validation.held_out
    parts = [{d.sample(k).image for k in range(len(d))} for d in (trained, held.dataset)]
    assert [len(part) for part in parts] == [6, 2]
    assert not parts[0] & parts[1]
    assert (len(trained), len(held.dataset)) == (12, 4), "with all rows of a volume"
    assert held.dataset.reader.augmentation == Augmentation.none()
    moved = tmp_path / "moved"
    shutil.copytree(own_files, moved)
    elsewhere = replace(options, data=moved)
    again = opened(write_recipe(recipe_text), replace(elsewhere, validation=0.25))
    other: Any = open_parts(again, None, (32, 64, 64), elsewhere)[1]  # type: ignore[arg-type]
    names = {d.sample(k).image.name for d in (other.held_out.dataset,) for k in range(4)}
    assert names == {path.name for path in parts[1]}, "whatever the folder's name"
    by_patient, out = split(trained.sources, own_files, 0.3, 7, "folder")
    patients = [{s.sample(k).image.parent for s in listed for k in range(len(s))}
                for listed in (by_patient, out)]  # fmt: skip
    assert not patients[0] & patients[1]
    assert patients[1]


class Parabola:
    """Learns one number by steps of a fixed size; the best for validation lies at -0.5."""

    def __init__(self) -> None:
        self.name = "parabola"
        self.module = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.constant_(self.module.weight, 1.0)

    def loss(self, content: Any) -> tuple[torch.Tensor, dict[str, float]]:
        weight = self.module.weight.sum()
        wanted = -0.5 if content == "held out" else -10.0
        return (weight - wanted) ** 2, {}

    def batches(self, rank: int, processes: int) -> Iterator[MicroBatch]:
        assert not self.module.training
        yield MicroBatch("held out", 3.0)


@pytest.fixture
def plan() -> StageRecipe:
    """Adam moves the weight by about 0.1 a step: the best step is the 15th of 40."""
    flat = Schedule(warmup=0.0, floor=1.0, weight_decay=0.0)
    return StageRecipe("parabola", 40, 0.1, parts=1, schedule=flat)


def test_the_best_step_is_kept_and_training_stops_after_it(
    plan: StageRecipe, tmp_path: Path
) -> None:
    stage = Parabola()
    run = Run(tmp_path, 1, validation=Validation(stage, every=5, patience=2))
    losses = run_stage(stage, plan, run)
    assert len(losses) == 25, "at 20 and 25 it is no better than at 15"
    found = read_losses(tmp_path / "parabola.validation.csv")
    assert list(found) == [5, 10, 15, 20, 25]
    assert min(found, key=lambda step: found[step]) == 15
    best = read_weights(tmp_path / "parabola.best.pt")["weight"]
    assert float(best) == pytest.approx(-0.5, abs=0.1)
    assert run_stage(Parabola(), plan, run) == [], "gone on with, it stays stopped"
    other = Parabola()
    patient = replace(run, folder=tmp_path / "whole", validation=Validation(other, 7))
    assert len(run_stage(other, plan, patient)) == 40
    whole = read_losses(tmp_path / "whole" / "parabola.validation.csv")
    assert list(whole) == [7, 14, 21, 28, 35, 40], "and once after the last step"


def test_validation_goes_on_where_a_run_was_stopped(plan: StageRecipe, tmp_path: Path) -> None:
    stage = Parabola()

    def stop(step: int, steps: int, numbers: dict[str, float]) -> None:
        if step == 18:
            raise KeyboardInterrupt

    run = Run(tmp_path, 1, report=stop, checkpoint_seconds=0.0,
              validation=Validation(stage, every=5, patience=2))  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        run_stage(stage, plan, run)
    again = Parabola()
    rest = run_stage(again, plan, replace(run, report=None, validation=Validation(again, 5, 2)))
    assert len(rest) == 8, "from 17 to 25"
    assert list(read_losses(tmp_path / "parabola.validation.csv")) == [5, 10, 15, 20, 25]
    assert float(read_weights(tmp_path / "parabola.best.pt")["weight"]) < 0


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such signal")
def test_sigterm_finishes_the_step_and_writes_a_checkpoint(
    plan: StageRecipe, tmp_path: Path
) -> None:
    def end(step: int, steps: int, numbers: dict[str, float]) -> None:
        if step == 12:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    whole = run_stage(Parabola(), plan, Run(tmp_path / "whole", 1))
    with pytest.raises(Terminated, match=r"SIGTERM after step 1\d of 40 .*--resume"):
        run_stage(Parabola(), plan, Run(tmp_path / "ended", 1, report=end))
    assert signal.getsignal(signal.SIGTERM) == before
    rest = run_stage(Parabola(), plan, Run(tmp_path / "ended", 1))
    assert len(rest) in (27, 28), "no step is taken again"
    assert rest == whole[-len(rest) :]


def test_the_model_that_is_written_is_that_of_the_best_step(
    options: Options, write_recipe: Any, recipe_text: str, tmp_path: Path
) -> None:
    """Whole, and with adapters, whose best step is merged."""
    pytest.importorskip("peft")
    table = "[validation]\nshare = 0.25\nevery = 2\n[lora]\nrank = 2\nalpha = 4.0\n[start]"
    path = write_recipe(recipe_text.replace("[start]", table, 1), max_steps=5)
    model = train(path, tmp_path / "run", options=options)
    found = read_losses(tmp_path / "run" / "pretrain.validation.csv")
    assert list(found) == [2, 4, 5]
    best = read_weights(tmp_path / "run" / "pretrain.best.pt")
    assert any("lora_" in name for name in best)
    written = build(open_checkpoint(model, Hub(None)), torch.device("cpu"), torch.float32)
    state = written.state_dict()
    name = "connector2d.layers.0.weight"
    name = name if name in state else next(n for n in state if n.startswith("connector2d"))
    assert torch.equal(state[name], best[name].bfloat16().float())


def test_texts_that_name_sides_are_neither_flipped_nor_turned_where_asked(
    golden_folder: Path, own_files: Path
) -> None:
    processor = open_checkpoint(golden_folder / "checkpoint", Hub(golden_folder / "hub")).processor
    from med2e3.training.data.samples import Sample

    always = Augmentation(1.0, 1.0, 0.0, 0.0, 0.0, 0.0, keep_sides=True)
    image = own_files / "patient0/1.npy"
    sided = Sample(image, (("Where?", "In the LEFT lung."),), "Where?", "here")
    plain = Sample(image, (("Where?", "In the liver."),), "Where?", "here")
    scan = torch.from_numpy(np.load(image))
    reader = Reader(processor, (32, 64, 64), always, 3)
    assert torch.equal(reader.read(sided, 0).volume, scan)
    assert not torch.equal(reader.read(plain, 0).volume, scan)
    published = replace(reader, augmentation=replace(always, keep_sides=False))
    assert not torch.equal(published.read(sided, 0).volume, scan)
    for text, said in (("Right-sided effusion", True), ("rechts", True), ("à gauche", True),
                       ("upright", False), ("leftover", False)):  # fmt: skip
        assert names_sides([text]) is said


def test_a_caution_counts_the_texts_that_name_sides(
    options: Options, write_recipe: Any, recipe_text: str, m3d_files: Path, tmp_path: Path
) -> None:
    recipe = opened(write_recipe(recipe_text), options)
    assert cautions(recipe.data, recipe.augment, 1) == ()
    rows = json.loads((options.data / "own.json").read_text(encoding="utf-8"))
    rows[0]["conversations"][1]["value"] = "In the left kidney."
    (tmp_path / "own.json").write_text(json.dumps(rows), encoding="utf-8")
    sided = opened(write_recipe(recipe_text), replace(options, data=tmp_path))
    (said,) = cautions(sided.data, sided.augment, 1)
    assert said.startswith("Of 16 rows that were looked at, 1 says left or right")
    assert "--keep-sides" in said
    kept = opened(write_recipe(recipe_text), replace(options, data=tmp_path, keep_sides=True))
    assert kept.augment.keep_sides
    assert cautions(kept.data, kept.augment, 1) == ()
    assert cautions(sided.data, Augmentation.none(), 1) == ()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("share = 1.0", "share = 1 leaves nothing"),
        ("share = 1.5", "must lie between 0 and 1"),
        ("patience = 3", "nothing is held out"),
        ('share = 0.1\n[[validation.data]]\nformat = "m3d-cap"\nfile = "x.json"', "give one"),
        ('share = 0.1\ngroup = "study"', "is not one of: volume, folder"),
    ],
)
def test_a_validation_that_cannot_be_is_named(
    table: str, said: str, write_recipe: Any, recipe_text: str
) -> None:
    text = recipe_text.replace("[start]", f"[validation]\n{table}\n[start]", 1)
    with pytest.raises(RecipeError, match=said):
        open_recipe(write_recipe(text), Options())


def test_fewer_than_two_volumes_cannot_be_split(
    options: Options, write_recipe: Any, recipe_text: str, tmp_path: Path
) -> None:
    rows = json.loads((options.data / "own.json").read_text(encoding="utf-8"))[:2]
    (tmp_path / "own.json").write_text(json.dumps(rows), encoding="utf-8")
    one = replace(options, data=tmp_path, validation=0.5)
    recipe = opened(write_recipe(recipe_text), one)
    with pytest.raises(RecipeError, match="the lists have 1"):
        open_parts(recipe, None, (32, 64, 64), one)  # type: ignore[arg-type]


def test_runs_of_before_there_were_such_keys_go_on(
    options: Options, write_recipe: Any, recipe_text: str, tmp_path: Path
) -> None:
    path = write_recipe(recipe_text, max_steps=1)
    train(path, tmp_path / "run", options=options)
    said = json.loads((tmp_path / "run" / "recipe.json").read_text(encoding="utf-8"))
    assert not {"pointing", "validation"} & set(said)
    assert "keep_sides" not in said["augment"]
    pointing = write_recipe(recipe_text, max_steps=1, pointing=0.5)
    with pytest.raises(InputError, match=r"pointing was not stated, and is 0\.5 now"):
        train(pointing, tmp_path / "run", resume=True, options=options)
