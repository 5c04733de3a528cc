"""M3D-RAD is M3D-LaMed, fine-tuned with M3D's code: such folders load as M3D-LaMed does.

The files of the released one were not seen; the layouts here are those that M3D's code writes.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import med2e3


def config_of(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    said = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in said.items() if v is not ...}))


@pytest.fixture(params=["shards", "one file", "pickled", "without masks"])
def folder(request: pytest.FixtureRequest, fixtures: Path, tmp_path: Path) -> Path:
    place = tmp_path / "M3D-RAD"
    shutil.copytree(fixtures / "m3d_lamed" / "checkpoint", place)
    for name in ("modeling_m3d_lamed.py", "configuration_m3d_lamed.py"):
        (place / name).write_text("raise SystemExit('code of a model folder ran')\n")
    code = {"AutoConfig": "configuration_m3d_lamed.LamedPhi3Config",
            "AutoModelForCausalLM": "modeling_m3d_lamed.LamedPhi3ForCausalLM"}  # fmt: skip
    config_of(place, auto_map=code, _name_or_path="./LaMed/output/LaMed-Phi3-4B-finetune-0000/")
    weights = load_file(place / "model.safetensors")
    kind = request.param
    if kind in ("shards", "pickled"):
        (place / "model.safetensors").unlink()
    if kind == "shards":
        names = sorted(weights)
        half = len(names) // 2
        files = {"model-00001-of-00002.safetensors": names[:half],
                 "model-00002-of-00002.safetensors": names[half:]}  # fmt: skip
        for name, keys in files.items():
            save_file({k: weights[k] for k in keys}, place / name, {"format": "pt"})
        index = {"metadata": {}, "weight_map": {k: f for f, ks in files.items() for k in ks}}
        (place / "model.safetensors.index.json").write_text(json.dumps(index))
    elif kind == "pickled":
        torch.save(weights, place / "pytorch_model.bin")
    elif kind == "without masks":
        kept = {k: v for k, v in weights.items() if ".seg_" not in k}
        save_file(kept, place / "model.safetensors", {"format": "pt"})
        config_of(place, segmentation_module=None)
    return place


def test_its_answers_are_those_of_the_weights_in_it(folder: Path, fixtures: Path) -> None:
    golden = np.load(fixtures / "m3d_lamed" / "golden.npz")
    texts = json.loads((fixtures / "m3d_lamed" / "texts.json").read_text())["questions"]
    model = med2e3.load(folder, device="cpu")
    assert model.info.kind == "m3d-lamed"
    for k in (0, 1):
        volume = golden["volumes_u8"][k, 0].astype(np.float32) / 255
        answer = model.read(volume).ask(texts[k], max_new_tokens=16)
        answer.complete()
        assert answer.token_ids == golden[f"q{k}.generated_ids"].tolist()
