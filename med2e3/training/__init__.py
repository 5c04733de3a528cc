"""Making a model: recipes, data to train on, stages, checkpoints.

`train` runs a whole recipe; `med2e3.training.pipeline` has the demo's steps one by one, and
`med2e3.training.stages.published` the published stages.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from med2e3.training.options import Options

if TYPE_CHECKING:
    from med2e3.training.insight.recipe import InsightRecipe
    from med2e3.training.m3d_recipe import M3DRecipe
    from med2e3.training.published_recipe import PublishedRecipe
    from med2e3.training.recipe import Recipe
    from med2e3.training.recipe_file import RecipeFile
    from med2e3.training.trainer import Report

__all__ = ["Options", "train"]


def train(
    recipe: str | Path,
    out: str | Path,
    *,
    resume: bool = False,
    smoke: bool = False,
    processes: int = 1,
    report: Report | None = None,
    options: Options | None = None,
) -> Path:
    """Trains a recipe (by name, or a TOML file) in the folder `out`; returns the model's folder, or
    `out` where only some stages were asked for.

    `resume` goes on from what is in `out`; without it, `out` must be empty. `smoke` runs the same
    code on a handful of samples. `report(step, steps, numbers)` is told of every step; without it
    a progress bar shows them. `processes` more than one starts that many on this machine, of which
    the first shows the bar; under `accelerate launch` leave it at one. Raises `InputError` for an
    unknown recipe, a folder in use or begun by another recipe, or options that do not fit.
    """
    from med2e3.training.distributed import is_launched, is_rank_zero
    from med2e3.training.insight.recipe import InsightRecipe
    from med2e3.training.logs import check_tensorboard
    from med2e3.training.processes import in_processes
    from med2e3.training.recipe_record import keep_to, keep_to_recipe

    given, folder = options or Options(), Path(out)
    open_recipe(recipe, given, smoke=smoke)
    if given.tensorboard:
        check_tensorboard()
    if is_rank_zero():
        _make_folder(folder, resume)
        # A data folder may be moved between stop and resume; its lists may not be others.
        kept = open_recipe(recipe, replace(given, data=Path()), smoke=smoke)
        if isinstance(kept, InsightRecipe):
            keep_to(kept.as_json(), folder)
        else:
            keep_to_recipe(kept, folder)
    if processes > 1 and not is_launched():
        in_processes(processes, _train_here, (recipe, folder, resume, smoke, None, given))
        return folder if given.stages else folder / "model"
    return _train_here(recipe, folder, resume, smoke, report, given)


def open_recipe(
    recipe: str | Path, options: Options, *, smoke: bool = False
) -> Recipe | PublishedRecipe | M3DRecipe | InsightRecipe:
    """What a recipe says, of any kind; raises `InputError` when it cannot be read or run."""
    from med2e3.errors import InputError, RecipeError
    from med2e3.training import m3d_recipe
    from med2e3.training.insight.recipe import KIND as INSIGHT
    from med2e3.training.options import OF_MED2E3
    from med2e3.training.published_recipe import KIND, PublishedRecipe, parse_published
    from med2e3.training.recipe import parse_recipe
    from med2e3.training.recipe_file import read_recipe

    file = read_recipe(recipe)
    kinds = (KIND, m3d_recipe.KIND, INSIGHT)
    if (kind := file.values.get("kind", "")) not in ("", *kinds):
        with file.naming_lines():
            raise RecipeError(
                f"kind = “{kind}” is not {' or '.join(f'“{k}”' for k in kinds)}. Leave it out of a "
                "recipe that trains Med-2E3 on phantoms.",
                ("kind",),
            )
    if kind == INSIGHT:
        return _open_insight(file, options, smoke=smoke)
    if not kind:
        if unread := options.unread_of_phantoms():
            raise InputError(
                f"The recipe {file.values.get('name', file.path.stem)} trains on phantoms that it "
                f"makes itself and would not read {unread}. Leave it out, or change the recipe's "
                "file."
            )
        made = parse_recipe(file)
        made.check_stages(options.stages)
        return made.smoke() if smoke else made
    if options.stages:
        raise InputError(
            f"The recipe {file.path.stem} has no stages that run alone. Leave the stages out."
        )
    whole: PublishedRecipe | M3DRecipe = (
        parse_published(file, options.data)
        if kind == KIND
        else m3d_recipe.parse_m3d(file, options.data)
    )
    if isinstance(whole, PublishedRecipe):
        whole = whole.with_validation(
            options.validation, options.validate_every, options.patience
        )  # fmt: skip
    elif unread := options.changed(OF_MED2E3):
        raise InputError(
            f"The recipe {file.path.stem} trains M3D's models and would not read {unread}. Leave "
            "it out."
        )
    if options.keep_sides:
        whole = replace(whole, augment=replace(whole.augment, keep_sides=True))
    if options.start:
        whole = replace(whole, start={"model": options.start})
    if options.lora:
        whole = whole.with_lora(options.lora)
    if options.prompts:
        data = tuple(replace(source, prompts=options.prompts) for source in whole.data)
        whole = replace(whole, data=data)
    return whole.smoke() if smoke else whole


def _open_insight(file: RecipeFile, options: Options, *, smoke: bool) -> InsightRecipe:
    """A recipe of Med3DInsight; refuses options that it would not read."""
    from med2e3.errors import InputError
    from med2e3.training.insight.recipe import parse_insight

    recipe = parse_insight(file)
    read = ("data",) if recipe.data.captions else ()
    unread = [name for name in options.unread_of_phantoms().split(", ") if name not in ("", *read)]
    if unread:
        raise InputError(
            f"The recipe {recipe.name} trains Med3DInsight and would not read "
            f"{', '.join(unread)}. Leave it out, or change the recipe's file."
        )
    recipe = recipe.with_data_in(options.data)
    return recipe.smoke() if smoke else recipe


def _make_folder(folder: Path, resume: bool) -> None:
    """Makes the run's folder; raises `InputError` when something else is in it."""
    from med2e3.errors import InputError

    if not resume and folder.is_dir() and any(folder.iterdir()):
        raise InputError(
            f"The folder {folder} is not empty. Resume the run that is in it, or name another one."
        )
    folder.mkdir(parents=True, exist_ok=True)


