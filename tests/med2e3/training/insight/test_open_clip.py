"""A frozen model of open_clip, which is how BiomedCLIP comes, made tiny with random weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from med2e3.errors import CheckpointError, ResourceError
from med2e3.training.insight.teacher import OPEN_CLIP_FILE, open_teacher

CONFIG = {
    "model_cfg": {
        "embed_dim": 8,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
        "text_cfg": {
            "context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1,
        },
    },
    "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3},
}  # fmt: skip


def test_a_missing_open_clip_is_named_with_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / OPEN_CLIP_FILE).write_text(json.dumps(CONFIG), encoding="utf-8")
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(ResourceError, match=r"med2e3\[openclip\]"):
        open_teacher(tmp_path)


@pytest.mark.filterwarnings("ignore")  # its packages warn of each other
def test_a_model_of_open_clip_gives_its_own_embeddings(tmp_path: Path) -> None:
    open_clip = pytest.importorskip("open_clip")
    from PIL import Image
    from safetensors.torch import save_file

    torch.manual_seed(0)
    path = tmp_path / OPEN_CLIP_FILE
    path.write_text(json.dumps(CONFIG), encoding="utf-8")
    model = open_clip.model.CLIP(**CONFIG["model_cfg"]).eval()
    weights = {k: v.clone() for k, v in model.state_dict().items() if k != "attn_mask"}
    save_file(weights, str(tmp_path / "open_clip_model.safetensors"))
    teacher = open_teacher(tmp_path)
    grey = np.full((20, 30), 90, np.uint8)
    grey[5:10] = 240
    picture = Image.fromarray(grey).convert("RGB")
    with torch.inference_mode():
        wanted = model.encode_image(teacher.preprocess(picture)[None])  # type: ignore[attr-defined]
        said = model.encode_text(open_clip.tokenize(["a liver"], context_length=16))
    torch.testing.assert_close(teacher.images([grey]), wanted)
    torch.testing.assert_close(teacher.texts(["a liver"]), said)


def test_a_damaged_folder_of_open_clip_is_named(tmp_path: Path) -> None:
    pytest.importorskip("open_clip")
    (tmp_path / OPEN_CLIP_FILE).write_text("{}", encoding="utf-8")
    with pytest.raises(CheckpointError, match="open_clip model"):
        open_teacher(tmp_path)
