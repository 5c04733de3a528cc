"""The record of its recipe in a run's folder, so that no other recipe goes on with it.

Knows nothing of what the keys mean.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from med2e3.errors import InputError
from med2e3.fields import difference
from med2e3.files import write_whole
from med2e3.io.texts import read_json
from med2e3.phantoms.phantom import DEFAULT_BODY
from med2e3.training.m3d_recipe import KIND as M3D_KIND
from med2e3.training.m3d_recipe import M3DRecipe
from med2e3.training.published_recipe import KIND, PublishedRecipe, ValidationRecipe
from med2e3.training.recipe import Recipe
from med2e3.training.stage_recipe import StageRecipe

#: What a run's folder keeps of the recipe that began it.
RECIPE_FILE = "recipe.json"

#: Keys of a stage that stand beside its `options` in `RECIPE_FILE`.
SHARED_KEYS = tuple(f.name for f in fields(StageRecipe))


#: Keys of a published recipe that change nothing of what is learned.
UNLEARNED_KEYS = ("checkpoint_minutes",)

#: Keys that recipes learned later, and what runs of before did: so said, they are left out.
LATER_KEYS: dict[str, Any] = {
    "pointing": 0.0,
    "validation": json.loads(json.dumps(asdict(ValidationRecipe()))),
}


def as_json(recipe: Recipe | PublishedRecipe | M3DRecipe) -> dict[str, Any]:
    """A recipe as `RECIPE_FILE` keeps it: of one on phantoms a stage's own keys are its `options`.

    Paths are as the recipe states them.
    """
    said: dict[str, Any] = json.loads(json.dumps(asdict(recipe), default=str))
    if not isinstance(recipe, Recipe):
        kind = KIND if isinstance(recipe, PublishedRecipe) else M3D_KIND
        learned = {k: v for k, v in said.items() if k not in UNLEARNED_KEYS}
        return {"kind": kind, **_without_later(learned)}
    said["tokenizer"] = said["tokenizer"] or {}
    if not said["encoder3d"]:  # as runs of before it was a key
        del said["encoder3d"]
    if said["bodies"] == {DEFAULT_BODY: 1.0}:
        del said["bodies"]
    for name, stage in said["stages"].items():
        shared = {key: stage.pop(key) for key in SHARED_KEYS}
        said["stages"][name] = {**shared, "options": stage}
    return said


def _without_later(said: dict[str, Any]) -> dict[str, Any]:
    """A recipe without later keys that say what runs of before did."""
    kept = {k: v for k, v in said.items() if k not in LATER_KEYS or v != LATER_KEYS[k]}
    if not kept["augment"]["keep_sides"]:
        kept["augment"] = {k: v for k, v in kept["augment"].items() if k != "keep_sides"}
    return kept


def keep_to_recipe(recipe: Recipe | PublishedRecipe | M3DRecipe, folder: Path) -> None:
    """As `keep_to`, for a recipe that trains a model that answers, or M3D-CLIP."""
    keep_to(as_json(recipe), folder)


def keep_to(said: dict[str, Any], folder: Path) -> None:
    """Writes into a run's folder what it is made by, or compares with what was written.

    Raises `InputError` where the folder was begun by another recipe: its phantoms and checkpoints
    would be taken for this one's.
    """
    path = folder / RECIPE_FILE
    own = json.loads(json.dumps(said))
    if not path.is_file():
        write_whole(path, json.dumps(own, indent=1))
        return
    try:
        kept = read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}). Name another folder.") from error
    if found := difference(_without_unread(kept, own), own):
        where, before, now = found
        raise InputError(
            f"{folder} was begun by another recipe: {where} was {before}, and is {now} now. "
            f"Resume with the recipe that {RECIPE_FILE} in it states, or name another folder."
        )


def _without_unread(kept: Any, own: dict[str, Any]) -> Any:
    """What a run's folder says, without options that a stage never reads.

    Runs of `--smoke` once gave every stage the options of all.
    """
    if not isinstance(kept, dict) or not isinstance(kept.get("stages"), dict) or "kind" in own:
        return kept
    stages = dict(kept["stages"])
    for name, stage in own["stages"].items():
        if isinstance(there := stages.get(name), dict) and isinstance(there.get("options"), dict):
            read = {k: v for k, v in there["options"].items() if k in stage["options"]}
            stages[name] = {**there, "options": read}
    return {**kept, "stages": stages}
