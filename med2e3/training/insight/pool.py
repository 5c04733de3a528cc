"""Phantoms with their slices on disk, drawn once and read again.

Knows nothing of captions' models or losses.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from med2e3.files import whole_file
from med2e3.geometry import Plane
from med2e3.phantoms import Phase, Region
from med2e3.phantoms.facts import Fact, Facts
from med2e3.phantoms.slices import PLANE_AXES, SlicedPhantom, draw_sliced
from med2e3.volume import Window

#: Phantoms in one file: some ten seconds of work.
SHARD = 100


def draw_pool(
    folder: Path,
    seeds: tuple[int, int],
    shape: tuple[int, int, int],
    window: Window,
    progress: Callable[[int, int], None] | None = None,
) -> list[SlicedPhantom]:
    """The phantoms of these seeds (first, end); shards that are there are read."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    first, end = seeds
    for start in range(first, end, SHARD):
        stop = min(start + SHARD, end)
        path = folder / f"shard-{start:09d}-{stop - start}.npz"
        if not path.is_file():
            _save(path, [draw_sliced(seed, shape, window) for seed in range(start, stop)])
        found += list(_read(path))
        if progress:
            progress(stop - first, end - first)
    return found


def _save(path: Path, phantoms: Sequence[SlicedPhantom]) -> None:
    tables: dict[str, Any] = {
        f"{name}_{plane.value}": np.stack([getattr(p, name)[plane] for p in phantoms])
        for name in ("organs", "findings")
        for plane in PLANE_AXES
    }
    words = [json.dumps({"seed": p.seed, **asdict(p.facts)}) for p in phantoms]
    with whole_file(path) as draft, draft.open("wb") as stream:
        np.savez(
            stream,
            grids=np.stack([p.grid for p in phantoms]),
            classes=np.stack([p.classes for p in phantoms]),
            spacing_mm=np.array([p.spacing_mm for p in phantoms]),
            facts=np.array(words),
            **tables,
        )


def _read(path: Path) -> Iterator[SlicedPhantom]:
    with np.load(path) as stored:
        held = {name: stored[name] for name in stored.files}
    for k, text in enumerate(held["facts"]):
        said = json.loads(str(text))
        facts = Facts(
            Plane(said["plane"]), Phase(said["phase"]), Region(said["region"]),
            tuple(Fact(**fact) for fact in said["findings"]),
        )  # fmt: skip
        tables = [
            {plane: held[f"{name}_{plane.value}"][k] for plane in PLANE_AXES}
            for name in ("organs", "findings")
        ]
        a, b, c = (float(n) for n in held["spacing_mm"][k])
        yield SlicedPhantom(
            said["seed"], facts, held["grids"][k], held["classes"][k], (a, b, c), *tables
        )
