"""Training: losses fall, a stopped run goes on as if it had not, a recipe runs to its end."""

from __future__ import annotations

import csv
import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from med2e3.errors import InputError
from med2e3.model import Med2E3ForConditionalGeneration, Med2E3Processor
from med2e3.phantoms import Wish, make_phantom
from med2e3.phantoms.language import LANGUAGE_TOPICS
from med2e3.phantoms.questions import TOPICS
from med2e3.resources import resource_path
from med2e3.training import Options, train
from med2e3.training.data.pool import KIND_NAMES, Example, make_example, read_shard, write_pool
from med2e3.training.data.tokens import train_tokenizer
from med2e3.training.distributed import Distributed
from med2e3.training.inputs import ENCODERS, make_features, make_pool, read_features
from med2e3.training.pipeline import build_stage, run_all, train_stage
from med2e3.training.recipe import Recipe, TokenizerRecipe, load_recipe
from med2e3.training.recipe_record import RECIPE_FILE, keep_to_recipe
from med2e3.training.run_folder import RunFolder
from med2e3.training.stage_recipe import StageRecipe
from med2e3.training.stages import STAGES
from med2e3.training.stages.answers import AnswerCollator
from med2e3.training.stages.base import Reads
from med2e3.training.stages.encoders import Encoder2DStage
from med2e3.training.stages.pointing import pointing_loss
from med2e3.training.stages.text import LETTERS_FILE, TextStage, letters_right
from med2e3.training.stages.tuning import TuneStage
from med2e3.training.stages.words import last_answers
from med2e3.training.trainer import Run, rate, run_stage

SMALL_STEM = [
    {"windows": [[0.0, 1.0], [0.6, 0.9]]},
    {"channels": 8, "stride": [4, 4]},
    {"channels": 16, "stride": [2, 2]},
]


@pytest.fixture(scope="module")
def small_recipe() -> Recipe:
    """The demo recipe at the smallest sizes that still are that model."""
    demo = load_recipe("demo").smoke()
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2}
    stem3d = [{"channels": 8, "stride": [2, 4, 4]}]
    model = {
        **demo.model,
        "vision2d_stem": SMALL_STEM,
        "vision3d_config": {**demo.model["vision3d_config"], **small, **heads, "stem": stem3d},
        "vision2d_config": {**demo.model["vision2d_config"], **small, **heads},
        "text_config": {
            **demo.model["text_config"], **small, **heads, "num_key_value_heads": 2,
        },
    }  # fmt: skip
    first = demo.train_seeds[0]
    tokenizer = TokenizerRecipe(size=600, texts=300)
    return replace(demo, model=model, train_seeds=(first, first + 4), tokenizer=tokenizer)


