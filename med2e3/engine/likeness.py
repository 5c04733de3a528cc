"""How like a volume is to those that a model was trained on, in the model's own features.

A file beside the weights, `likeness.json`, has the mean and the spread of what phantoms gave that
no training saw. The distance of a volume is the root mean square of its deviations in units of that
spread. Knows nothing of questions.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from med2e3.engine.info import ModelInfo, check_measured
from med2e3.errors import DataError
from med2e3.files import write_whole
from med2e3.io.texts import read_json

#: The file's name in a model's folder, and the version of its fields.
FILE, FORMAT = "likeness.json", 1

#: A volume is unlike from this many times the largest distance of a phantom on. Phantoms differ
#: from one another by tenths; other volumes lie several times farther away.
MARGIN = 1.3


@dataclass(frozen=True, eq=False)
class Likeness:
    """What training volumes are like: `mean` and `spread` (D,) of their features.

    `limit` is the distance from which on a volume counts as unlike; `what` says on what it was
    measured, `weights_sha256` of which model.
    """

    weights_sha256: str
    what: str
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    limit: float

    def distance(self, vector: NDArray[np.float64]) -> float:
        """How far a volume's features lie from the mean."""
        return float(np.sqrt(np.mean(((vector - self.mean) / self.spread) ** 2)))

    def is_like(self, vector: NDArray[np.float64]) -> bool:
        """Whether a volume may be one of the kind that the model was trained on."""
        return self.distance(vector) <= self.limit


def fit(
    vectors: NDArray[np.float64], apart: NDArray[np.float64], about: tuple[str, str]
) -> Likeness:
    """Mean and spread of `vectors` (N, D), and the limit by those `apart` (M, D).

    `about` is the hash of the model's weights, and what was measured.
    """
    spread = vectors.std(axis=0) + 1e-3 * np.abs(vectors).mean()
    found = Likeness(*about, vectors.mean(axis=0), spread, 0.0)
    limit = MARGIN * max(found.distance(vector) for vector in apart)
    return Likeness(*about, found.mean, found.spread, limit)


def vector_of(features: Any) -> NDArray[np.float64] | None:
    """(D,): mean and standard deviation of the visual tokens; None for a model without such."""
    parts = []
    for name in ("tokens3d", "tokens2d"):
        tokens: Tensor | None = getattr(features, name, None)
        if tokens is not None:
            flat = tokens.detach().float().reshape(-1, tokens.shape[-1])
            parts += [flat.mean(dim=0), flat.std(dim=0)]
    return torch.cat(parts).cpu().double().numpy() if parts else None


def write_likeness(path: Path, likeness: Likeness) -> None:
    """Writes the file, with six digits of each number."""
    said = {
        "format": FORMAT, "weights_sha256": likeness.weights_sha256, "what": likeness.what,
        "limit": round(likeness.limit, 6),
        "mean": [float(f"{v:.6g}") for v in likeness.mean],
        "spread": [float(f"{v:.6g}") for v in likeness.spread],
    }  # fmt: skip
    write_whole(path, json.dumps(said) + "\n")


def read_likeness(info: ModelInfo) -> Likeness | None:
    """What was measured of a model; None where its folder has no such file.

    Raises `DataError` for a damaged file, and for one that was measured of other weights.
    """
    path = Path(info.path) / FILE
    if not path.is_file():
        return None
    try:
        said = read_json(path)
        mean, spread = (np.array(said[name], np.float64) for name in ("mean", "spread"))
        found = Likeness(
            str(said["weights_sha256"]), str(said["what"]), mean, spread, float(said["limit"])
        )
        usable = said["format"] == FORMAT and mean.ndim == 1 and mean.shape == spread.shape
        usable = usable and bool(np.isfinite(mean).all() and (spread > 0).all())
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({error}). Evaluate the model again.") from error
    if not usable:
        raise DataError(f"{path} holds no likeness of this format. Evaluate the model again.")
    check_measured(path, found.weights_sha256, info)
    return found
