"""M3D-CLIP and M3D-LaMed train from small lists: what learns, what stays, what resumes."""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import med2e3
from med2e3.checkpoints import Hub, open_checkpoint
from med2e3.cli.measuring import benchmark
from med2e3.cli.training import data as data_command
from med2e3.errors import InputError
from med2e3.evaluation.m3d_files import read_captions
from med2e3.retrieval.finder import load_retriever
from med2e3.training import Options, open_recipe, timing, train
from med2e3.training.data.augment import Augmentation
from med2e3.training.data.m3d_samples import shortened
from med2e3.training.data.phantom_lists import write_phantom_lists
from med2e3.training.dry_run import describe, plan_recipe
from med2e3.training.lora import LoRA
from med2e3.training.m3d_recipe import M3DRecipe
from med2e3.training.m3d_starting import load_m3d_start
from med2e3.training.stages.m3d import open_data

GRID = (16, 32, 32)

CLIP = """
name = "clip"
kind = "m3d"
stage = "clip"
seed = 1
epochs = 2
batch = 4
parts = 1
learning_rate = 1e-3
context_length = 32
mixed_precision = "no"
gradient_checkpointing = false
[start]
text_encoder = "BERT"
[model.vision]
image_size = [16, 32, 32]
patch_size = [4, 8, 8]
hidden_size = 24
intermediate_size = 48
num_hidden_layers = 2
num_attention_heads = 2
[[data]]
format = "m3d-cap"
file = "M3D_Cap.json"
split = "train"
"""

LAMED = """
name = "NAME"
kind = "m3d"
stage = "NAME"
seed = 2
epochs = 1
batch = 4
parts = 2
learning_rate = 2e-3
context_length = 256
mixed_precision = "no"
gradient_checkpointing = false
[start]
language_model = "LLM"
m3d_clip = "CLIP"
[[data]]
format = "m3d-cap"
file = "M3D_Cap.json"
split = "train"
[[data]]
format = "m3d-vqa-closed"
file = "M3D_VQA_train.csv"
limit = 6
[[data]]
format = "m3d-seg"
file = "phantom/phantom.json"
kinds = ["REC", "REG", "SEG"]
limit = 6
[augment]
rotate_probability = 0.0
"""


HEAD = "[model]\ndecoder_heads = 2\ndecoder_mlp_size = 32\n"


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six phantoms in M3D's formats."""
    folder = tmp_path_factory.mktemp("lists")
    return write_phantom_lists(folder, {"train": range(4), "test": range(4, 6)}, GRID)


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory, lists: Path) -> Path:
    """A BERT of random weights, and a small language model with a tokenizer of the reports."""
    from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM

    from med2e3.training.data.tokens import train_tokenizer

    folder = tmp_path_factory.mktemp("pieces")
    words = sorted({w for p in lists.glob("phantoms/*/report.txt")
                    for w in p.read_text().lower().replace(".", " .").replace(",", " ,")
                    .replace(":", " :").replace(";", " ;").split()})  # fmt: skip
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    (folder / "BERT").mkdir()
    (folder / "BERT/vocab.txt").write_text("\n".join(vocabulary) + "\n")
    torch.manual_seed(0)
    sizes = {"num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, intermediate_size=32, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, **sizes,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder / "BERT")
    tokenizer = train_tokenizer(20, 300, 0)
    text = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_key_value_heads=2,
        max_position_embeddings=512, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, **sizes,
    )  # fmt: skip
    LlamaForCausalLM(text).save_pretrained(folder / "LLM")
    tokenizer.save_pretrained(folder / "LLM")
    return folder


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory, pieces: Path) -> Callable[..., Path]:
    """Writes a recipe: `write(CLIP)`, `write(LAMED, "align", more="[lora]\\n…")`."""

    def made(text: str, stage: str = "", more: str = "", **places: str) -> Path:
        said = text.replace("NAME", stage)
        for name, place in {"BERT": "BERT", "LLM": "LLM", "CLIP": "CLIP", **places}.items():
            said = said.replace(f'"{name}"', json.dumps(str(pieces / place)))
        path = tmp_path_factory.mktemp("recipe") / "recipe.toml"
        path.write_text(said + more)
        return path

    return made


