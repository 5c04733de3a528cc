"""What changes a result: weights, settings, versions, processor, voxels, and the name made of them.

Knows nothing of tables or of who computes.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import med2e3
from med2e3.errors import CheckpointError
from med2e3.files import file_sha256
from med2e3.study.plan import PlannedModel

if TYPE_CHECKING:
    import torch

    from med2e3.volume import Volume

#: Files of a model's folder that decide how it is asked: config, tokenizer, prompt template.
SETTINGS = (".json", ".txt", ".model", ".jinja")

#: Written beside the weights by a download; says nothing about the model.
NO_SETTINGS = frozenset({"download.json"})


def model_identity(model: PlannedModel) -> dict[str, str]:
    """Kind and hashes of a model, without building it. Raises `CheckpointError`."""
    from med2e3.checkpoints import Hub, find_model, open_checkpoint
    from med2e3.checkpoints.hashes import weights_hash
    from med2e3.engine.loading import BACKENDS

    hub = Hub(model.hub)
    checkpoint = open_checkpoint(find_model(model.model, hub), hub)
    if checkpoint.kind not in BACKENDS:
        raise CheckpointError(
            f"“{model.model}” is a model of kind {checkpoint.kind!r}, which does not answer "
            "questions. Leave it out of the plan."
        )
    weights = weights_hash(checkpoint.files, checkpoint.folder, lambda share, what: None)
    return {
        "kind": checkpoint.kind,
        "weights_sha256": weights,
        "settings_sha256": _settings_hash(checkpoint.folder, frozenset(checkpoint.files)),
    }


def _settings_hash(folder: Path, weights: frozenset[Path]) -> str:
    files = (f for f in sorted(folder.rglob("*")) if f.suffix in SETTINGS and f.is_file())
    named = [
        [f.relative_to(folder).as_posix(), file_sha256(f)]
        for f in files
        if f not in weights and f.name not in NO_SETTINGS
    ]
    return hash_of(named)


def versions() -> dict[str, str]:
    """Versions of what computes an answer."""
    import torch
    import transformers

    return {
        "med2e3": med2e3.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def processor_name(device: torch.device) -> str:
    """The processor that computes: sums differ in their last bits between kinds of them."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def volume_sha256(volume: Volume) -> str:
    """SHA-256 of what a model is given of a volume: voxels, affine, and whether they are CT."""
    digest = hashlib.sha256()
    affine = volume.geometry.affine_lps.astype("<f8").tolist()
    said = [str(volume.voxels.dtype), list(volume.shape), affine, volume.info.modality]
    digest.update(json.dumps(said).encode())
    for plane in volume.voxels:  # a slice at a time: a turned volume is not copied whole
        digest.update(plane.astype(plane.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def place_signature(path: Path) -> str:
    """Names, sizes and times of change of the files at a path: equal where nothing was changed."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    found = []
    for file in files:
        try:
            status = file.stat()
        except OSError:
            continue
        if not file.is_dir():
            found.append([str(file), status.st_size, status.st_mtime_ns])
    return hash_of(found)


def hash_of(value: Mapping[str, Any] | list[Any]) -> str:
    """SHA-256 of plain values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
