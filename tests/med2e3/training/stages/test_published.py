"""The published two stages at golden sizes: what learns, what the loss is, what changes nothing."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import med2e3
from med2e3.checkpoints import Hub, build, convert, open_checkpoint
from med2e3.errors import CheckpointError, DataError, InputError
from med2e3.model import Med2E3Processor
from med2e3.training import Options, open_recipe, train
from med2e3.training.data.augment import Augmentation
from med2e3.training.data.dataset import Collator, Reader
from med2e3.training.data.samples import Sample
from med2e3.training.published_recipe import PublishedRecipe
from med2e3.training.stages.published import PublishedStage, open_data
from med2e3.training.starting import load_start
from med2e3.training.trainer import Run, run_stage


@pytest.fixture(scope="module")
def options(hub_folder: Path, m3d_files: Path) -> Options:
    return Options(cpu=True, data=m3d_files, hub=hub_folder)


@pytest.fixture(scope="module")
def pretrained(
    options: Options, write_recipe: Any, pretrain_text: str, tmp_path_factory: Any
) -> Path:
    """The folder of stage 1, run to its end."""
    folder = tmp_path_factory.mktemp("stage1") / "run"
    train(write_recipe(pretrain_text), folder, options=options)
    return Path(folder)


@pytest.fixture(scope="module")
def finetuned(
    pretrained: Path, options: Options, write_recipe: Any, finetune_text: str, tmp_path_factory: Any
) -> Path:
    """The folder of stage 2, on what stage 1 left."""
    folder = tmp_path_factory.mktemp("stage2") / "run"
    start = Options(
        cpu=True, data=options.data, hub=options.hub, start=str(pretrained / "model")
    )  # fmt: skip
    train(write_recipe(finetune_text), folder, options=start)
    return Path(folder)


def logged(folder: Path, name: str) -> list[float]:
    with (folder / f"{name}.csv").open(newline="", encoding="utf-8") as stream:
        return [float(row["loss"]) for row in csv.DictReader(stream)]


def tensors(folder: Path, hub: Path | None = None) -> dict[str, torch.Tensor]:
    checkpoint = open_checkpoint(folder, Hub(hub))
    model = build(checkpoint, torch.device("cpu"), torch.float32)
    return {name: value.clone() for name, value in model.state_dict().items()}


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    """Parts with a tensor that is not the same after rounding to bfloat16."""
    assert before.keys() == after.keys()
    return {
        name.split(".")[0]
        for name, value in before.items()
        if not torch.equal(value.bfloat16().float(), after[name])
    }


def test_pretraining_teaches_the_connectors_and_nothing_else(
    pretrained: Path, options: Options, write_recipe: Any, pretrain_text: str
) -> None:
    losses = logged(pretrained, "pretrain")
    assert len(losses) == 8
    assert np.mean(losses[-2:]) < 0.8 * losses[0]
    recipe = open_recipe(write_recipe(pretrain_text), options)
    assert isinstance(recipe, PublishedRecipe)
    start = load_start(recipe, Hub(options.hub)).model.state_dict()
    after = tensors(pretrained / "model")
    assert changed(start, after) == {"connector3d", "connector2d", "text_projection"}


def test_finetuning_goes_on_from_it_and_leaves_m3d_clip_alone(
    pretrained: Path, finetuned: Path
) -> None:
    losses = logged(finetuned, "finetune")
    assert np.mean(losses[-4:]) < 0.5 * losses[0]
    learned = {"language_model", "vision2d", "connector3d", "connector2d", "text_projection"}
    assert changed(tensors(pretrained / "model"), tensors(finetuned / "model")) == learned


def test_the_finetuned_model_answers_as_it_was_taught(finetuned: Path, m3d_files: Path) -> None:
    model = med2e3.load(finetuned / "model", device="cpu")
    answers = []
    for k in range(2):
        volume = med2e3.load_volume(m3d_files / f"scan{k}.npy")
        answer = model.read(volume).ask("Is there a lesion?", max_new_tokens=12)
        answer.complete()
        answers.append(answer.text.strip())
    assert answers[0].startswith(("Yes", "No"))
    assert answers[1].startswith(("Yes", "No"))


def test_a_model_is_asked_by_the_template_that_its_recipe_trained_it_with(
    pretrained: Path, finetuned: Path, options: Options, write_recipe: Any, finetune_text: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    """It was always "phi": asked so, a model that learned another one said "No." to everything."""
    short = replace(options, start=str(pretrained / "model"))
    path = write_recipe(finetune_text, template="short")
    made = train(path, tmp_path / "short", smoke=True, options=short)
    folders = {"phi": finetuned / "model", "short": made}
    for template, folder in folders.items():
        assert Med2E3Processor.from_pretrained(folder).template == template
    captions = Med2E3Processor.from_pretrained(pretrained / "model")
    assert captions.template == "phi"  # a template without a question cannot ask one


def test_the_loss_is_that_of_the_published_code(
    golden: Any, golden_folder: Path, write_recipe: Any, finetune_text: str, options: Options
) -> None:
    """Recorded from it in eval mode, on two samples with answers of unequal length."""
    checkpoint = open_checkpoint(golden_folder / "checkpoint", Hub(golden_folder / "hub"))
    model = build(checkpoint, torch.device("cpu"), torch.float32)
    recipe = open_recipe(write_recipe(finetune_text, gradient_checkpointing=False), options)
    assert isinstance(recipe, PublishedRecipe)
    arrays = np.load(golden_folder / "inputs" / "volumes_u8.npz")
    items = json.loads((golden_folder / "inputs" / "train.json").read_text(encoding="utf-8"))
    reader = Reader(checkpoint.processor, (32, 64, 64), Augmentation.none(), 0)
    folder = options.data.parent / "golden-volumes"
    folder.mkdir(exist_ok=True)
    read = []
    for item in items[:2]:
        name = item["vision3d"][0]
        np.save(folder / name, arrays[name.removesuffix(".npy")].astype(np.float32) / 255)
        said = [part["value"] for part in item["conversations"]]
        sample = Sample(folder / name, ((said[0], said[1]),), item["question"], "here")
        read.append(reader.read(sample, 0))
    batch = Collator(checkpoint.processor.tokenizer.pad_token_id)(read)
    assert not isinstance(batch, DataError)
    dataset = open_data(recipe, checkpoint.processor, (32, 64, 64), skip_damaged=False)
    stage = PublishedStage(recipe, model, dataset)
    model.eval()
    with torch.no_grad():
        loss, _ = stage.loss(batch.tensors)
    assert float(loss) == pytest.approx(float(golden["train.phi.loss"]), abs=5e-6)


@pytest.fixture
def make_stage(
    write_recipe: Any, finetune_text: str, options: Options, pretrained: Path
) -> Callable[..., tuple[PublishedStage, PublishedRecipe]]:
    """Stage 2 with values of its recipe changed; `dropout` False switches all of it off."""

    def make(dropout: bool = True, **changes: Any) -> tuple[PublishedStage, PublishedRecipe]:
        path = write_recipe(finetune_text, text_encoder_dropout=dropout, **changes)
        recipe = open_recipe(path, Options(data=options.data, start=str(pretrained / "model")))
        assert isinstance(recipe, PublishedRecipe)
        start = load_start(recipe, Hub(options.hub))
        if not dropout:
            start.model.config.score_dropout = 0.0
        dataset = open_data(recipe, start.processor, (32, 64, 64), skip_damaged=False)
        return PublishedStage(recipe, start.model, dataset), recipe

    return make


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulating_equals_the_large_batch(parts: int, make_stage: Any, tmp_path: Path) -> None:
    """Answers are of unequal length: a mean of the parts' means would not be the mean."""
    results = []
    for name, count in (("large", 1), ("parts", parts)):
        stage, recipe = make_stage(dropout=False, parts=count, max_steps=3)
        losses = run_stage(stage, recipe.stage(len(stage.dataset)), Run(tmp_path / name, 7))
        results.append((losses, {n: p.detach() for n, p in stage.model.named_parameters()}))
    (large, whole), (shared, pieces) = results
    assert shared == pytest.approx(large, rel=1e-5)
    far = max(float((whole[name] - pieces[name]).abs().max()) for name in whole)
    assert far < 2e-4, "Adam's first steps are of size 2e-3 each"


