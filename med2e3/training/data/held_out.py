"""Samples that are held out of training: whole volumes of the lists, or lists of their own.

Knows nothing of models or losses.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from med2e3.errors import DataError, RecipeError
from med2e3.training.data.augment import Augmentation
from med2e3.training.data.dataset import (
    LimitedSource,
    Reader,
    SampleDataset,
    Source,
    read_batches,
)
from med2e3.training.data.groups import FOLDER, VOLUME
from med2e3.training.micro_batch import MicroBatch


@dataclass(frozen=True, eq=False)
class HeldOutSamples:
    """The first `limit` samples of a data set, in batches of `size`; 0: all. The same each time."""

    dataset: SampleDataset
    size: int
    limit: int = 0
    workers: int = 0

    def __len__(self) -> int:
        return min(self.limit, len(self.dataset)) if self.limit else len(self.dataset)

    def batches(self, rank: int, processes: int) -> Iterator[MicroBatch]:
        """Every `processes`-th batch from the one of number `rank` on."""
        starts = range(0, len(self), self.size)
        plan = [list(range(k, min(k + self.size, len(self)))) for k in starts][rank::processes]
        for batch in read_batches(self.dataset, plan, self.workers):
            yield MicroBatch(batch.tensors, batch.count)


def without_augmentation(reader: Reader) -> Reader:
    """The same for samples that are only looked at."""
    return replace(reader, augmentation=Augmentation.none())


def split(
    sources: Sequence[Source], root: Path, share: float, seed: int, group: str = VOLUME
) -> tuple[list[Source], list[Source]]:
    """Lists to train on and lists held out, of which each has all rows of its volumes.

    `share` of the groups are held out, at least one of them, by the seed and their names below
    `root` alone: neither the order of rows matters, nor where `root` lies. Rows that cannot be read
    are trained on, which tells them. Raises `RecipeError` where there are fewer than two groups.
    """
    names = [[_group(source, row, root, group) for row in range(len(source))] for source in sources]
    groups = sorted({name for listed in names for name in listed if name}, key=_drawn(seed))
    if len(groups) < 2:
        raise RecipeError(
            f"validation.share = {share:g} would hold out whole {group}s, and the lists have "
            f"{len(groups)}. "
            + (
                "Set validation.group = “volume”, or name lists of their own in validation.data."
                if group == FOLDER
                else "Name lists of their own in validation.data."
            ),
            ("validation", "share"),
        )
    count = min(max(1, round(share * len(groups))), len(groups) - 1)
    out = set(groups[:count])
    kept = [[k for k, name in enumerate(listed) if name not in out] for listed in names]
    held = [[k for k, name in enumerate(listed) if name in out] for listed in names]
    return _of_rows(sources, kept), _of_rows(sources, held)


def _of_rows(sources: Sequence[Source], rows: Sequence[Sequence[int]]) -> list[Source]:
    return [
        LimitedSource(source, np.array(chosen, dtype=np.int64))
        for source, chosen in zip(sources, rows, strict=True)
    ]


def _group(source: Source, row: int, root: Path, group: str) -> str:
    """What of a row stays together, by its name below `root`; empty where it cannot be read."""
    try:
        image = source.sample(row).image
    except DataError:
        return ""
    return os.path.relpath(image.parent if group == FOLDER else image, root)


def _drawn(seed: int) -> Callable[[str], bytes]:
    """An order of names that the seed draws."""
    return lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest()
