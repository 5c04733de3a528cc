"""A plan of tiny volumes for a tiny model, and tables without what differs between runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from med2e3.geometry import Geometry
from med2e3.io import write_nifti
from med2e3.study.columns import OF_THE_RUN
from med2e3.volume import Volume

QUESTIONS = ("Is there a nodule in the left lung?", "What plane is this scan?")


def write_volumes(folder: Path, count: int) -> None:
    """`count` little CT as NIfTI, each with its own voxels."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(5)
    for k in range(count):
        voxels = np.full((12, 24, 20), -1000, np.int16)
        voxels[:, 4:20, 3:17] = rng.integers(-60, 90, (12, 16, 14))
        geometry = Geometry.from_spacing(voxels.shape, (3.0, 1.5, 1.25), origin_mm=(0, 0, k))
        write_nifti(Volume(voxels, geometry), folder / f"ct{k}.nii.gz")


@pytest.fixture(scope="session")
def tiny_study_model(tiny_folder: Callable[..., Path]) -> Path:
    """The folder of a random model whose scores differ between slices."""
    return tiny_folder(score_norm="layer_norm")


@pytest.fixture
def make_plan(tmp_path: Path, tiny_study_model: Path) -> Callable[..., Path]:
    """Writes volumes and a plan of them: `make_plan(count, more="plane: coronal")`."""

    def make(count: int = 3, *, more: str = "", volumes: str = "scans/*.nii.gz") -> Path:
        write_volumes(tmp_path / "scans", count)
        asked = "\n".join(f"  - {question}" for question in QUESTIONS)
        path = tmp_path / "plan.yaml"
        path.write_text(
            f"volumes: [{volumes}]\nquestions:\n{asked}\n"
            f"models:\n  - {{model: '{tiny_study_model}', name: tiny}}\n"
            f"decoding: {{max_new_tokens: 5}}\n{more}\n"
        )
        return path

    return make


def compared(table: Path) -> list[dict[str, Any]]:
    """The rows of a table without what differs between two runs of one plan."""
    from pyarrow import parquet

    read = parquet.read_table(table)
    kept = [name for name in read.schema.names if name not in OF_THE_RUN]
    assert len(kept) > 30
    rows: list[dict[str, Any]] = read.select(kept).to_pylist()
    return rows


@pytest.fixture(name="compared")
def compared_fixture() -> Callable[[Path], list[dict[str, Any]]]:
    """Reads a table for comparing: `compared(path)`."""
    return compared
