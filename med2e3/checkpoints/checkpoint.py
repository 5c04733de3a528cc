"""A checkpoint as every layout's reader returns it: parts mapped from disk, not yet a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from med2e3.checkpoints.hub import Hub
from med2e3.checkpoints.reading import Weights
from med2e3.errors import CheckpointError


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Config, processor and weights of a model, under our names.

    `kind` names the kind of model ("med2e3", "m3d-clip", "m3d-lamed"). `weights` holds exactly the
    tensors that the model needs. `files` are those that hold the weights; a hash of the model
    covers them. `notes` tell the user what was and was not taken from the folder.
    """

    kind: str
    folder: Path
    model_class: Any
    config: Any
    processor: Any
    weights: Weights
    files: tuple[Path, ...]
    licence: str
    notes: tuple[str, ...] = ()

    def with_notes(self, *sentences: str) -> Checkpoint:
        """A copy with more notes."""
        return dataclasses.replace(self, notes=(*self.notes, *sentences))


@dataclass(frozen=True)
class Layout:
    """One way in which a model lies on disk.

    `fits` tells whether a folder is of this layout, `read` reads it and raises
    `CheckpointError` with the keys, files or settings that do not fit.
    """

    name: str
    title: str
    fits: Callable[[Path], bool]
    read: Callable[[Path, Hub], Checkpoint]


def renamed(
    weights: Weights, rename: Callable[[str], str | None], path: Path, layout: str
) -> Weights:
    """Rename tensors to our names; `rename` returns "" for a tensor that is never used.

    Raises `CheckpointError`, which lists the keys for which `rename` returns None: they are not of
    this layout.
    """
    from med2e3.checkpoints.reading import listed

    strange = [key for key in weights if rename(key) is None]
    if strange:
        raise CheckpointError(
            f"{path} holds {len(strange)} tensors that {layout} does not have: {listed(strange)}. "
            "It is the checkpoint of another model, or of another version of this one."
        )
    named = {rename(key): tensor for key, tensor in weights.items()}
    return {key: tensor for key, tensor in named.items() if key}