def _train_here(
    recipe: str | Path,
    folder: Path,
    resume: bool,
    smoke: bool,
    report: Report | None,
    options: Options,
) -> Path:
    """The run, or this process's part of it."""
    from med2e3.training.distributed import Compute, has_cuda
    from med2e3.training.insight.pipeline import train_insight
    from med2e3.training.insight.recipe import InsightRecipe
    from med2e3.training.m3d_recipe import M3DRecipe
    from med2e3.training.pipeline import Conditions, run_all, run_stages
    from med2e3.training.progress import stage_reports
    from med2e3.training.recipe import Recipe
    from med2e3.training.run_folder import RunFolder
    from med2e3.training.stages.m3d import train_m3d
    from med2e3.training.stages.published import train_published

    chosen = open_recipe(recipe, options, smoke=smoke)
    if isinstance(chosen, Recipe):
        compute = Compute(options.mixed_precision or "no", options.cpu or not has_cuda())
        conditions = Conditions(compute, options.tensorboard)
        run_folder = RunFolder(chosen, folder)
        if options.stages:
            return run_stages(run_folder, options.stages, report, conditions)
        return run_all(run_folder, report, workers=1 if smoke else None, conditions=conditions)
    if isinstance(chosen, InsightRecipe):
        return train_insight(chosen, folder, options, report)
    with stage_reports(report) as report_of:
        if isinstance(chosen, M3DRecipe):
            return train_m3d(chosen, folder, options, report_of(chosen.name), resume=resume)
        return train_published(chosen, folder, options, report_of(chosen.name), resume=resume)
