"""The table of layouts that can be read, and the search for the layout of a folder.

To add a layout, write a module with `fits(folder)` and `read(folder, hub)`, and add a line to
`LAYOUTS`.
"""

from __future__ import annotations

from pathlib import Path

from med2e3.checkpoints.adapter_folders import base_of, is_adapter, with_adapter
from med2e3.checkpoints.checkpoint import Checkpoint, Layout
from med2e3.checkpoints.fitting import check_parts, refusing
from med2e3.checkpoints.hashes import check_recorded
from med2e3.checkpoints.hub import Hub
from med2e3.checkpoints.m3d_clip import (
    M3D_CLIP_NATIVE,
    M3D_CLIP_RELEASE,
    M3D_CLIP_VIT,
    M3D_VIT_NATIVE,
)
from med2e3.checkpoints.m3d_lamed import M3D_LAMED_NATIVE, M3D_LAMED_RELEASE
from med2e3.checkpoints.med2e3_release import MED2E3_RELEASE
from med2e3.checkpoints.names import RELEASES
from med2e3.checkpoints.native import NativeKind, native_layout
from med2e3.checkpoints.reading import read_json
from med2e3.checkpoints.store import find_installed, models_folder
from med2e3.errors import CheckpointError
from med2e3.model.config import Med2E3Config
from med2e3.model.modeling import Med2E3ForConditionalGeneration
from med2e3.model.processor import Med2E3Processor
from med2e3.resources import resource_path

#: The name of the model that ships with the product, and its folder among the shipped files.
DEMO_NAME, DEMO_FOLDER = "demo", "demo-model"

#: Looked through in this order; each `fits` looks at what only its layout has.
LAYOUTS: tuple[Layout, ...] = (
    native_layout(
        "med2e3",
        "Med-2E3 in our own format",
        NativeKind("med2e3", Med2E3Config, Med2E3ForConditionalGeneration, Med2E3Processor),
    ),
    MED2E3_RELEASE,
    M3D_CLIP_NATIVE,
    M3D_CLIP_RELEASE,
    M3D_CLIP_VIT,
    M3D_VIT_NATIVE,
    M3D_LAMED_NATIVE,
    M3D_LAMED_RELEASE,
)


def open_checkpoint(folder: Path, hub: Hub | None = None) -> Checkpoint:
    """Read a model folder by the first layout that fits it; adapters with their base.

    Raises `CheckpointError`, which says what the folder seems to be, when no layout fits, and what
    is wrong with it when a file was changed since its download or parts do not belong together.
    """
    check_recorded(folder)
    if is_adapter(folder):
        with refusing(folder):
            base = base_of(folder)
        place = find_model(base, hub)
        if is_adapter(place):
            raise CheckpointError(
                f"{folder} names {base} as its base, which holds adapters too. Merge these first: "
                "med2e3 convert BASE TARGET --adapter FOLDER."
            )
        whole = open_checkpoint(place, hub)
        with refusing(folder):
            return with_adapter(whole, folder)
    with refusing(folder):
        for layout in LAYOUTS:
            if layout.fits(folder):
                checkpoint = layout.read(folder, hub or Hub())
                check_parts(checkpoint)
                return checkpoint
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is not a folder. Give the folder that holds the model.")
    known = "; ".join(layout.title for layout in LAYOUTS)
    raise CheckpointError(f"{folder} {_looks_like(folder)}. Known are: {known}.")


def _looks_like(folder: Path) -> str:
    config = folder / "config.json"
    if not config.is_file():
        return "holds no config.json, so it is no model's folder, or one inside it is"
    kind = read_json(config).get("model_type")
    return f"holds a model of type {kind!r}, which is not one of ours"


def find_model(name: str | Path, hub: Hub | None = None) -> Path:
    """Find the folder of a model given by folder, name ("demo" or a published one) or hub id.

    Only this computer is searched. Raises `CheckpointError` when the model is not on it.
    """
    text = str(name)
    if text == DEMO_NAME:
        return resource_path(DEMO_FOLDER)
    path = Path(name).expanduser()
    if path.exists():
        return path
    repos = [text, *(release.repo for release in RELEASES if release.name == text)]
    for repo in repos:
        found = (hub or Hub()).repo(repo) if _is_hub_id(repo) else None
        if found is not None:
            return found
    known = ", ".join([DEMO_NAME, *(release.name for release in RELEASES)])
    fetch = (
        f"Fetch it first: med2e3 download {text}."
        if any(text in (release.name, release.repo) for release in RELEASES)
        else f"Give a folder, or one of: {known}."
    )
    raise CheckpointError(
        f"There is no model “{text}” on this computer: it is no folder, and not in "
        f"{models_folder()} or the hub's cache. {fetch}"
    )


def _is_hub_id(text: str) -> bool:
    """Whether a name has the form of a hub id: one or two plain parts."""
    parts = text.split("/")
    return (
        len(parts) <= 2 and all(part not in ("", ".", "..") for part in parts) and "\\" not in text
    )


__all__ = ["LAYOUTS", "find_installed", "find_model", "open_checkpoint"]
