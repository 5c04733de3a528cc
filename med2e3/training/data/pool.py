"""A pool of phantoms on disk, as the model will see them, with what supervision needs.

Each shard holds the grids after the app's own preprocessing (8 bits, the model's default window),
which patches of which slices hold which kind of finding, and the facts in words. Knows nothing of
models or losses.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from med2e3.evaluation.reference import finding_grid
from med2e3.files import whole_file
from med2e3.geometry import Plane
from med2e3.phantoms import KINDS, Phantom, Phase, Region, body_of, make_phantom
from med2e3.phantoms.facts import Fact, Facts
from med2e3.phantoms.phantom import DEFAULT_BODY
from med2e3.preprocessing import prepare
from med2e3.volume import Window

#: Order of the kinds along the first axis of every target.
KIND_NAMES = tuple(KINDS)

#: Phantoms in one file: a few seconds of work, 130 MB.
SHARD = 250


@dataclass(eq=False)
class Example:
    """One phantom for training: grid (S, H, W) uint8, `patches` (K, S, rows, columns) bool."""

    grid: NDArray[np.uint8]
    patches: NDArray[np.bool_]
    facts: Facts
    seed: int

    def forget_grid(self) -> None:
        """Frees the voxels, for stages that train on features."""
        self.grid = self.grid[:0]

    @property
    def slices(self) -> NDArray[np.bool_]:
        """(K, S): which model slices hold which kind."""
        return np.asarray(self.patches.any(axis=(2, 3)))


def make_example(
    phantom: Phantom, grid_shape: Sequence[int], window: Window | None, patch: int
) -> Example:
    """A phantom through the app's preprocessing."""
    read = prepare(phantom.volume, grid_shape, plane=phantom.plane, window=window)
    slices, rows, columns = read.grid.shape[1:]
    patches = np.zeros((len(KIND_NAMES), slices, rows // patch, columns // patch), bool)
    for finding in phantom.findings:
        hit = finding_grid(finding.mask, read)
        cells = hit.reshape(slices, rows // patch, patch, columns // patch, patch)
        patches[KIND_NAMES.index(finding.name)] |= cells.any(axis=(2, 4))
    grid = (read.grid[0] * 255).round().to(torch.uint8).numpy()
    return Example(grid, patches, phantom.facts, phantom.seed)


def write_pool(
    folder: Path,
    seeds: Sequence[int],
    grid_shape: Sequence[int],
    window: Window | None,
    patch: int,
    bodies: Mapping[str, float] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Writes one shard for every `SHARD` seeds; shards that exist are kept.

    `bodies` is how often each kind of body is drawn; the simple one alone where it is left out.
    """
    shares = bodies or {DEFAULT_BODY: 1.0}
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(seeds), SHARD):
        part = seeds[start : start + SHARD]
        path = shard_path(folder, part[0])
        if not path.exists():
            drawn = (make_phantom(s, body=body_of(s, shares)) for s in part)
            examples = [make_example(phantom, grid_shape, window, patch) for phantom in drawn]
            _save(path, examples)
        if progress:
            progress(min(start + SHARD, len(seeds)), len(seeds))


def shard_path(folder: Path, start: int) -> Path:
    """The file of the shard whose first seed is `start`."""
    return folder / f"shard-{start:09d}.npz"


def shard_starts(first: int, end: int) -> list[int]:
    """The first seed of every shard."""
    return list(range(first, end, SHARD))


def _save(path: Path, examples: Sequence[Example]) -> None:
    words = [json.dumps({"seed": e.seed, **asdict(e.facts)}) for e in examples]
    with whole_file(path) as draft, draft.open("wb") as stream:
        np.savez(
            stream,
            grids=np.stack([e.grid for e in examples]),
            patches=np.packbits(np.stack([e.patches for e in examples]), axis=-1),
            columns=np.array(examples[0].patches.shape[-1]),
            facts=np.array(words),
        )


def read_shard(path: Path) -> list[Example]:
    """All phantoms of one shard."""
    with np.load(path) as stored:
        grids, words = stored["grids"], stored["facts"]
        patches = np.unpackbits(stored["patches"], axis=-1, count=int(stored["columns"]))
    examples = []
    for grid, hit, text in zip(grids, patches.astype(bool), words, strict=True):
        said = json.loads(str(text))
        facts = Facts(
            Plane(said["plane"]), Phase(said["phase"]), Region(said["region"]),
            tuple(Fact(**fact) for fact in said["findings"]),
        )  # fmt: skip
        examples.append(Example(grid, hit, facts, said["seed"]))
    return examples
