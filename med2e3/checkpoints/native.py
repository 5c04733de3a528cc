"""Our own format: the folder that `save_pretrained` of model and processor write.

Knows nothing of devices.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from med2e3.checkpoints.checkpoint import Checkpoint, Layout
from med2e3.checkpoints.hub import Hub
from med2e3.checkpoints.reading import read_json, read_weights, weight_files
from med2e3.errors import CheckpointError
from med2e3.model.inert import check_inert

CONFIG_FILE, CARD_FILE = "config.json", "README.md"


@dataclass(frozen=True)
class NativeKind:
    """The classes of one kind of model, by the `model_type` of its config.

    `processor` is None for an encoder alone, which has neither tokenizer nor prompt.
    """

    kind: str
    config: Any
    model: Any
    processor: Any


def native_layout(model_type: str, title: str, classes: NativeKind) -> Layout:
    """The layout of the folders in our format whose config has the `model_type` of `kind`."""

    def fits(folder: Path) -> bool:
        path = folder / CONFIG_FILE
        return path.is_file() and read_json(path).get("model_type") == model_type

    def read(folder: Path, _: Hub) -> Checkpoint:
        return _read(folder, classes)

    return Layout(model_type, title, fits, read)


def _read(folder: Path, classes: NativeKind) -> Checkpoint:
    check_inert(folder)
    settings = read_json(folder / CONFIG_FILE)
    try:
        config = classes.config.from_dict(settings)
    except (TypeError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{folder / CONFIG_FILE} describes no model that can be built: {error}. "
            "Convert or copy the model again."
        ) from error
    try:
        own = classes.processor
        processor = None if own is None else own.from_pretrained(folder)
    except (OSError, TypeError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"The tokenizer or processor files in {folder} cannot be read: {error}. "
            "Convert or copy the model again."
        ) from error
    return Checkpoint(
        kind=classes.kind,
        folder=folder,
        model_class=classes.model,
        config=config,
        processor=processor,
        weights=read_weights(folder),
        files=weight_files(folder),
        licence=card_licence(folder),
    )


def card_licence(folder: Path) -> str:
    """The licence that the front matter of a model card names; "" where it names none."""
    card = folder / CARD_FILE
    if not card.is_file():
        return ""
    front = re.match(
        r"---\n(.*?)\n---", card.read_text(encoding="utf-8", errors="replace"), re.DOTALL
    )
    found = re.search(r"^licen[cs]e:\s*(.+)$", front[1], re.MULTILINE) if front else None
    return found[1].strip().strip("\"'") if found else ""
