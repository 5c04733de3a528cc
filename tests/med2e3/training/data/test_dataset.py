"""Batches: what has labels, what order samples come in, and what damage does."""

from __future__ import annotations

import dataclasses
import itertools
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from med2e3.checkpoints import Hub, open_checkpoint
from med2e3.errors import DataError
from med2e3.model.prompts import IGNORE
from med2e3.training.data.augment import Augmentation
from med2e3.training.data.dataset import (
    Batch,
    BatchPlan,
    Collator,
    Item,
    Reader,
    SampleDataset,
    read_batches,
)
from med2e3.training.data.formats import SampleFile, open_samples
from med2e3.training.data.samples import Sample

GRID = (32, 64, 64)


@pytest.fixture(scope="module")
def reader(golden_folder: Path) -> Reader:
    processor = open_checkpoint(golden_folder / "checkpoint", Hub(golden_folder / "hub")).processor
    return Reader(processor, GRID, Augmentation(), seed=5)


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven volumes, each of one brightness in a brighter frame of a corner, and their list."""
    folder = tmp_path_factory.mktemp("volumes")
    rows = []
    for k in range(7):
        scan = np.full((1, *GRID), (k + 1) / 10, np.float32)
        np.save(folder / f"{k}.npy", scan)
        rows.append(
            {
                "vision3d": [f"{k}.npy"],
                "question": "Which?",
                "conversations": [
                    {"from": "human", "value": "<image3d>\nWhich?"},
                    {"from": "gpt", "value": f"Number {k}."},
                ],
            }
        )
    (folder / "list.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder


def open_all(folder: Path, reader: Reader, **more: Any) -> SampleDataset:
    source = open_samples(SampleFile("conversations", folder / "list.json", folder))
    return SampleDataset([source], reader, **more)


def batches(dataset: SampleDataset, plan: BatchPlan, workers: int = 0) -> list[Batch]:
    return list(read_batches(dataset, plan, workers))


def test_labels_are_the_answers_of_every_turn(reader: Reader, volumes: Path) -> None:
    """The published code loses samples of more than one turn altogether."""
    turns = (
        ("Which plane is <image3d> in?", "Left."),
        ("Is there a lesion?", "Yes, one."),
        ("Where?", "Liver."),
    )
    item = reader.read(Sample(volumes / "0.npy", turns, "Which plane?", "here"), 0)
    tokenizer = reader.processor.tokenizer
    spoken: list[list[int]] = []
    for before, label in itertools.pairwise([IGNORE, *item.labels]):
        if label != IGNORE:
            if before == IGNORE:
                spoken.append([])
            spoken[-1].append(label)
    said = [tokenizer.decode(ids).replace(" ", "") for ids in spoken]
    assert said == [f"{a}{tokenizer.eos_token}".replace(" ", "") for _, a in turns]
    image = reader.processor.image_token_id
    first = item.ids.index(image)
    assert item.ids[first : first + 32] == [image] * 32, "the volume's rows stand where it said"
    assert tokenizer.decode(item.ids[:first]).rstrip().endswith("Which plane is")


def test_an_epoch_has_every_sample_once_in_an_order_of_its_own(
    reader: Reader, volumes: Path
) -> None:
    data = open_all(volumes, reader)
    first = [data.sample(p).where for p in range(7)]
    second = [data.sample(p).where for p in range(7, 14)]
    assert sorted(first) == sorted(second)
    assert len(set(first)) == 7
    assert first != second
    assert first == [open_all(volumes, reader).sample(p).where for p in range(7)]


def test_steps_do_not_depend_on_how_they_are_shared(reader: Reader, volumes: Path) -> None:
    data = open_all(volumes, reader)
    whole = batches(data, BatchPlan(batch=4, parts=1, first=0, last=2, indices=[0]))
    halves = [batches(data, BatchPlan(4, 2, 0, 2, [rank])) for rank in (0, 1)]
    for step in range(2):
        together = torch.cat([halves[rank][step].tensors["pixel_values"] for rank in (0, 1)])
        assert torch.equal(together, whole[step].tensors["pixel_values"])
        assert sum(halves[rank][step].count for rank in (0, 1)) == whole[step].count
    resumed = batches(data, BatchPlan(4, 1, 1, 2, [0]))
    assert torch.equal(resumed[0].tensors["pixel_values"], whole[1].tensors["pixel_values"])


def test_a_worker_reads_what_the_process_itself_reads(reader: Reader, volumes: Path) -> None:
    data = open_all(volumes, reader)
    plan = BatchPlan(batch=2, parts=1, first=0, last=2, indices=[0])
    for one, other in zip(batches(data, plan), batches(data, plan, workers=1), strict=True):
        assert one.tensors.keys() == other.tensors.keys()
        assert all(torch.equal(one.tensors[n], other.tensors[n]) for n in one.tensors)
        assert one.count == other.count


def test_the_data_set_travels_small(reader: Reader, volumes: Path) -> None:
    """What a worker is sent holds no sample."""
    data = open_all(volumes, reader)
    data.sample(0)
    copied = pickle.loads(pickle.dumps(data))
    assert copied.sample(3) == data.sample(3)


def test_padding_has_no_label_and_no_attention(reader: Reader, volumes: Path) -> None:
    turns = [(("Which?", "One."),), (("Which?", "A much longer answer than that one."),)]
    items = [
        reader.read(Sample(volumes / "0.npy", turn, "Which?", "here"), k)
        for k, turn in enumerate(turns)
    ]
    batch = Collator(0)(items)
    assert isinstance(batch, Batch)
    mask = batch.tensors["attention_mask"]
    assert mask.sum(1).tolist() == [len(item.ids) for item in items]
    assert (batch.tensors["labels"][mask == 0] == IGNORE).all()
    assert batch.count == sum(i != IGNORE for item in items for i in item.labels)


@pytest.fixture
def damaged(volumes: Path, tmp_path: Path) -> Path:
    """The same list with one volume cut short, one of HU, and one missing."""
    for path in volumes.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    whole = (tmp_path / "1.npy").read_bytes()
    (tmp_path / "1.npy").write_bytes(whole[: len(whole) // 2])
    np.save(tmp_path / "2.npy", np.full((1, *GRID), 40.0, np.float32))
    (tmp_path / "3.npy").unlink()
    return tmp_path


@pytest.mark.parametrize(
    ("entry", "said"),
    [(2, "truncated"), (3, "prepared volumes are 0..1"), (4, "is not there")],
)
def test_a_damaged_volume_is_named_with_its_row(
    entry: int, said: str, damaged: Path, reader: Reader
) -> None:
    data = open_all(damaged, reader)
    at = next(p for p in range(7) if data.sample(p).where.endswith(f"entry {entry}"))
    error = data[at]
    assert isinstance(error, DataError)
    assert said in str(error)
    assert f"entry {entry}" in str(error)
    with pytest.raises(DataError, match=f"entry {entry}"):
        batches(data, BatchPlan(1, 1, at, at + 1, [0]))


def test_damaged_samples_are_skipped_and_counted_when_wished(damaged: Path, reader: Reader) -> None:
    data = open_all(damaged, reader, skip_damaged=True)
    items = [data[p] for p in range(7)]
    assert all(isinstance(item, Item) for item in items)
    named = {line.split(":")[0] for i in items if isinstance(i, Item) for line in i.skipped}
    assert {name.rsplit(" ", 1)[1] for name in named} == {"2", "3", "4"}
    (batch,) = batches(data, BatchPlan(7, 1, 0, 1, [0]))
    assert len(batch.skipped) >= 3


def test_all_samples_damaged_is_an_error_however(damaged: Path, reader: Reader) -> None:
    for path in damaged.glob("*.npy"):
        path.unlink()
    error = open_all(damaged, reader, skip_damaged=True)[0]
    assert isinstance(error, DataError)
    assert "samples in a row" in str(error)


def test_a_question_that_leaves_no_room_for_its_answer_is_damage(
    reader: Reader, volumes: Path
) -> None:
    sample = Sample(volumes / "0.npy", (("why " * 900, "Because."),), "why", "list, row 9")
    with pytest.raises(DataError, match="list, row 9: of 768 tokens none is left"):
        reader.read(sample, 0)


def test_the_caption_template_takes_one_turn(reader: Reader, volumes: Path) -> None:
    """The published code puts the volume in once a turn, and crashes."""
    captions = dataclasses.replace(reader, processor=reader.processor.with_template("pretrain"))
    turns = (("a", "b"), ("c", "d"))
    with pytest.raises(DataError, match="2 turns"):
        captions.read(Sample(volumes / "0.npy", turns, "a", "here"), 0)
    item = captions.read(Sample(volumes / "0.npy", (("a", "A cyst."),), "a", "here"), 0)
    said = [i for i in item.labels if i != IGNORE]
    assert reader.processor.tokenizer.decode(said).strip() == "A cyst."
