"""Where findings lie in a list of one's own: slices, boxes, masks, and every way to be wrong."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from med2e3.checkpoints import Hub, open_checkpoint
from med2e3.errors import DataError
from med2e3.training.data.augment import Augmentation
from med2e3.training.data.dataset import Collator, Reader
from med2e3.training.data.formats import SampleFile, open_samples
from med2e3.training.data.pointers import Pointer, held_slices
from med2e3.training.data.samples import Sample

GRID = (32, 64, 64)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """64 slices of 32 × 32, of which eight at either end are empty and cut away."""
    scan = np.zeros((1, 64, 32, 32), np.float32)
    scan[:, 8:56] = 0.5
    np.save(tmp_path / "scan.npy", scan)
    return tmp_path / "scan.npy"


@pytest.fixture
def samples(volume: Path) -> Callable[..., list[Sample]]:
    """Writes rows as conversations or as a CSV of M3D-VQA, and reads them."""

    def read(form: str, *rows: dict[str, Any]) -> list[Sample]:
        folder = volume.parent
        if form == "conversations":
            said = [{"from": "human", "value": "Is there a clip?"},
                    {"from": "gpt", "value": "Yes."}]  # fmt: skip
            path = folder / "list.json"
            whole = [{"vision3d": ["scan.npy"], "conversations": said, **row} for row in rows]
            path.write_text(json.dumps(whole), encoding="utf-8")
        else:
            path = folder / "list.csv"
            first = {"Image Path": "scan.npy", "Question": "Is there a clip?", "Choice A": "Yes",
                     "Choice B": "No", "Choice C": "NA", "Choice D": "NA", "Answer": "Yes",
                     "Answer Choice": "A"}  # fmt: skip
            with path.open("w", newline="", encoding="utf-8") as stream:
                writer = csv.DictWriter(stream, [*first, *rows[0]])
                writer.writeheader()
                writer.writerows({**first, **row} for row in rows)
        opened = open_samples(SampleFile(form, path, folder))
        return [opened.sample(k) for k in range(len(opened))]

    return read


def held(sample: Sample) -> list[int]:
    found = held_slices(sample.pointer, sample.image, GRID, sample.where)
    return [int(k) for k in found.nonzero()]


def test_conversations_state_slices_boxes_and_masks(
    samples: Callable[..., list[Sample]], volume: Path
) -> None:
    mask = np.zeros((64, 32, 32), np.uint8)
    mask[20:23, 4:9, 4:9] = 1
    np.save(volume.parent / "mask.npy", mask)
    stated = samples(
        "conversations", {"slices": [10, 11]}, {"slices": "10-11, 30"},
        {"boxes": [[10, 0, 0, 11, 9, 9]]}, {"mask": "mask.npy"},
        {"slices": [10], "mask": "mask.npy"}, {"slices": []}, {},
    )  # fmt: skip
    assert stated[0].pointer == Pointer(slices=((10, 10), (11, 11)))
    assert stated[1].pointer == Pointer(slices=((10, 11), (30, 30)))
    assert stated[2].pointer == Pointer(boxes=((10, 0, 0, 11, 9, 9),))
    assert stated[3].pointer == Pointer(mask=volume.parent / "mask.npy")
    assert stated[5].pointer is None
    assert stated[6].pointer is None
    # 48 kept slices become 32: the model's slice k stands for 1.5 slices from 8 + 1.5 k on.
    assert held(stated[0]) == [1, 2]
    assert held(stated[1]) == [1, 2, 14, 15]
    assert held(stated[2]) == [1, 2]
    assert held(stated[3]) == [8, 9]
    assert held(stated[4])[0] == 1
    assert held(stated[4])[-1] == 9


@pytest.mark.parametrize("form", ["m3d-vqa-closed", "m3d-vqa-open"])
def test_columns_of_a_csv_say_the_same(form: str, samples: Callable[..., list[Sample]]) -> None:
    first, second, third = samples(
        form,
        {"Slices": "10-11", "Boxes": ""},
        {"Slices": "", "Boxes": "10 0 0 11 9 9; 30, 1, 1, 30, 2, 2"},
        {"Slices": "", "Boxes": " "},
    )
    assert held(first) == [1, 2]
    assert second.pointer == Pointer(boxes=((10, 0, 0, 11, 9, 9), (30, 1, 1, 30, 2, 2)))
    assert third.pointer is None


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"slices": [-1]}, r"entry 1: “slices” is \[-1\]"),
        ({"slices": [1.5]}, r"counted from 0"),
        ({"slices": [True]}, r"counted from 0"),
        ({"slices": "7-3"}, r"“slices” is '7-3'"),
        ({"slices": "three"}, r"as in “3-7, 12”"),
        ({"slices": 3}, r"“slices” is 3"),
        ({"boxes": [[1, 2, 3]]}, r"A box is six voxels"),
        ({"boxes": [[5, 0, 0, 4, 9, 9]]}, r"no smaller"),
        ({"boxes": "1 2 x"}, r"“boxes” is '1 2 x'"),
        ({"boxes": {"z": 1}}, r"“boxes” is"),
        ({"mask": 7}, r"“mask” is 7; it must name one \.npy file"),
        ({"mask": "../mask.npy"}, r"lies outside"),
    ],
)
def test_what_cannot_be_understood_names_the_row(
    row: dict[str, Any], said: str, samples: Callable[..., list[Sample]]
) -> None:
    with pytest.raises(DataError, match=said):
        samples("conversations", row)


def test_what_does_not_fit_the_volume_is_refused(
    samples: Callable[..., list[Sample]], volume: Path
) -> None:
    np.save(volume.parent / "small.npy", np.ones((32, 32, 32), bool))
    np.save(volume.parent / "empty.npy", np.zeros((64, 32, 32), bool))
    for row, said in (
        ({"slices": [63, 64]}, "names 64, 64, and .*scan.npy has 64 slices, counted from 0"),
        ({"boxes": [[1, 0, 0, 2, 9, 32]]}, "has 64 × 32 × 32 voxels"),
        ({"mask": "small.npy"}, "is 32 × 32 × 32 voxels, and its volume .* is 64 × 32 × 32"),
        ({"mask": "empty.npy"}, "is empty"),
        ({"mask": "none.npy"}, "is not there"),
    ):
        with pytest.raises(DataError, match=said):
            held(samples("conversations", row)[0])


def test_slices_are_flipped_with_the_volume(golden_folder: Path, tmp_path: Path) -> None:
    """The one bright slice stays the one that is pointed at, however a volume is turned."""
    processor = open_checkpoint(golden_folder / "checkpoint", Hub(golden_folder / "hub")).processor
    scan = np.full((1, *GRID), 0.2, np.float32)
    scan[:, 5] = 0.9
    np.save(tmp_path / "scan.npy", scan)
    turning = Augmentation(1.0, 0.5, 0.0, 0.0, 0.0, 0.0)
    reader = Reader(processor, GRID, turning, 3, pointing=True)
    sample = Sample(
        tmp_path / "scan.npy", (("Is it?", "Yes."),), "Is it?", "here", pointer=Pointer(((5, 5),))
    )
    items = [reader.read(sample, position) for position in range(12)]
    for item in items:
        brightest = int(item.volume.mean(dim=(0, 2, 3)).argmax())
        assert item.held is not None
        assert [int(k) for k in item.held.nonzero()] == [brightest]
    assert {int(item.volume.mean(dim=(0, 2, 3)).argmax()) for item in items} == {5, 26}
    nothing = reader.read(Sample(tmp_path / "scan.npy", (("Is it?", "No."),), "Is it?", "b"), 0)
    batch = Collator(0)([items[0], nothing])
    assert not isinstance(batch, DataError)
    assert batch.tensors["held_slices"].sum(dim=1).tolist() == [1, 0]
    assert Reader(processor, GRID, turning, 3).read(sample, 0).held is None


def test_a_thin_finding_is_never_lost(volume: Path) -> None:
    scan = np.full((320, 8, 8), 0.5, np.float32)
    np.save(volume, scan)
    found = held_slices(Pointer(slices=((155, 155),)), volume, GRID, "here")
    assert torch.equal(found.nonzero().flatten(), torch.tensor([15]))