@pytest.fixture(scope="module")
def options(lists: Path) -> Options:
    return Options(cpu=True, data=lists)


@pytest.fixture(scope="module")
def clip(write: Callable[..., Path], options: Options, pieces: Path, tmp_path_factory: Any) -> Path:
    """A trained M3D-CLIP, which the others start from."""
    run = tmp_path_factory.mktemp("clip") / "run"
    model = train(write(CLIP), run, options=options)
    (pieces / "CLIP").symlink_to(model)
    return Path(run)


def rows(folder: Path, name: str) -> list[dict[str, float]]:
    with (folder / f"{name}.csv").open(newline="") as stream:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(stream)]


def parts(folder: Path) -> dict[str, torch.Tensor]:
    return {k: v.float().clone() for k, v in open_checkpoint(folder, Hub(None)).weights.items()}


def test_a_trained_clip_finds_volumes_and_goes_on_alone(
    clip: Path, lists: Path, options: Options, write: Callable[..., Path]
) -> None:
    logged = rows(clip, "clip")
    assert len(logged) == 2  # 2 epochs of 4 pairs
    assert 0 <= logged[0]["volumes that find their text"] <= 1
    retriever = load_retriever(clip / "model", device="cpu")
    items = read_captions(lists / "M3D_Cap.json", lists)
    features = [retriever.volume_features(np.load(item.image)) for item in items]
    assert np.linalg.norm(features, axis=1) == pytest.approx(1)
    again = clip.parent / "again"
    train(write(CLIP), again, options=options)
    assert rows(again, "clip") == logged, "the same recipe gives the same losses"
    longer = write(CLIP.replace("epochs = 2", "epochs = 3"))
    with pytest.raises(InputError, match=r"epochs was 2\.0, and is 3\.0 now"):
        train(longer, again, resume=True, options=options)


def test_alignment_teaches_projector_and_embeddings_alone(
    clip: Path, write: Callable[..., Path], options: Options, tmp_path: Path
) -> None:
    recipe = open_recipe(write(LAMED, "align"), options)
    assert isinstance(recipe, M3DRecipe)
    before = load_m3d_start(recipe, Hub(None))[0].state_dict()
    model = train(write(LAMED, "align"), tmp_path / "run", options=options)
    changed = {k.split(".")[0] if "embed" not in k else k for k, v in parts(model).items()
               if not torch.equal(v, before[k].float())}  # fmt: skip
    assert changed == {"connector3d", "language_model.model.embed_tokens.weight"}
    assert len(rows(tmp_path / "run", "align")) == 4  # 4 reports, 6 questions, 6 regions
    assert med2e3.load(model, device="cpu").info.kind == "m3d-lamed"


@pytest.mark.parametrize(
    "choices",
    ['projector = "linear"', 'pooling = "sequence"', 'projector_layer = "linear"'],
)
def test_projectors_are_chosen_by_name(
    choices: str, clip: Path, write: Callable[..., Path], options: Options, tmp_path: Path
) -> None:
    text = LAMED.replace("epochs = 1", "epochs = 1\nmax_steps = 1")
    model = train(write(text, "align", f"[model]\n{choices}\n"), tmp_path / "run", options=options)
    name, value = choices.replace('"', "").split(" = ")
    assert json.loads((model / "config.json").read_text())[name] == value


@pytest.fixture(scope="module")
def segmented(
    clip: Path, write: Callable[..., Path], options: Options, tmp_path_factory: Any
) -> Path:
    """The segmentation stage, from pieces, run to its end."""
    run = tmp_path_factory.mktemp("segment") / "run"
    train(write(LAMED, "segment", HEAD), run, options=options)
    return Path(run)


def test_the_mask_head_learns_beside_the_words(segmented: Path, lists: Path) -> None:
    logged = rows(segmented, "segment")
    assert {"loss", "answers", "masks", "tokens right"} <= set(logged[0])
    drawn = [row for row in logged if row["masks"]]
    assert drawn
    for row in drawn:
        assert row["loss"] == pytest.approx(row["answers"] + row["masks"], rel=0.5)
    model = med2e3.load(segmented / "model", device="cpu")
    assert model.backend.network.segvol is not None
    answer = model.read(np.load(lists / "phantoms/0/image.npy")).ask("Draw.", max_new_tokens=3)
    assert isinstance(answer.complete(), str)


