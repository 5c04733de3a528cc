"""Tables 3, 4 and 5 of the paper at equal budget: same start, phantoms and steps, other choices.

Encoders and language model are those of a finished model; connectors, positions and slice scores
begin anew in every variant and are trained with the language model. Each variant is a line of
`TABLES`: config values, and whether the pointing loss acts. Knows nothing of printing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from med2e3.errors import InputError
from med2e3.files import write_whole
from med2e3.io.texts import kept_json
from med2e3.model import Med2E3Config, Med2E3ForConditionalGeneration, Med2E3Processor
from med2e3.resources import resource_path
from med2e3.training.ablation_examiner import examine
from med2e3.training.data.pool import Example
from med2e3.training.inputs import (
    ENCODERS,
    make_features,
    make_pool,
    read_features,
    read_phantoms,
)
from med2e3.training.parallel import Task, in_parallel
from med2e3.training.recipe import Recipe, load_recipe
from med2e3.training.run_folder import RunFolder
from med2e3.training.stages.answers import AnswerCollator
from med2e3.training.stages.tuning import TuneStage, TuningRecipe
from med2e3.training.trainer import Run, run_stage


@dataclass(frozen=True)
class Variant:
    """One line of a table: what differs from the model that it starts from."""

    choices: Mapping[str, Any] = field(default_factory=dict)
    pointing: bool = True


#: Table → line → what it is. The full model stands in each table, and is trained once.
TABLES: dict[str, dict[str, Variant]] = {
    "3 encoders": {
        "3D only": Variant({"encoders": "3d"}),
        "2D only": Variant({"encoders": "2d", "local_features": "2d"}),
        "3D + 2D": Variant(),
    },
    "4 aggregation": {
        "random scores": Variant({"aggregation": "random"}),
        "max pooling": Variant({"aggregation": "max"}),
        "average pooling": Variant({"aggregation": "mean"}),
        "TG-IS, language-model loss alone": Variant(pointing=False),
        "TG-IS": Variant(),
    },
    "5 scoring": {
        f"{'text, ' if text else 'no text, '}{name}": Variant(
            {
                "local_features": name.lower().replace(" ", ""),
                **({} if text else {"text_source": "none", "text_projection": "none"}),
            }
        )
        for text in (False, True)
        for name in ("3D", "2D", "3D + 2D")
    },
}

#: Held-out phantoms have seeds from here on; training ones lie below, the evaluation's far above.
HELD_OUT = 9_000_000


@dataclass(frozen=True)
class Budget:
    """What every variant gets alike."""

    steps: int = 300
    train_phantoms: int = 1000
    phantoms: int = 100
    seeds: int = 2
    volumes: int = 8
    questions: int = 4
    learning_rate: float = 1e-3


def variants() -> dict[str, Variant]:
    """Each distinct variant once, by a name that suits a file."""
    distinct: dict[str, Variant] = {}
    for lines in TABLES.values():
        for variant in lines.values():
            distinct.setdefault(file_name(variant), variant)
    return distinct


def file_name(variant: Variant) -> str:
    """The choices that differ, joined; "full" where none does."""
    full = Variant({"local_features": "3d+2d"})
    said = {k: v for k, v in variant.choices.items() if full.choices.get(k) != v}
    words = [f"{k}-{v}" for k, v in said.items()] + ([] if variant.pointing else ["no-pointing"])
    return "_".join(words) or "full"


def run_ablation(folder: Path, budget: Budget, workers: int, recipe: str = "demo-more") -> Path:
    """Trains and measures every variant that is not done yet; returns the folder with the results.

    One JSON file a variant and seed: numbers of each held-out phantom. A run that was stopped goes
    on where it was.
    """
    base = load_recipe(recipe)
    _keep_budget(folder, budget)
    train = _run_folder(
        base, folder, (base.train_seeds[0], base.train_seeds[0] + budget.train_phantoms)
    )
    held = _run_folder(base, folder, (HELD_OUT, HELD_OUT + budget.phantoms))
    tasks = [
        task
        for name, run_folder in {"train": train, "held": held}.items()
        for start in run_folder.starts()
        for task in (
            Task(f"pool {name} {start}", make_pool, (run_folder, [start])),
            *(
                Task(
                    f"{encoder} {name} {start}",
                    make_features,
                    (run_folder, encoder, [start]),
                    (f"pool {name} {start}",),
                )
                for encoder in ENCODERS
            ),
        )
    ]
    seen = tuple(task.name for task in tasks)
    for seed in range(1, budget.seeds + 1):
        for name in variants():
            path = folder / "results" / f"{name}-{seed}.json"
            if not path.is_file():
                tasks.append(
                    Task(path.name, _measure, (train, held, budget, name, seed, path), seen)
                )
    in_parallel(tasks, workers)
    return folder / "results"


def _keep_budget(folder: Path, budget: Budget) -> None:
    """Writes what every variant of this folder gets; raises `InputError` for another than before.

    More seeds may follow: their results stand beside those that are there.
    """
    path = folder / "budget.json"
    said = {k: v for k, v in asdict(budget).items() if k != "seeds"}
    if path.is_file():
        before = kept_json(path)
        if changed := [k for k in said if before.get(k) != said[k]]:
            was = ", ".join(f"{k} {before.get(k)}" for k in changed)
            now = ", ".join(f"{k} {said[k]}" for k in changed)
            raise InputError(
                f"The ablation in {folder} was begun with {was}, not {now}; its results would not "
                "be comparable. Go on with the same numbers, or name another folder."
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(said))


def _run_folder(recipe: Recipe, folder: Path, seeds: tuple[int, int]) -> RunFolder:
    return RunFolder(replace(recipe, train_seeds=seeds), folder)


def _measure(
    train: RunFolder, held: RunFolder, budget: Budget, name: str, seed: int, path: Path
) -> None:
    variant = variants()[name]
    model = start_model(train, variant, seed)
    words = train.processor().tokenizer
    processor = Med2E3Processor.for_model(model.config, words, template="short")
    recipe = _tuning(train.recipe, name, budget, variant)
    seen = read_features(train, train.starts())
    stage = TuneStage(recipe, model, _examples(train), seen, AnswerCollator(processor))
    path.parent.mkdir(parents=True, exist_ok=True)
    run = Run(path.parent / f"{name}-{seed}", seed)
    losses = run_stage(stage, recipe, run)
    unseen = read_features(held, held.starts())
    rows = examine(model.eval(), processor, _examples(held), unseen)
    said = {
        "variant": name, "seed": seed, "budget": asdict(budget),
        "loss": float(np.mean(losses[-20:])) if losses else None, "phantoms": rows,
    }  # fmt: skip
    write_whole(path, json.dumps(said))


def _examples(run_folder: RunFolder) -> list[Example]:
    return read_phantoms(run_folder, run_folder.starts(), grids=False)


def _tuning(recipe: Recipe, name: str, budget: Budget, variant: Variant) -> TuningRecipe:
    """The recipe's tuning with this budget: AdamW in one micro-batch, nothing on text alone."""
    tune = recipe.stages["tune"]
    if not isinstance(tune, TuningRecipe):
        raise InputError(f"The recipe {recipe.name} has no stage “tune”, by which variants train.")
    return TuningRecipe(
        name, budget.steps, budget.learning_rate, budget.volumes, budget.questions, tune.rows,
        tune.mix, tune.language_model, pointing=tune.pointing if variant.pointing else 0.0,
    )  # fmt: skip


def start_model(
    run_folder: RunFolder, variant: Variant, seed: int
) -> Med2E3ForConditionalGeneration:
    """The variant's model: encoders and language model of the one that the recipe starts from; the
    rest as the seed draws it.
    """
    source = run_folder.model()
    told = Med2E3Config.from_pretrained(run_folder.start or resource_path("demo-model")).to_dict()
    torch.manual_seed(seed)
    config = Med2E3Config(**{**told, **variant.choices})
    model: Med2E3ForConditionalGeneration = Med2E3ForConditionalGeneration._from_config(
        config, attn_implementation="eager", dtype=torch.float32
    )
    for part in ("vision3d", "vision2d", "language_model"):
        own, other = getattr(model, part), getattr(source, part)
        if own is not None:
            own.load_state_dict(other.state_dict())
    return model
