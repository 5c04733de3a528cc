"""A run of kind "insight" from its recipe to a model folder; what is made once is read again.

    phantoms or captioned volumes → frozen model → its embeddings → encoder → model

Knows nothing of the losses.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from med2e3.checkpoints.building import quietly
from med2e3.errors import CheckpointError, InputError, RecipeError
from med2e3.fields import build
from med2e3.files import whole_file, write_whole
from med2e3.io.texts import read_json
from med2e3.model.insight import InsightModel
from med2e3.phantoms.slices import SlicedPhantom
from med2e3.training.distributed import Compute, Distributed, has_cuda
from med2e3.training.insight.pairs import Pairs, pairs_of_phantoms, read_pairs, shuffled
from med2e3.training.insight.pool import draw_pool
from med2e3.training.insight.recipe import (
    INSIGHT,
    TEACHER,
    InsightRecipe,
    InsightStageRecipe,
    TeacherStageRecipe,
)
from med2e3.training.insight.retrieval import held_out_retrieval
from med2e3.training.insight.stage import Frozen, InsightStage
from med2e3.training.insight.teacher import (
    Teacher,
    TeacherStage,
    caption_processor,
    embed_pairs,
    new_teacher,
    open_teacher,
)
from med2e3.training.options import Options
from med2e3.training.progress import StageReports, stage_reports
from med2e3.training.recipe_record import RECIPE_FILE
from med2e3.training.trainer import Report, Run, run_stage

#: Below a run's folder: the model, the frozen model that it trained, its embeddings, what both
#: reached on held-out phantoms.
MODEL_FOLDER, TEACHER_FOLDER = "model", "teacher"
EMBEDDINGS_FILE, RESULTS_FILE = "embeddings.pt", "retrieval.json"


@dataclass(frozen=True)
class InsightRun:
    """A recipe, the folder that its run lives in, and how it is run here."""

    recipe: InsightRecipe
    folder: Path
    options: Options

    def distributed(self) -> Distributed:
        """The processes of the run."""
        options = self.options
        compute = Compute(options.mixed_precision or "no", options.cpu or not has_cuda())
        return Distributed(compute)

    def run(self, report: Report | None, distributed: Distributed) -> Run:
        """How a stage runs."""
        return Run(
            self.folder, self.recipe.seed, True, report, distributed, self.options.tensorboard
        )

    def phantoms(self) -> list[SlicedPhantom]:
        """The phantoms that the recipe names."""
        recipe = self.recipe
        return draw_pool(
            self.folder / "pool", recipe.data.train_seeds, recipe.config().grid_shape, recipe.window
        )

    def pairs(self) -> Pairs:
        """Captioned slices, true captions all."""
        recipe, data = self.recipe, self.recipe.data
        if data.captions:
            return read_pairs(Path(data.captions), recipe.config().grid_shape, recipe.window)
        return pairs_of_phantoms(self.phantoms(), data.slices, recipe.seed)

    def teacher(self) -> Teacher:
        """The frozen model, which its stage has trained before where the recipe names none."""
        named = self.recipe.teacher.model
        return open_teacher(Path(named) if named else self.folder / TEACHER_FOLDER)

    def embeddings(self, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """The frozen embeddings (N, E) of images and true captions, made once."""
        path = self.folder / EMBEDDINGS_FILE
        if not path.is_file():
            made = embed_pairs(self.teacher(), pairs)
            with whole_file(path) as draft, draft.open("wb") as stream:
                torch.save({"image": made[0], "text": made[1]}, stream)
        held = torch.load(path, map_location="cpu", weights_only=True)
        if len(held["image"]) != len(pairs.pairs):
            raise CheckpointError(
                f"{path} holds {len(held['image'])} embeddings of {len(pairs.pairs)} slices; the "
                "captions have changed. Move it away, and resume."
            )
        return held["image"], held["text"]

    def stage(self, pairs: Pairs, embeddings: tuple[Tensor, Tensor]) -> InsightStage:
        """The stage with a new model; some captions are those of other slices, by the recipe."""
        recipe = self.recipe
        image, text = embeddings
        whose = torch.from_numpy(shuffled(pairs, recipe.data.wrong_captions, recipe.seed))
        torch.manual_seed(recipe.seed)
        model = InsightModel(recipe.config(image.shape[1]))
        return InsightStage(recipe.aligning, model, pairs, Frozen(image, text[whose]))


def train_insight(
    recipe: InsightRecipe, folder: Path, options: Options, report: Report | None = None
) -> Path:
    """Every step of the run that is not done yet; returns the folder of the finished model."""
    run = InsightRun(recipe, folder, options)
    distributed = run.distributed()
    if distributed.processes > 1 and recipe.aligning.alignment.queue:
        raise InputError(
            f"queue = {recipe.aligning.alignment.queue}: past pairs are not shared among "
            f"{distributed.processes} processes. Set queue = 0, or start one process."
        )
    with stage_reports(report) as report_of, quietly():
        if TEACHER in recipe.stages and not (folder / TEACHER_FOLDER).is_dir():
            _train_teacher(run, report_of, distributed)
        with distributed.main_process_first():
            pairs = run.pairs()
            embeddings = run.embeddings(pairs)
        stage = run.stage(pairs, embeddings)
        run_stage(stage, recipe.aligning, run.run(report_of(INSIGHT), distributed))
        if distributed.is_main_process:
            _finish(run, stage.model)
    distributed.accelerator.wait_for_everyone()
    return folder / MODEL_FOLDER


def _train_teacher(run: InsightRun, report_of: StageReports, distributed: Distributed) -> None:
    """Trains the frozen model's stage to its end, and writes it where it will be opened."""
    with distributed.main_process_first():
        phantoms = run.phantoms()
    recipe = run.recipe.stages[TEACHER]
    assert isinstance(recipe, TeacherStageRecipe)
    torch.manual_seed(run.recipe.seed)
    processor = caption_processor(run.recipe.teacher)
    model = new_teacher(run.recipe.teacher, len(processor.tokenizer))
    stage = TeacherStage(recipe, model, processor, phantoms)
    run_stage(stage, recipe, run.run(report_of(TEACHER), distributed))
    if distributed.is_main_process:
        draft = run.folder / f"{TEACHER_FOLDER}.part"
        model.save_pretrained(draft)
        processor.save_pretrained(draft)
        draft.rename(run.folder / TEACHER_FOLDER)
    distributed.accelerator.wait_for_everyone()


def _finish(run: InsightRun, model: InsightModel) -> None:
    """Writes the model, and how well it finds held-out slices where phantoms tell."""
    model.eval()
    model.save_pretrained(run.folder / MODEL_FOLDER)
    if not run.recipe.data.captions:
        found = held_out_retrieval(model, run.teacher(), run.recipe)
        write_whole(run.folder / RESULTS_FILE, json.dumps(found, indent=1))


def recipe_of(folder: Path) -> InsightRecipe:
    """The recipe that a run's folder was begun by.

    Raises `InputError` for a folder that holds no run of this kind.
    """
    path = folder / RECIPE_FILE
    try:
        said = read_json(path)
        stages = {
            name: build(cls, said["stages"][name])
            for name, cls in (
                (TEACHER, TeacherStageRecipe),
                (INSIGHT, InsightStageRecipe),
            )
            if name in said["stages"]
        }
        table = {key: value for key, value in said.items() if key != "stages"}
        return build(InsightRecipe, table, stages=stages)
    except (OSError, ValueError, KeyError, TypeError, RecipeError) as error:
        raise InputError(
            f"{folder} holds no run of med2e3 train insight ({error}). Name the folder that was "
            "its --out."
        ) from error