def test_lora_is_saved_apart_merged_and_loaded_again(
    clip: Path, write: Callable[..., Path], options: Options, tmp_path: Path
) -> None:
    from med2e3.checkpoints.adapters import load_adapter, merge_lora

    run = tmp_path / "run"
    table = "[lora]\nrank = 2\nalpha = 4.0\ndropout = 0.0\n"
    model = train(write(LAMED, "instruct", table), run, options=options)
    merged = parts(model)
    assert not any("lora" in name for name in merged)
    recipe = open_recipe(write(LAMED, "instruct", table), options)
    assert isinstance(recipe, M3DRecipe)
    fresh, _ = load_m3d_start(recipe, Hub(None))
    name = "language_model.model.layers.0.self_attn.q_proj.weight"
    assert not torch.equal(fresh.state_dict()[name], merged[name])
    load_adapter(fresh.language_model, run / "adapter")
    merge_lora(fresh.language_model)
    torch.testing.assert_close(fresh.state_dict()[name], merged[name], atol=1e-6, rtol=1e-5)
    from peft import PeftModel

    other, _ = load_m3d_start(recipe, Hub(None))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks by a name that goes away
        theirs = PeftModel.from_pretrained(other.language_model, str(run / "adapter"))
    unloaded = theirs.merge_and_unload().state_dict()
    torch.testing.assert_close(
        unloaded[name.removeprefix("language_model.")], merged[name], atol=1e-6, rtol=1e-5
    )


def test_a_stopped_run_with_lora_goes_on_with_the_same_losses(
    clip: Path, write: Callable[..., Path], options: Options, tmp_path: Path
) -> None:
    table = "[lora]\nrank = 2\n"
    text = LAMED.replace("epochs = 1", "epochs = 1\ncheckpoint_minutes = 0.0")
    path = write(text, "instruct", table)
    whole = tmp_path / "whole"
    train(path, whole, options=options)

    def stop(step: int, steps: int, numbers: dict[str, float]) -> None:
        if step == 2:
            raise KeyboardInterrupt

    part = tmp_path / "part"
    with pytest.raises(KeyboardInterrupt):
        train(path, part, report=stop, options=options)
    train(path, part, resume=True, options=options)
    wanted = [row["loss"] for row in rows(whole, "instruct")]
    assert [row["loss"] for row in rows(part, "instruct")] == pytest.approx(wanted, rel=1e-5)


def test_masks_and_boxes_are_those_of_the_moved_volume(
    clip: Path, write: Callable[..., Path], options: Options
) -> None:
    recipe = open_recipe(write(LAMED, "segment", HEAD), options)
    assert isinstance(recipe, M3DRecipe)
    only = replace(recipe, data=(replace(recipe.data[2], limit=0, kinds=("SEG", "REC")),))
    model, processor = load_m3d_start(recipe, Hub(None))
    dataset = open_data(only, model, processor, skip_damaged=False)
    seen = [dataset[k] for k in range(len(dataset))]
    drawn = [item for item in seen if item.mask is not None]
    assert len(drawn) == len(seen) // 2
    text = processor.decode(seen[0].ids, skip_special_tokens=False)
    assert "<im_patch>" in text
    batch = dataset.reader.collate(seen[:4])
    assert batch.tensors["mask_labels"].shape == (4, 1, *GRID)
    ids = torch.cat([batch.tensors["labels"].flatten()])
    seg = model.config.seg_token_id
    assert bool((ids == seg).any()) is any(item.mask is not None for item in seen[:4])


def test_a_long_text_keeps_its_first_sentence_and_others_at_random() -> None:
    text = ".".join(f" s{k} a b c" for k in range(9))
    found = {shortened(text, lambda t: len(t.split()), 14, np.random.default_rng(k))
             for k in range(20)}  # fmt: skip
    assert len(found) > 5
    for short in found:
        assert short.startswith(" s0")
        assert len(short.replace(".", " ").split()) <= 14
    assert shortened("short.", len, 99, np.random.default_rng(0)) == "short."