def test_a_stopped_run_goes_on_with_the_same_losses(make_stage: Any, tmp_path: Path) -> None:
    """With augmentation and both dropouts on: what is random follows from seed and step."""
    stage, recipe = make_stage(max_steps=5)
    plan = recipe.stage(len(stage.dataset))
    whole = run_stage(stage, plan, Run(tmp_path / "whole", 7))

    def stop(step: int, steps: int, numbers: dict[str, float]) -> None:
        if step == 4:
            raise KeyboardInterrupt

    run = Run(tmp_path / "stopped", 7, report=stop, checkpoint_seconds=0.0)
    with pytest.raises(KeyboardInterrupt):
        run_stage(make_stage(max_steps=5)[0], plan, run)
    torch.manual_seed(99)
    again, _ = make_stage(max_steps=5)
    rest = run_stage(again, plan, Run(tmp_path / "stopped", 7))
    assert rest == pytest.approx(whole[3:], rel=1e-6)
    log = logged(tmp_path / "stopped", "finetune")
    assert log == pytest.approx(whole, rel=1e-5), "no step is logged twice"


@pytest.mark.parametrize("written", [b"not a checkpoint", b""])
def test_a_damaged_checkpoint_is_refused(written: bytes, make_stage: Any, tmp_path: Path) -> None:
    stage, recipe = make_stage(max_steps=1)
    (tmp_path / "finetune.pt").write_bytes(written)
    with pytest.raises(CheckpointError, match=r"finetune\.pt is damaged"):
        run_stage(stage, recipe.stage(len(stage.dataset)), Run(tmp_path, 7))


