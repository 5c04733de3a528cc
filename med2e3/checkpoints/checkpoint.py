"""What every layout's reader gives: a checkpoint's parts, mapped from disk, not yet a model."""

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
    """Config, processor and weights under our names.

    `kind` says what the model is ("med2e3", "m3d-clip", "m3d-lamed"). `weights` are what the model
    needs and nothing else; `files` hold them and are what a hash of the model covers. `notes` are
    sentences for the user about what was and was not taken from the folder.
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
        """The same with more notes."""
        return dataclasses.replace(self, notes=(*self.notes, *sentences))


@dataclass(frozen=True)
class Layout:
    """One way in which a model lies on disk: how to tell, and how to read it.

    `read` raises `CheckpointError` with the keys, files or settings that do not fit.
    """

    name: str
    title: str
    fits: Callable[[Path], bool]
    read: Callable[[Path, Hub], Checkpoint]


def renamed(
    weights: Weights, rename: Callable[[str], str | None], path: Path, layout: str
) -> Weights:
    """The tensors under our names; `rename` gives "" for those known to be unused.

    Raises `CheckpointError` listing the keys for which it gives None: they are not of this layout.
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