@pytest.mark.parametrize(
    ("stage", "more", "said"),
    [
        ("align", "[lora]\nrank = 2\n", "leaves the language model as it is"),
        ("dream", "", "stage = “dream” is not one of: clip, align, instruct, segment"),
        ("align", '[model]\nprojekt = "x"\n', "has no “projekt”"),
        ("clip", "", "start of stage “clip” must name either `model`, or `text_encoder`"),
    ],
)
def test_a_wrong_recipe_is_named(
    stage: str, more: str, said: str, clip: Path, write: Callable[..., Path], options: Options,
    tmp_path: Path,
) -> None:  # fmt: skip
    with pytest.raises(InputError, match=said):
        train(write(LAMED, stage, more), tmp_path / "run", options=options)


def test_phantoms_are_written_by_the_command(tmp_path: Path) -> None:
    words = [
        str(tmp_path / "x"),
        "--train",
        "2",
        "--test",
        "1",
        "--grid",
        "8",
        "16",
        "16",
        "--json",
    ]
    done = CliRunner().invoke(data_command, ["phantoms", *words])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["train"] == 2
    said = json.loads((tmp_path / "x/M3D_Cap.json").read_text())
    assert [len(said[split]) for split in ("train", "test")] == [2, 1]
    help_ = CliRunner().invoke(data_command, ["phantoms", "--help"])
    assert "--grid" in help_.output


def test_processes_that_gather_are_one_with_the_whole_batch(
    clip: Path, write: Callable[..., Path], options: Options, tmp_path: Path
) -> None:
    """Two processes with half a batch each see all pairs, and step as one with the batch."""
    text = CLIP.replace("parts = 1", "parts = 2")
    train(write(text), tmp_path / "two", processes=2, options=options)
    one, two = rows(clip, "clip"), rows(tmp_path / "two", "clip")
    for first, second in zip(one, two, strict=True):
        assert second["loss"] == pytest.approx(first["loss"], rel=1e-4)


@pytest.mark.parametrize("name", ["m3d-clip", "lamed-align", "lamed-instruct", "lamed-segment"])
def test_the_shipped_recipes_are_of_published_sizes(name: str) -> None:
    recipe = open_recipe(name, Options())
    assert isinstance(recipe, M3DRecipe)
    assert (recipe.warmup, recipe.mixed_precision) == (0.03, "bf16")
    assert recipe.augment == Augmentation()
    rates = {"m3d-clip": (1e-4, 100), "lamed-align": (1e-4, 3), "lamed-instruct": (5e-5, 5),
             "lamed-segment": (5e-5, 5)}  # fmt: skip
    assert (recipe.learning_rate, recipe.epochs) == rates[name]
    if name in ("lamed-instruct", "lamed-segment"):
        assert recipe.lora == LoRA(16, 32.0, 0.05)
    plans = plan_recipe(recipe, Hub(None), None)
    text = describe(plans, Path("runs/x"), 1)
    assert "trained" in text
    sizes = {"m3d-clip": 198, "lamed-align": 12, "lamed-instruct": 87, "lamed-segment": 87}
    assert plans[0].trained > sizes[name] * 1_000_000 * 0.9


@pytest.mark.usefixtures("clip")
def test_a_step_is_timed_beside_plain_pytorch_and_questions_by_the_hour(
    write: Callable[..., Path], lists: Path, pieces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, few in (("CALLS", 1), ("STEPS", 2), ("NEW_TOKENS", 8)):
        monkeypatch.setattr(timing, name, few)
    recipe, llm = write(LAMED, "segment", more=HEAD), str(pieces / "LLM")
    words = ["--step", str(recipe), "--data", str(lists), "--writer", llm, "--json"]
    done = CliRunner().invoke(benchmark, words)
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    (step,) = said["timed"]
    assert step["what"].startswith("training step of segment, ")
    assert step["ours"] > 0 < step["other"]
    assert set(said["questions_an_hour"]) == {"1", "8"}
    refused = CliRunner().invoke(benchmark, ["--step", "finetune"])
    assert isinstance(refused.exception, InputError)
    assert "finetune is no recipe of M3D" in str(refused.exception)
