"""Phantoms as lists in M3D's formats: data that anybody can make, to try every command with.

Reports as M3D-Cap, questions as M3D-VQA, masks of organs as M3D-Seg. Knows nothing of models.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from med2e3.errors import InputError
from med2e3.files import write_array, write_csv, write_whole
from med2e3.geometry import Plane
from med2e3.phantoms import Phantom, Wish, make_phantom
from med2e3.phantoms.anatomy import LABEL
from med2e3.phantoms.phantom import DEFAULT_BODY
from med2e3.preprocessing import published

#: The set of masks, and the organs of its classes in the order of `model/terms.json`.
DATASET, ORGANS = "phantom", {"liver": 0, "kidney": 1, "lung": 2}

#: Grey levels of the arrays, in HU.
LOW, HIGH = -1000.0, 400.0

COLUMNS = (
    "Image Path", "Text", "Question Type", "Question", "Choice A", "Choice B", "Choice C",
    "Choice D", "Answer", "Answer Choice",
)  # fmt: skip
TYPES = {"plane": 1, "phase": 2, "organ": 3, "abnormality": 4, "location": 5}


def write_phantom_lists(
    folder: Path, seeds: dict[str, Sequence[int]], grid: Sequence[int],
    *, plane: Plane | None = None, body: str = DEFAULT_BODY, hu: tuple[float, float] = (LOW, HIGH),
    progress: Callable[[float, str], None] | None = None,
) -> Path:  # fmt: skip
    """Arrays and lists of the phantoms of these seeds, by split; returns `folder`.

    Arrays are black at the first of `hu` and white at the second. What is there is kept, so that an
    interrupted run goes on. Raises `InputError` for a grid that phantoms do not have.
    """
    shape = (int(grid[0]), int(grid[1]), int(grid[2]))
    if min(shape) < 8:
        raise InputError(f"A phantom of {shape} voxels shows nothing; take at least 8 of each.")
    caps: dict[str, list[dict[str, str]]] = {}
    masks: dict[str, list[dict[str, str]]] = {}
    total, done = sum(len(s) for s in seeds.values()), 0
    for split, numbers in seeds.items():
        rows: list[tuple[str, ...]] = []
        for seed in numbers:
            phantom = make_phantom(seed, Wish(plane=plane, shape=shape), body=body)
            name = f"phantoms/{seed}"
            _arrays(phantom, folder / name, shape, hu)
            write_whole(folder / f"{name}/report.txt", phantom.report + "\n")
            image = f"{name}/image.npy"
            caps.setdefault(split, []).append({"image": image, "text": f"{name}/report.txt"})
            masks.setdefault(split, []).extend(
                {"image": image, "label": f"{name}/masks/mask_{k}.npy"}
                for k in ORGANS.values()
                if (folder / name / f"masks/mask_{k}.npy").is_file()
            )
            rows += _questions(phantom, image)
            done += 1
            if progress:
                progress(done / total, f"phantom {done} of {total}")
        write_csv(folder / f"M3D_VQA_{split}.csv", COLUMNS, rows)
    write_whole(folder / "M3D_Cap.json", json.dumps(caps, indent=1))
    (folder / DATASET).mkdir(exist_ok=True)
    write_whole(folder / DATASET / f"{DATASET}.json", json.dumps(masks, indent=1))
    return folder


def _arrays(
    phantom: Phantom, folder: Path, shape: tuple[int, int, int], hu: tuple[float, float]
) -> None:
    """The volume in 0..1 and a mask for each organ that is there, each file whole or not at all."""
    (folder / "masks").mkdir(parents=True, exist_ok=True)
    low, high = hu
    grey = np.clip((phantom.volume.voxels.astype(np.float32) - low) / (high - low), 0, 1)
    grid = published(np.maximum(grey, 1e-4)[None], shape, rescale=False)  # nothing is cropped away
    _save(folder / "image.npy", grid.numpy())
    for name, number in ORGANS.items():
        mask = phantom.labels == LABEL[name]
        if mask.any():
            _save(folder / f"masks/mask_{number}.npy", mask[None])


def _save(path: Path, array: np.ndarray) -> None:
    if not path.is_file():
        write_array(path, array)


def _questions(phantom: Phantom, image: str) -> list[tuple[str, ...]]:
    """The phantom's closed questions as rows of M3D-VQA."""
    rows = []
    for question in phantom.questions():
        if not question.is_closed or question.topic not in TYPES:
            continue
        stem = question.prompt.partition(" Choices:")[0]
        choices = [*question.choices, "NA", "NA", "NA", "NA"][:4]
        right = question.answer.partition(". ")[2] or question.answer
        rows.append(
            (image, phantom.report, str(TYPES[question.topic]), stem, *choices, right,
             question.letter)
        )  # fmt: skip
    return rows