def test_a_checkpoint_of_another_recipe_is_refused(
    make_stage: Any, pretrained: Path, tmp_path: Path
) -> None:
    stage, recipe = make_stage(max_steps=1)
    shutil.copy(pretrained / "pretrain.pt", tmp_path / "finetune.pt")
    with pytest.raises(CheckpointError, match="another recipe"):
        run_stage(stage, recipe.stage(len(stage.dataset)), Run(tmp_path, 7))


def test_a_run_is_not_gone_on_with_by_another_recipe(
    options: Options, write_recipe: Any, pretrain_text: str, tmp_path: Path
) -> None:
    """Batch, rate, seed, lists and what it starts from decide what a checkpoint is worth."""
    run = tmp_path / "run"
    train(write_recipe(pretrain_text, max_steps=1), run, options=options)
    for changes, said in (
        ({"batch": 2}, "batch was 4, and is 2 now"),
        ({"learning_rate": 1e-3}, r"learning_rate was 0\.02, and is 0\.001 now"),
        ({"seed": 43}, "seed was 42, and is 43 now"),
        ({"file": "other.json"}, r"data\.1\.file was m3d_pretrain\.json, and is other\.json now"),
    ):
        with pytest.raises(InputError, match=said):
            train(write_recipe(pretrain_text, max_steps=1, **changes), run, resume=True,
                  options=options)  # fmt: skip
    elsewhere = replace(options, start=str(run / "model"))
    with pytest.raises(InputError, match=r"start\.language_model was microsoft/.*not stated now"):
        train(write_recipe(pretrain_text, max_steps=1), run, resume=True, options=elsewhere)
    moved = tmp_path / "moved"
    shutil.copytree(options.data, moved)
    same = write_recipe(pretrain_text, max_steps=1, checkpoint_minutes=7.0)
    train(same, run, resume=True, options=replace(options, data=moved))


def test_the_text_encoders_dropout_is_a_named_choice(make_stage: Any) -> None:
    for wanted in (True, False):
        stage, _ = make_stage(dropout=wanted)
        stage.model.train()
        batch = next(iter(stage.steps(0, 1, [0])))[0].content
        stage.loss(batch)
        assert stage.model.text_encoder.training is wanted
        assert not any(p.requires_grad for p in stage.model.text_encoder.parameters())


def test_the_shipped_recipes_are_the_published_ones() -> None:
    stages = {}
    for name in ("pretrain", "finetune"):
        recipe = open_recipe(name, Options())
        assert isinstance(recipe, PublishedRecipe)
        stages[name] = recipe
    first, second = stages["pretrain"], stages["finetune"]
    assert (first.learning_rate, first.epochs, first.batch) == (1e-4, 3, 64)
    assert (second.learning_rate, second.epochs, second.batch) == (5e-5, 4, 128)
    assert set(second.train) - set(first.train) == {"language_model", "vision2d"}
    for recipe in stages.values():
        assert (recipe.warmup, recipe.weight_decay, recipe.mixed_precision) == (0.03, 0.0, "bf16")
        assert recipe.augment == Augmentation()
        assert recipe.context_length == 768
    assert first.steps(1000) == 47
    assert (first.template, second.template) == ("pretrain", "phi")


def test_a_recipe_with_a_wrong_word_names_it(write_recipe: Any, finetune_text: str) -> None:
    for changes, said in (
        ({"learning_rat": 1.0}, "learning_rat"),
        ({"train": ["head"]}, "head"),
        ({"parts": 3}, "parts = 3"),
        ({"template": "chat"}, "chat"),
    ):
        with pytest.raises(InputError, match=said):
            open_recipe(write_recipe(finetune_text, **changes), Options())


