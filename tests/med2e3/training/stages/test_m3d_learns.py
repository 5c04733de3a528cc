"""On a small phantom set M3D-CLIP finds held-out volumes and M3D-LaMed draws held-out organs.

Minutes of work; the figures are printed (`pytest -m slow -s`).
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

import med2e3
from med2e3.evaluation import m3d_bench, m3d_retrieval
from med2e3.evaluation.file_asking import FileTask
from med2e3.evaluation.m3d_files import read_captions
from med2e3.evaluation.m3d_region_files import MaskRow, mask_rows, region_items
from med2e3.evaluation.texts import open_metrics
from med2e3.geometry import Plane
from med2e3.model.regions import read_terms
from med2e3.retrieval.finder import load_retriever
from med2e3.training import Options, train
from med2e3.training.data.phantom_lists import write_phantom_lists
from med2e3.training.data.tokens import train_tokenizer

GRID = (16, 32, 32)

#: Pairs of volumes and reports, and axial volumes with masks: to train with, and held out.
PAIRS, AXIAL = (1000, 60), (200, 30)

#: A soft tissue window: contrast phases differ by a tenth of it, and by a fortieth of air to bone.
SOFT = (-100.0, 400.0)

NO_AUGMENT = """
[augment]
rotate_probability = 0.0
flip_probability = 0.0
scale_probability = 0.0
shift_probability = 0.0
"""

CLIP = """
name = "clip"
kind = "m3d"
stage = "clip"
seed = 1
epochs = 50
batch = 40
parts = 1
warmup = 0.15
learning_rate = 6e-4
context_length = 24
mixed_precision = "no"
gradient_checkpointing = false
[start]
text_encoder = "BERT"
[model.vision]
image_size = [16, 32, 32]
patch_size = [4, 8, 8]
hidden_size = 64
intermediate_size = 128
num_hidden_layers = 3
num_attention_heads = 4
[[data]]
format = "m3d-cap"
file = "M3D_Cap.json"
split = "train"
"""

SEGMENT = """
name = "segment"
kind = "m3d"
stage = "segment"
seed = 2
epochs = 12
batch = 12
parts = 1
learning_rate = 2e-3
context_length = 256
mixed_precision = "no"
gradient_checkpointing = false
[start]
language_model = "LLM"
m3d_clip = "CLIP"
[model]
decoder_heads = 4
decoder_mlp_size = 128
[[data]]
format = "m3d-seg"
file = "phantom/phantom.json"
kinds = ["SEG"]
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Axial phantoms, a BERT and a language model of random weights."""
    from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("work")
    seeds = {"train": range(100, 100 + PAIRS[0]), "test": range(5000, 5000 + PAIRS[1])}
    write_phantom_lists(folder / "data", seeds, GRID, hu=SOFT)
    axial = {"train": range(1000, 1000 + AXIAL[0]), "test": range(2000, 2000 + AXIAL[1])}
    write_phantom_lists(folder / "axial", axial, GRID, plane=Plane.AXIAL)
    texts = [p.read_text().lower() for p in (folder / "data").glob("phantoms/*/report.txt")]
    for mark in ".,:;()":
        texts = [text.replace(mark, f" {mark} ") for text in texts]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]",
                  *sorted({w for text in texts for w in text.split()})]  # fmt: skip
    (folder / "BERT").mkdir()
    (folder / "BERT/vocab.txt").write_text("\n".join(vocabulary) + "\n")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder / "BERT")
    tokenizer = train_tokenizer(50, 400, 0)
    text = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=512,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    LlamaForCausalLM(text).save_pretrained(folder / "LLM")
    tokenizer.save_pretrained(folder / "LLM")
    return folder


def run(work: Path, name: str, text: str, data: str) -> Path:
    for piece, place in (("BERT", work / "BERT"), ("LLM", work / "LLM"),
                         ("CLIP", work / "clip/model")):  # fmt: skip
        text = text.replace(f'"{piece}"', f'"{place}"')
    recipe = work / f"{name}.toml"
    recipe.write_text(text + NO_AUGMENT)
    return train(recipe, work / name, options=Options(cpu=True, data=work / data))


def losses(folder: Path, name: str, column: str = "loss") -> list[float]:
    with (folder / name / f"{name}.csv").open(newline="") as stream:
        return [float(row[column]) for row in csv.DictReader(stream)]


@pytest.fixture(scope="module")
def clip(work: Path) -> Path:
    return run(work, "clip", CLIP, "data")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_m3d_clip_finds_held_out_volumes(work: Path, clip: Path) -> None:
    logged = losses(work, "clip")
    items = read_captions(work / "data/M3D_Cap.json", work / "data")
    results = m3d_retrieval.run(load_retriever(clip, device="cpu"), items, "phantoms")
    print(f"\nM3D-CLIP, loss {logged[0]:.3f} → {np.mean(logged[-10:]):.3f}")
    print(results.table())
    assert np.mean(logged[-10:]) < 0.8 * logged[0]
    for way in ("image to text", "text to image"):
        figure = results.figures[f"{way}, R@1"]
        assert figure.chance == pytest.approx(1 / PAIRS[1])
        assert figure.value > 5 * figure.chance


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_m3d_lamed_draws_held_out_organs(work: Path, clip: Path) -> None:
    model = run(work, "segment", SEGMENT, "axial")
    logged = losses(work, "segment")
    rows = [r for r in mask_rows(work / "axial/phantom/phantom.json") if isinstance(r, MaskRow)]
    items, odd = region_items(rows, read_terms(), 0, ("SEG",))
    assert not odd
    named = [item for item in items if item.topic == "segmentation, named"]
    task = FileTask("phantoms", named, max_new_tokens=12)
    results = m3d_bench.run(med2e3.load(model, device="cpu"), task, open_metrics())
    print(f"\nM3D-LaMed, loss {logged[0]:.3f} → {np.mean(logged[-10:]):.3f}")
    print(results.table())
    assert np.mean(logged[-10:]) < 0.5 * logged[0]
    assert results.figures["segmentation, named, Dice"].value > 0.5
