"""Files in the layouts of M3D-Bench and Med-2E3, with volumes that fit the tiny model."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

COLUMNS = (
    "Image Path", "Text", "Question Type", "Question", "Choice A", "Choice B", "Choice C",
    "Choice D", "Answer", "Answer Choice",
)  # fmt: skip

#: Rows of an M3D-VQA file; as there, a choice that there is not is the text NA.
ROWS = (
    ("a/1.npy", "t", "1", "Which plane is it?", "axial", "coronal", "sagittal", "NA", "axial", "A"),
    ("a/1.npy", "t", "2", "Which phase, please?", "None", "left", "NA", "NA", "None", "A"),
    ("b/2.npy", "t", "5", "Where, in the lung?", "left", "right", "liver", "kidney", "right", "B"),
)


@dataclass(frozen=True)
class Files:
    """A folder of images with the files about them."""

    root: Path

    def csv(self, *rows: tuple[str, ...], columns: tuple[str, ...] = COLUMNS) -> Path:
        """An M3D-VQA file."""
        path = self.root / "vqa.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(rows)
        return path

    def json(self, name: str, said: object) -> Path:
        """A JSON file."""
        path = self.root / name
        path.write_text(json.dumps(said), encoding="utf-8")
        return path


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Three prepared volumes (1, 8, 32, 32) in 0..1 with texts, as M3D-Cap keeps them."""
    rng = np.random.default_rng(0)
    for name in ("a/1", "b/2", "b/3"):
        path = tmp_path / f"{name}.npy"
        path.parent.mkdir(exist_ok=True)
        np.save(path, rng.random((1, 8, 32, 32), dtype=np.float32))
        path.with_suffix(".txt").write_text(f"A nodule in the left lung of {name}.\n")
    return Files(tmp_path)
