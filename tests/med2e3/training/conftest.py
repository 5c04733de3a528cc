"""The published recipe at the golden sizes: pieces of a model, M3D files, and recipes for them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

#: Where each piece's weights lie in the recorded checkpoint, and whose they are.
PIECES = {
    "llm": "microsoft/Phi-3-mini-128k-instruct",
    "vision2d_model": "google/siglip-large-patch16-256",
    "vision3d_model": "GoodBaiBai88/M3D-CLIP",
}

#: Two scans that differ at a glance, and texts of unequal length about them.
REPORTS = ("The liver is enlarged and holds a hypodense lesion.", "No nodule.")
ANSWERS = (("Is there a lesion?", "Yes, in the liver."), ("Is there a lesion?", "No."))

PRETRAIN = """
name = "pretrain"
kind = "med2e3"
seed = 42
epochs = 16
batch = 4
parts = 2
learning_rate = 2e-2
mixed_precision = "no"
template = "pretrain"
context_length = 768
train = ["connector3d", "connector2d", "text_projection"]
[start]
language_model = "microsoft/Phi-3-mini-128k-instruct"
vision2d = "google/siglip-large-patch16-256"
m3d_clip = "GoodBaiBai88/M3D-CLIP"
[[data]]
format = "conversations"
file = "m3d_pretrain.json"
"""

FINETUNE = """
name = "finetune"
kind = "med2e3"
seed = 7
epochs = 16
batch = 4
parts = 2
learning_rate = 2e-3
mixed_precision = "no"
template = "phi"
context_length = 768
train = ["language_model", "vision2d", "connector3d", "connector2d", "text_projection"]
[start]
model = "replaced by --start"
[[data]]
format = "conversations"
file = "m3d_finetune.json"
[[data]]
format = "m3d-vqa-closed"
file = "m3d_vqa.csv"
"""

VQA = (
    "Image Path,Text,Question Type,Question,Choice A,Choice B,Choice C,Choice D,Answer,"
    "Answer Choice\n"
    'scan0.npy,text.txt,1,"Which plane, please?",axial,coronal,NA,"a ""tilted""\nplane",axial,A\n'
    "scan1.npy,text.txt,4,What is seen?,Lesion,Nothing,NA,NA,Nothing,B\n"
)


@pytest.fixture(scope="session")
def hub_folder(golden_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hub folders of the three pieces and of BERT, with weights."""
    hub = tmp_path_factory.mktemp("hub")
    shutil.copytree(golden_folder / "hub", hub, dirs_exist_ok=True)
    for part, repo in PIECES.items():
        weights = golden_folder / "checkpoint" / part / "pytorch_model.bin"
        shutil.copy(weights, hub / repo / "pytorch_model.bin")
    return hub


@pytest.fixture(scope="session")
def m3d_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared volumes, and lists in the published formats."""
    folder = tmp_path_factory.mktemp("m3d")
    rng = np.random.default_rng(3)
    for k in range(2):
        scan = rng.random((1, 32, 64, 64), dtype=np.float32) * 0.2
        scan[:, 8 * k : 8 * k + 8] += 0.7
        np.save(folder / f"scan{k}.npy", scan)
    reports = [entry(k, [("<image3d>\nWhat is seen?", REPORTS[k])]) for k in range(2)]
    (folder / "m3d_pretrain.json").write_text(json.dumps(reports), encoding="utf-8")
    asked = [entry(k, [(f"<image3d>\n{ANSWERS[k][0]}", ANSWERS[k][1])]) for k in range(2)]
    asked.append(
        entry(0, [("Look at <image3d> first. Which plane?", "Axial."), ANSWERS[0]])
    )  # fmt: skip
    (folder / "m3d_finetune.json").write_text(json.dumps(asked), encoding="utf-8")
    (folder / "m3d_vqa.csv").write_text(VQA, encoding="utf-8")
    return folder


def entry(scan: int, turns: list[tuple[str, str]]) -> dict[str, Any]:
    """One conversation in the published form."""
    said = []
    for question, answer in turns:
        said += [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    question = turns[0][0].replace("<image3d>", "").strip()
    return {
        "id": f"{scan}", "conversations": said, "vision3d": [f"scan{scan}.npy"],
        "question": question,
    }  # fmt: skip


@pytest.fixture(scope="session")
def write_recipe(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes a recipe with values changed: `write_recipe(PRETRAIN, parts=1)`."""

    def write(text: str, **changes: Any) -> Path:
        lines = text.strip().splitlines()
        for name, value in changes.items():
            said = f"{name} = {json.dumps(value)}"
            at = [k for k, line in enumerate(lines) if line.startswith(f"{name} =")]
            if at:
                lines[at[0]] = said
            else:
                lines.insert(3, said)
        path = tmp_path_factory.mktemp("recipe") / "recipe.toml"
        path.write_text("\n".join(lines), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def pretrain_text() -> str:
    """Stage 1 of the published recipe for the files of `m3d_files`."""
    return PRETRAIN


@pytest.fixture(scope="session")
def finetune_text() -> str:
    """Stage 2 of it."""
    return FINETUNE