@pytest.fixture(scope="module")
def run_folder(small_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run with its pool and tokenizer made."""
    made = RunFolder(small_recipe, tmp_path_factory.mktemp("run"))
    make_pool(made, made.starts())
    return made


@pytest.fixture(scope="module")
def seen_run_folder(run_folder: RunFolder) -> RunFolder:
    """The same run with all that comes before tuning."""
    train_stage(run_folder, "text")
    for encoder in ENCODERS:
        train_stage(run_folder, encoder)
        make_features(run_folder, encoder, run_folder.starts())
    train_stage(run_folder, "align")
    return run_folder


@pytest.fixture
def text_stage(run_folder: RunFolder) -> TextStage:
    stage = build_stage(run_folder, "text")
    assert isinstance(stage, TextStage)
    return stage


def stage_recipe(name: str, steps: int) -> StageRecipe:
    return StageRecipe(name, steps, 5e-3)


def test_the_learning_rate_rises_then_falls() -> None:
    rates = [rate(step, 100) for step in range(100)]
    top = int(np.argmax(rates))
    assert 1 <= top <= 10
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] < 0.05


def test_text_training_lowers_the_loss(text_stage: TextStage, tmp_path: Path) -> None:
    losses = run_stage(text_stage, stage_recipe("text", 25), Run(tmp_path, seed=1))
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:3])


def test_right_letters_are_told_by_topic(run_folder: RunFolder) -> None:
    folder = resource_path("demo-model")
    demo = Med2E3ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    collator = AnswerCollator(Med2E3Processor.from_pretrained(folder))
    shares = letters_right(demo.language_model, collator, questions=24)
    assert list(shares) == ["plane", "phase", "organ", "abnormality", "location"]
    assert shares["phase"] > 0.9
    assert demo.language_model.training is False
    untaught = letters_right(
        run_folder.model().language_model, AnswerCollator(run_folder.processor()), questions=24
    )
    assert max(untaught.values()) < 0.7


def test_a_report_is_weighed_by_what_its_sections_say(run_folder: RunFolder) -> None:
    collator = AnswerCollator(run_folder.processor())
    said = "Axial chest CT, arterial phase. Lungs: normal. Pleura: pleural effusion, 30 mm."
    batch = collator.batch(
        [(("Draft a report.", said),), (("Is there a mass?", "No."),)], image=True
    )
    words = run_folder.processor().tokenizer.convert_ids_to_tokens(batch["labels"][0].clamp(min=0))
    weigh = dict(zip((w.strip("Ġ") for w in words), batch["weights"][0].tolist(), strict=True))
    assert weigh["normal"] == pytest.approx(6 * weigh["chest"])
    assert weigh["pleural"] == pytest.approx(15 * weigh["chest"])
    assert batch["weights"].sum(dim=1).tolist() == pytest.approx([2.0, 1.0])
    assert not batch["weights"][batch["labels"] < 0].any()


def test_encoder_training_lowers_the_loss(run_folder: RunFolder, tmp_path: Path) -> None:
    stage = build_stage(run_folder, "encoder2d")
    assert isinstance(stage, Encoder2DStage)
    losses = run_stage(stage, stage_recipe("encoder2d", 25), Run(tmp_path, seed=1))
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:3])


def test_a_stopped_run_goes_on_with_the_same_losses(
    run_folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("med2e3.training.trainer.CHECKPOINT_SECONDS", 0.0)
    recipe = stage_recipe("text", 8)
    whole = run_stage(build_stage(run_folder, "text"), recipe, Run(tmp_path / "whole", seed=1))

    def stop(step: int, steps: int, numbers: dict[str, float]) -> None:
        if step == 5:
            raise KeyboardInterrupt

    folder = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        run_stage(build_stage(run_folder, "text"), recipe, Run(folder, 1, report=stop))
    rest = run_stage(build_stage(run_folder, "text"), recipe, Run(folder, seed=1))
    assert len(rest) == 4
    assert rest == pytest.approx(whole[4:], rel=1e-5)
    assert len((folder / "text.csv").read_text(encoding="utf-8").splitlines()) >= 9


def test_a_whole_run_makes_a_model_that_loads_and_answers(run_folder: RunFolder) -> None:
    from med2e3.engine import load

    folder = run_all(run_folder, lambda *_: None, workers=1)
    model = load(folder, device="cpu")
    phantom = make_phantom(50, Wish(shape=(16, 64, 64)))
    answer = model.read(phantom.volume).ask("Is there a lung nodule?", max_new_tokens=3)
    answer.complete()
    assert answer.scores is not None
    assert float(answer.scores.values.sum()) == pytest.approx(1, abs=1e-5)
    assert model.info.default_window == run_folder.recipe.window
    assert set(json.loads((run_folder.folder / LETTERS_FILE).read_text())) == set(TOPICS)


@pytest.mark.slow
def test_two_workers_share_the_steps_of_tuning(small_recipe: Recipe, tmp_path: Path) -> None:
    """And come to the losses of one that takes a step's parts one after the other."""
    parts = {
        name: replace(stage, parts=2 if STAGES[name].reads is Reads.FEATURES else 1)
        for name, stage in small_recipe.stages.items()
    }
    recipe = replace(small_recipe, stages=parts)
    losses = []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        listener = (lambda *_: None) if workers == 1 else None
        run_all(RunFolder(recipe, folder), listener, workers=workers)
        with (folder / "tune.csv").open(newline="", encoding="utf-8") as stream:
            losses.append([float(row["loss"]) for row in csv.DictReader(stream)])
    assert len(losses[0]) == parts["tune"].steps
    # Encoders trained side by side have one thread each: their sums end a little otherwise.
    assert losses[1] == pytest.approx(losses[0], rel=5e-3)


def test_what_rows_share_is_computed_once_with_the_same_loss_and_gradients(
    seen_run_folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six questions of three volumes: the 3D tokens stand before what the question decides."""
    monkeypatch.setattr("med2e3.training.stages.tuning.half_precision", nullcontext)
    found = []
    for opening in (TuneStage._opening, lambda *_: None):
        monkeypatch.setattr(TuneStage, "_opening", opening)
        stage = build_stage(seen_run_folder, "tune")
        assert isinstance(stage, TuneStage)
        stage.text_share, stage.volumes, stage.questions = 0.0, 3, 2
        stage.module.train()
        torch.manual_seed(1)
        loss, numbers = stage.loss(np.random.default_rng(2))
        loss.backward()
        gradients = {n: p.grad for n, p in stage.module.named_parameters() if p.grad is not None}
        found.append((float(loss.detach()), numbers["right"], gradients))
    (once, right, gradients), (each, right_each, gradients_each) = found
    assert once == pytest.approx(each, rel=1e-5)
    assert right == right_each
    assert gradients.keys() == gradients_each.keys()
    for name, gradient in gradients.items():
        assert torch.allclose(gradient, gradients_each[name], atol=1e-5, rtol=1e-3), name


def test_kept_features_are_what_the_model_computes(seen_run_folder: RunFolder) -> None:
    stored = read_features(seen_run_folder, seen_run_folder.starts())
    model = seen_run_folder.model("encoder2d", "encoder3d").eval()
    grid = read_shard(next(seen_run_folder.pool.glob("*.npz")))[0].grid
    with torch.inference_mode():
        three, two = model.vision_features(torch.from_numpy(grid).float()[None, None] / 255)
    assert three is not None
    assert two is not None
    kept3d, kept2d = stored.take([0])
    assert torch.allclose(kept2d, two, atol=0.1)
    assert torch.allclose(kept3d, three, atol=0.1)


def test_a_pool_keeps_what_it_was_given(tmp_path: Path) -> None:
    shape, window, seeds = (8, 32, 32), load_recipe("demo").window, range(3, 6)
    write_pool(tmp_path, seeds, shape, window, patch=16)
    stored = read_shard(next(tmp_path.glob("*.npz")))
    fresh = [make_example(make_phantom(s), shape, window, 16) for s in seeds]
    for a, b in zip(stored, fresh, strict=True):
        assert np.array_equal(a.grid, b.grid)
        assert np.array_equal(a.patches, b.patches)
        assert a.facts == b.facts


def test_patches_mark_the_slices_of_the_finding() -> None:
    wish = Wish(findings=[("liver cyst", None)])
    phantom = make_phantom(8, wish)
    example: Example = make_example(phantom, (32, 128, 128), load_recipe("demo").window, 16)
    marked = np.flatnonzero(example.slices[KIND_NAMES.index("liver cyst")])
    cells = example.patches[KIND_NAMES.index("liver cyst")]
    assert 1 <= len(marked) <= len(phantom.findings[0].slices) + 3
    assert cells.sum() <= 9 * len(marked)
    assert example.slices.sum() == len(marked)


def test_the_pointing_loss_is_0_on_the_right_slice_and_log_s_when_uniform() -> None:
    held = torch.tensor([[False, True, False, False], [False] * 4])
    sure = torch.tensor([[0.0, 50.0, 0.0, 0.0], [9.0, 0.0, 0.0, 0.0]])
    loss, mass = pointing_loss(sure, held)
    assert float(loss) == pytest.approx(0, abs=1e-6)
    assert float(mass) == pytest.approx(1)
    uniform, _ = pointing_loss(torch.zeros(2, 4), held)
    assert float(uniform) == pytest.approx(np.log(4))


def test_any_text_can_be_written_and_read_back() -> None:
    tokenizer = train_tokenizer(200, 600, seed=1)
    for text in ("Ist da ein Erguss? 你好", "Where is the gallstone?", "\t¿§ 3.5 mm\n"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_labels_cover_the_answer_and_nothing_else(run_folder: RunFolder) -> None:
    processor = run_folder.processor()
    batch = AnswerCollator(processor).batch([(("Is there a cyst?", "No."),)], image=False)
    labelled = batch["labels"][0][batch["labels"][0] != -100]
    assert processor.tokenizer.decode(labelled) == f" No.{processor.tokenizer.eos_token}"


def test_an_unknown_recipe_names_those_that_ship() -> None:
    with pytest.raises(InputError, match="demo"):
        load_recipe("nonsense")


def test_a_broken_recipe_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("name = ", encoding="utf-8")
    with pytest.raises(InputError, match="not valid TOML"):
        load_recipe(path)
    path.write_text('name = "x"\nseed = 1\n[data]\n', encoding="utf-8")
    with pytest.raises(InputError, match="stages"):
        load_recipe(path)


def test_a_folder_in_use_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    with pytest.raises(InputError, match="not empty"):
        train("demo", tmp_path)


def test_a_recipe_on_phantoms_refuses_what_it_would_not_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="would not read start"):
        train("demo", tmp_path / "run", options=Options(start="elsewhere"))
    assert not (tmp_path / "run").exists()


def test_a_stage_learns_after_another_one_failed_within_a_step(
    text_stage: TextStage, tmp_path: Path
) -> None:
    """Whether optimizers move is kept for the whole process."""
    Distributed().accelerator.gradient_state._set_sync_gradients(False)
    before = [p.detach().clone() for p in text_stage.module.parameters()]
    run_stage(text_stage, stage_recipe("text", 2), Run(tmp_path, seed=1))
    after = text_stage.module.parameters()
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_folder_that_another_recipe_began_is_not_gone_on_with(tmp_path: Path) -> None:
    """Its phantoms and finished stages would be taken for this recipe's."""
    demo = load_recipe("demo")
    keep_to_recipe(demo, tmp_path)
    keep_to_recipe(load_recipe("demo"), tmp_path)
    longer = replace(demo.stages["tune"], steps=9)
    with pytest.raises(InputError, match=r"stages\.tune\.steps was \d+, and is 9 now"):
        keep_to_recipe(replace(demo, stages={**demo.stages, "tune": longer}), tmp_path)
    with pytest.raises(InputError, match="name was demo, and is smoke now"):
        train("demo", tmp_path, resume=True, smoke=True)
    (tmp_path / RECIPE_FILE).write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"recipe\.json is damaged"):
        train("demo", tmp_path, resume=True)


def test_a_stage_runs_alone_and_the_rest_goes_on_from_it(tmp_path: Path) -> None:
    alone = Options(cpu=True, stages=("text",))
    assert train("demo", tmp_path, smoke=True, options=alone) == tmp_path
    assert (tmp_path / "text.pt").is_file()
    assert not (tmp_path / "pool").exists()
    words = json.loads((tmp_path / "text-words.json").read_text(encoding="utf-8"))
    assert {topic for shares in words.values() for topic in shares} == set(LANGUAGE_TOPICS)
    with pytest.raises(InputError, match="goes on from “encoder"):
        train("demo", tmp_path, resume=True, smoke=True, options=Options(stages=("tune",)))
    before = (tmp_path / "text.pt").stat().st_mtime_ns
    train("demo", tmp_path, resume=True, smoke=True, options=Options(stages=("encoder2d",)))
    assert (tmp_path / "encoder2d.pt").is_file()
    assert not (tmp_path / "encoder3d.pt").exists()
    assert (tmp_path / "text.pt").stat().st_mtime_ns == before


def test_only_the_last_answer_of_a_conversation_is_judged() -> None:
    labels = torch.tensor([[-100, 4, 5, -100, 6, 7], [-100, 4, 5, -100, -100, -100]])
    assert last_answers(labels).tolist() == [
        [-100, -100, -100, -100, 6, 7],
        [-100, 4, 5, -100, -100, -100],
    ]


def test_a_stage_that_a_recipe_has_not_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no stage “texts”"):
        train("demo", tmp_path, options=Options(stages=("texts",)))
    with pytest.raises(InputError, match="no stages that run alone"):
        train("finetune", tmp_path, options=Options(stages=("text",)))
    assert not list(tmp_path.iterdir())