#: What each row of the paper's tables 3 to 5, and its first version, changes.
FORMS: dict[str, dict[str, Any]] = {
    "the first version": {"text_source": "llm_embedding", "score_temperature": 1.0},
    "3D only": {"encoders": "3d"},
    "2D only": {"encoders": "2d"},
    "random scores": {"aggregation": "random"},
    "max pooling": {"aggregation": "max"},
    "average pooling": {"aggregation": "mean"},
    "text, 3D": {"local_features": "3d"},
    "text, 2D": {"local_features": "2d"},
    "no text, 3D": {"text_source": "none", "local_features": "3d"},
    "no text, 2D": {"text_source": "none", "local_features": "2d"},
    "no text, 3D + 2D": {"text_source": "none"},
}


#: Rows that differ from the others in more than one of encoders, aggregation and text.
FIRST_FORMS = ("the first version", "2D only", "max pooling")


@pytest.mark.parametrize(
    "form", [pytest.param(f, marks=[pytest.mark.slow] * (f not in FIRST_FORMS)) for f in FORMS]
)
def test_every_row_of_the_papers_tables_trains_from_pieces(
    form: str, options: Options, write_recipe: Any, pretrain_text: str, tmp_path: Path
) -> None:
    choices = FORMS[form]
    table = "\n".join(f"{name} = {json.dumps(value)}" for name, value in choices.items())
    encoders = choices.get("encoders", "3d+2d")
    parts = [f"connector{name}" for name in ("3d", "2d") if name in encoders]
    text = pretrain_text.replace("[start]", f"[model]\n{table}\n[start]", 1)
    model = train(write_recipe(text, max_steps=2, train=parts), tmp_path / "run", options=options)
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    for name, value in choices.items():
        assert config[name] == value
    if "text_source" in choices:
        assert config["text_projection"] == "none"
    loaded = med2e3.load(model, device="cpu")
    session = loaded.read(med2e3.load_volume(options.data / "scan0.npy"))
    answer = session.ask("Is there a lesion?", max_new_tokens=3)
    answer.complete()
    scored = "2d" in encoders and choices.get("aggregation", "tgis") != "max"
    assert (answer.scores is not None) is scored


def test_choices_of_a_whole_model_or_that_do_not_fit_are_named(
    options: Options, write_recipe: Any, pretrain_text: str, finetune_text: str, tmp_path: Path
) -> None:
    table = '[model]\naggregation = "mean"\n[start]'
    with pytest.raises(InputError, match="put together from pieces"):
        open_recipe(write_recipe(finetune_text.replace("[start]", table, 1)), Options())
    odd = pretrain_text.replace("[start]", '[model]\naggregation = "median"\n[start]', 1)
    with pytest.raises(InputError, match="aggregation='median' is not one of"):
        train(write_recipe(odd), tmp_path / "run", options=options)


def test_lora_trains_adapters_which_the_model_has_merged(
    pretrained: Path, options: Options, write_recipe: Any, finetune_text: str, tmp_path: Path
) -> None:
    start = replace(options, start=str(pretrained / "model"), lora=2)
    run = tmp_path / "run"
    train(write_recipe(finetune_text, max_steps=3), run, options=start)
    before, after = tensors(pretrained / "model"), tensors(run / "model")
    assert before.keys() == after.keys()
    own = {name: value for name, value in before.items() if name.startswith("language_model")}
    moved = {name for name, value in own.items() if not torch.equal(value, after[name])}
    assert moved
    assert all("_proj." in name for name in moved), "linear layers of the blocks alone"
    again = convert(pretrained / "model", tmp_path / "merged", adapter=run / "adapter")
    merged = tensors(again)
    for name in moved:
        assert float((merged[name] - after[name]).abs().max()) < 0.02, "to bfloat16"
    assert "The adapter adapter is merged" in (again / "README.md").read_text(encoding="utf-8")
    with pytest.raises(CheckpointError, match="holds no adapter"):
        convert(pretrained / "model", tmp_path / "other", adapter=tmp_path)


def test_a_list_is_limited_to_rows_drawn_by_the_seed(
    options: Options, write_recipe: Any, finetune_text: str
) -> None:
    text = finetune_text + "limit = 1\n"
    recipe = open_recipe(write_recipe(text), options)
    assert isinstance(recipe, PublishedRecipe)
    found = set()
    for seed in range(8):
        one = replace(recipe, seed=seed)
        dataset = open_data(one, None, (32, 64, 64), skip_damaged=False)  # type: ignore[arg-type]
        assert len(dataset) == 4
        rows = {dataset.sample(k).where for k in range(4)}
        assert sum("vqa" in where for where in rows) == 1
        found |= {where for where in rows if "vqa" in where}
        assert rows == {dataset.sample(4 + k).where for k in range(4)}, "the same in each epoch"
    assert len(found) == 2
