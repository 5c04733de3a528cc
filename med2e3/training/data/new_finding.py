"""Phantoms with a finding that the demo model was never taught: to try a lab's own training with.

A splenic infarct is a wedge of spleen without contrast, its base at the surface. Scans are written
as NIfTI files in HU with the finding's mask beside them, questions as M3D-VQA's CSV files with the
masks in a column of their own: as a lab has them. Knows nothing of models.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from med2e3.errors import InputError
from med2e3.files import write_csv
from med2e3.geometry import Plane
from med2e3.io.write import write_nifti
from med2e3.phantoms import Phantom, Phase, Region, Wish, make_phantom
from med2e3.phantoms.anatomy import LABEL
from med2e3.phantoms.maker import PHANTOM_MAKER
from med2e3.phantoms.phantom import GRID
from med2e3.volume import Volume

#: What it is called in questions, and the organ that it lies in.
FINDING, ORGAN = "splenic infarct", "spleen"

#: Seeds of these phantoms: neither training nor evaluation draws from here.
FIRST_SEED = 40_000_000

#: HU of tissue without contrast, and half the angle of the wedge in degrees.
INFARCT_HU, HALF_ANGLES = 34.0, (28.0, 42.0)

#: Where the wedge's tip lies, from the organ's middle (0) towards its surface (1).
TIP = 0.15

#: A spleen of fewer voxels shows no wedge.
SMALLEST_ORGAN = 400

#: How it is asked; each with the answer where it is there, and where it is not.
WORDINGS = (
    "Is there a splenic infarct?",
    "Is a splenic infarct present?",
    "Any splenic infarct?",
)

#: The number of M3D-VQA for questions about abnormalities.
TYPE = "4"

COLUMNS = (
    "Image Path", "Question Type", "Question", "Choice A", "Choice B", "Choice C", "Choice D",
    "Answer", "Answer Choice", "Mask",
)  # fmt: skip


def with_infarct(phantom: Phantom, rng: np.random.Generator) -> tuple[Volume, NDArray[np.bool_]]:
    """The phantom's volume with a wedge painted into its spleen, and the wedge's mask.

    Raises `InputError` where the phantom shows no spleen.
    """
    organ = phantom.labels == LABEL[ORGAN]
    voxels = np.argwhere(organ)
    if len(voxels) < SMALLEST_ORGAN:
        raise InputError(f"The phantom of seed {phantom.seed} shows no {ORGAN} to paint in.")
    spacing = np.asarray(phantom.volume.geometry.spacing_mm)
    places = voxels * spacing
    middle = places.mean(axis=0)
    outwards = places - middle
    ends = places[rng.permutation(len(places))[:64]] - middle
    axis = ends[np.linalg.norm(ends, axis=1).argmax()]
    tip = axis * TIP
    towards = outwards - tip
    cosine = towards @ axis / (np.linalg.norm(towards, axis=1) * np.linalg.norm(axis) + 1e-6)
    inside = cosine > math.cos(math.radians(rng.uniform(*HALF_ANGLES)))
    mask = np.zeros_like(organ)
    mask[tuple(voxels[inside].T)] = True
    values = phantom.volume.voxels.copy()
    fall = float(values[organ].mean()) - INFARCT_HU  # the noise of the scan stays
    values[mask] = np.clip(values[mask] - fall, -1000, 3000).astype(values.dtype)
    return replace(phantom.volume, voxels=values), mask


def write_new_finding(
    folder: Path,
    counts: dict[str, int],
    seed: int = 0,
    *,
    grid: Sequence[int] = GRID,
    progress: Callable[[float, str], None] | None = None,
) -> Path:
    """Scans and lists of so many phantoms of each split; every second one has the finding.

    What is there is kept. The lists name the volumes as `med2e3 data prepare` writes them beside
    the lists. Returns `folder`.
    """
    total, done = sum(counts.values()), 0
    next_seed = FIRST_SEED + seed * 100_000
    shape = (int(grid[0]), int(grid[1]), int(grid[2]))
    for split, count in counts.items():
        rows: list[tuple[str, ...]] = []
        for number in range(count):
            present = number % 2 == 0
            name = f"{split}/{number:03d}"
            next_seed = _write_scan(folder / f"{name}", next_seed, shape, present=present)
            rows += _questions(name, number, present=present)
            done += 1
            if progress:
                progress(done / total, f"phantom {done} of {total}")
        write_csv(folder / f"{split}.csv", COLUMNS, rows)
    return folder


def _write_scan(path: Path, seed: int, shape: tuple[int, int, int], *, present: bool) -> int:
    """The scan of the first seed from `seed` on that shows a spleen; returns the seed after it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wish = Wish(plane=Plane.AXIAL, phase=Phase.PORTAL_VENOUS, region=Region.ABDOMEN, shape=shape)
    while True:
        phantom = make_phantom(seed, wish)
        seed += 1
        if (phantom.labels == LABEL[ORGAN]).sum() >= SMALLEST_ORGAN:
            break
    scan = path.with_name(f"{path.name}.nii.gz")
    if scan.is_file():
        return seed
    volume = phantom.volume
    if present:
        volume, mask = with_infarct(phantom, np.random.default_rng([seed, 5]))
        drawn = replace(volume, voxels=mask.astype(np.int16))
        write_nifti(drawn, path.with_name(f"{path.name}_mask.nii.gz"))
    info = replace(volume.info, manufacturer=PHANTOM_MAKER)
    write_nifti(replace(volume, info=info), scan)
    return seed


def _questions(name: str, number: int, *, present: bool) -> list[tuple[str, ...]]:
    """Two rows of M3D-VQA about one phantom: the right choice stands first as often as last."""
    mask = f"{name}_mask.npy" if present else ""
    rows: list[tuple[str, ...]] = []
    for k in range(2):
        question = WORDINGS[(number + k) % len(WORDINGS)]
        choices = ("Yes", "No") if (number // 2 + k) % 2 else ("No", "Yes")
        answer = "Yes" if present else "No"
        letter = "AB"[choices.index(answer)]
        rows.append((f"{name}.npy", TYPE, question, *choices, "NA", "NA", answer, letter, mask))
    return rows
