"""Training the whole Med-2E3 on lists of prepared volumes: the published two stages, at any size.

One recipe is one stage: connectors alone (pretrain), then language model, 2D encoder and connectors
(finetune). Knows nothing of phantoms.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from med2e3.checkpoints import Hub
from med2e3.checkpoints.adapter_folders import save_beside
from med2e3.checkpoints.adapters import merge_lora, save_adapter
from med2e3.checkpoints.building import quietly
from med2e3.errors import DataError, InputError
from med2e3.model import Med2E3ForConditionalGeneration, Med2E3Processor
from med2e3.model.language import token_logits
from med2e3.model.prompts import IGNORE, TEMPLATES
from med2e3.training.checkpointing import read_weights, trained_state
from med2e3.training.data.dataset import (
    Batch,
    BatchPlan,
    Reader,
    SampleDataset,
    Source,
    first_samples,
    limited,
    read_batches,
)
from med2e3.training.data.formats import SampleFile, open_samples
from med2e3.training.data.held_out import HeldOutSamples, split, without_augmentation
from med2e3.training.data.prepare_scans import read_prepared
from med2e3.training.distributed import Compute, Distributed
from med2e3.training.lora import add_lora
from med2e3.training.micro_batch import MicroBatch
from med2e3.training.options import Options
from med2e3.training.published_recipe import PublishedRecipe
from med2e3.training.stages.pointing import pointing_loss
from med2e3.training.starting import load_start, trained_parts
from med2e3.training.trainer import Numbers, Report, Run, run_stage
from med2e3.training.validating import BEST, Validation
from med2e3.words import counted

#: The template that a model is asked with which was trained on captions, where no question stands.
ASKING_TEMPLATE = "phi"

MODEL_FOLDER, DAMAGED_FILE = "model", "damaged.csv"

#: Where a run with LoRA leaves its adapters, in peft's form; its model has them merged.
ADAPTER_FOLDER = "adapter"


class PublishedStage:
    """The whole model with what the recipe trains, on batches from a data set.

    The loss is the mean over the answers' tokens of a step, whichever micro-batch they are in.
    """

    def __init__(
        self,
        recipe: PublishedRecipe,
        model: Med2E3ForConditionalGeneration,
        dataset: SampleDataset,
        *,
        workers: int = 0,
        device: torch.device | None = None,
        damaged: Path | None = None,
    ) -> None:
        self.name, self.recipe, self.module = recipe.name, recipe, model
        self.model, self.dataset, self.workers = model, dataset, workers
        self.device, self.damaged = device or torch.device("cpu"), damaged
        freeze_all_but(model, recipe.train)
        self.adapters = None if recipe.lora is None else add_lora(model.language_model, recipe.lora)
        if recipe.pointing and model.scorer is None:
            raise InputError(
                f"pointing = {recipe.pointing:g} teaches slice scores, and this model has none "
                f"(aggregation {model.config.aggregation}, encoders {model.config.encoders}). Set "
                "pointing = 0."
            )
        if recipe.gradient_checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": False})

    def steps(self, first: int, last: int, indices: Sequence[int]) -> Iterator[list[MicroBatch]]:
        """Of every step the micro-batches of these indices, read ahead."""
        plan = BatchPlan(self.recipe.batch, self.recipe.parts, first, last, indices)
        batches = read_batches(self.dataset, plan, self.workers)
        for _ in range(first, last):
            step = [next(batches) for _ in indices]
            self._note_damage(step)
            yield [MicroBatch(batch.tensors, batch.count) for batch in step]

    def loss(self, content: dict[str, Tensor]) -> tuple[Tensor, Numbers]:
        """Mean cross entropy over the answers' tokens of one micro-batch, and the pointing loss."""
        model = self.model
        if model.text_encoder is not None and not self.recipe.text_encoder_dropout:
            model.text_encoder.eval()
        batch = {name: tensor.to(self.device) for name, tensor in content.items()}
        features = model.encode_images(batch["pixel_values"])
        question = (batch["question_ids"], batch["question_mask"])
        rows, _, scores = model.prepare_embeddings(batch["input_ids"], features, question)
        hidden = model.language_model.model(
            inputs_embeds=rows, attention_mask=batch["attention_mask"], use_cache=False
        ).last_hidden_state
        target = batch["labels"][:, 1:]
        counted = target != IGNORE
        # Logits of counted rows alone: those of a whole prompt would be most of a step's memory.
        logits = token_logits(model.language_model, hidden[:, :-1][counted])
        loss = F.cross_entropy(logits, target[counted])
        right = (logits.argmax(-1) == target[counted]).float().mean()
        numbers = {"tokens right": float(right)}
        if self.recipe.pointing:
            points, numbers["mass"] = self._pointing(scores, batch["held_slices"])
            numbers |= {"answers": float(loss.detach()), "pointing": float(points.detach())}
            loss = loss + self.recipe.pointing * points
        return loss, numbers

    def _pointing(self, scores: Tensor | None, held: Tensor) -> tuple[Tensor, float]:
        """The pointing loss, and the mean mass of the scores on the slices that hold what is asked.

        Both are means over the rows that state slices; the mass is NaN where none does. In a step
        the loss weighs as much as the answers' tokens beside it.
        """
        points, mass = pointing_loss(scores, held)
        return points, float(mass) if bool(held.any()) else math.nan

    def _note_damage(self, batches: Sequence[Batch]) -> None:
        lines = [line for batch in batches for line in batch.skipped]
        if lines and self.damaged is not None:
            with self.damaged.open("a", newline="", encoding="utf-8") as stream:
                csv.writer(stream).writerows([line] for line in lines)


def freeze_all_but(model: nn.Module, names: Sequence[str]) -> None:
    """Only the named parts of the model learn; raises `InputError` for one that it lacks."""
    present = trained_parts(model, names)
    absent = [name for name in names if name not in present]
    if absent:
        raise InputError(f"The recipe trains {', '.join(absent)}, which its model does not have.")
    model.requires_grad_(False)
    for name in present:
        getattr(model, name).requires_grad_(True)


def open_data(
    recipe: PublishedRecipe, processor: Med2E3Processor, grid_shape: Any, *, skip_damaged: bool
) -> SampleDataset:
    """The recipe's lists; raises `DataError` when one is missing or of another format."""
    return open_parts(recipe, processor, grid_shape, Options(skip_damaged=skip_damaged))[0]


def open_parts(
    recipe: PublishedRecipe, processor: Med2E3Processor, grid_shape: Any, options: Options
) -> tuple[SampleDataset, Validation | None]:
    """The recipe's lists without what it holds out, and that; raises `DataError` as `open_data`."""
    reader = Reader(
        processor, tuple(grid_shape), recipe.augment, recipe.seed, recipe.pointing > 0
    )  # fmt: skip
    said, held = recipe.validation, list[Source]()
    sources = _opened(recipe.data, recipe.seed)
    if said.share:
        sources, held = split(sources, options.data, said.share, recipe.seed, said.group)
    elif said.data:
        held = _opened(said.data, recipe.seed)
    dataset = SampleDataset(sources, reader, skip_damaged=options.skip_damaged)
    if not held:
        return dataset, None
    samples = HeldOutSamples(
        SampleDataset(held, without_augmentation(reader), skip_damaged=options.skip_damaged),
        recipe.batch // recipe.parts, said.limit, options.workers,
    )  # fmt: skip
    return dataset, Validation(samples, said.every, said.patience)


def _ask_as_prepared(config: Any, recipe: PublishedRecipe) -> None:
    """Has the model be shown scans in the window and plane in which its lists were prepared.

    Lists that do not say how they were prepared leave the model's own. Raises `DataError` where
    they say different things, or another grid than the model's.
    """
    said = {source.images: read_prepared(source.images) for source in recipe.data}
    told = {folder: prepared for folder, prepared in said.items() if prepared is not None}
    if not told:
        return
    (first, prepared), *others = told.items()
    for folder, other in others:
        if other != prepared:
            raise DataError(
                f"The volumes in {first} were prepared as {prepared.text()}, and those in {folder} "
                f"as {other.text()}. A model is shown one window: prepare them alike."
            )
    if prepared.grid != config.grid_shape:
        raise DataError(
            f"The volumes in {first} were prepared as {prepared.text()}, and the model reads "
            f"{' × '.join(map(str, config.grid_shape))}. Prepare them with --grid "
            f"{' '.join(map(str, config.grid_shape))}."
        )
    window = prepared.window
    config.default_window = None if window is None else [window.centre, window.width]
    config.default_plane = "" if prepared.plane is None else prepared.plane.value


def _opened(lists: Sequence[SampleFile], seed: int) -> list[Source]:
    return [
        limited(open_samples(source, seed), source.limit, seed, number)
        for number, source in enumerate(lists)
    ]


def check_pointers(dataset: SampleDataset, pointing: float) -> None:
    """Raises `DataError` where scores are to learn to point, and no list says where."""
    if not pointing:
        return
    looked = 0
    for source in dataset.sources:
        for sample in first_samples(source):
            looked += 1
            if sample is not None and sample.pointer is not None:
                return
    raise DataError(
        f"pointing = {pointing:g} teaches slice scores where findings lie, and of "
        f"{counted(looked, 'row')} none states it. Give the lists “slices”, “boxes” or “mask” (in "
        "CSV files Slices, Boxes, Mask), or set pointing = 0."
    )


def train_published(
    recipe: PublishedRecipe,
    folder: Path,
    options: Options,
    report: Report | None = None,
    *,
    resume: bool = True,
) -> Path:
    """Runs the recipe's stage to its end in `folder`; returns the finished model's folder."""
    compute = Compute(options.mixed_precision or recipe.mixed_precision, options.cpu)
    distributed = Distributed(compute)
    start = load_start(recipe, Hub(options.hub))
    config = start.model.config
    _ask_as_prepared(config, recipe)
    dataset, validation = open_parts(recipe, start.processor, config.grid_shape, options)
    check_pointers(dataset, recipe.pointing)
    stage = PublishedStage(
        recipe,
        start.model,
        dataset,
        workers=options.workers,
        device=distributed.device,
        damaged=folder / DAMAGED_FILE,
    )
    run = Run(
        folder,
        recipe.seed,
        resume,
        report,
        distributed,
        options.tensorboard,
        60 * recipe.checkpoint_minutes,
        validation,
    )
    with quietly():  # the bar says what matters; transformers would write over it
        run_stage(stage, recipe.stage(len(dataset)), run)
        if distributed.is_main_process:
            trained = _finished(folder, recipe, distributed)
            if stage.adapters is not None:
                if trained is not None:
                    start.model.load_state_dict(trained, strict=False)
                    trained = None
                _save_adapters(start.model, stage.adapters, recipe, folder / ADAPTER_FOLDER)
                merge_lora(start.model.language_model)
            _export(start.model, start.processor, folder / MODEL_FOLDER, trained)
    distributed.accelerator.wait_for_everyone()
    return folder / MODEL_FOLDER


def _save_adapters(model: Any, adapters: Any, recipe: PublishedRecipe, folder: Path) -> None:
    """Writes the adapters, what was trained beside them, and which model they belong to."""
    base = recipe.start.get("model", "")
    adapters.base_model_name_or_path = str(Path(base).resolve()) if Path(base).exists() else base
    save_adapter(model.language_model, adapters, folder)
    save_beside(trained_state(model), folder)


def _finished(
    folder: Path, recipe: PublishedRecipe, distributed: Distributed
) -> dict[str, Tensor] | None:
    """The trained tensors, where the model does not hold them as they are to be.

    These are those of the best step, where validation found one, and else those that no process
    holds whole.
    """
    best = folder / f"{recipe.name}{BEST}"
    if recipe.validation and best.is_file():
        return read_weights(best)
    return read_weights(folder / f"{recipe.name}.pt") if distributed.sharded else None


def _export(
    model: Med2E3ForConditionalGeneration,
    processor: Med2E3Processor,
    folder: Path,
    trained: dict[str, Tensor] | None,
) -> None:
    """Writes the model (bfloat16 safetensors) with its processor, ready to be asked."""
    state = model.state_dict() if trained is None else {**model.state_dict(), **trained}
    half = {
        name: tensor.detach().to("cpu", torch.bfloat16) if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }
    config = model.config
    model.generation_config.eos_token_id = config.text_config.eos_token_id
    model.generation_config.pad_token_id = config.text_config.pad_token_id
    config.dtype = torch.bfloat16
    model.save_pretrained(folder, state_dict=half)
    asked = ASKING_TEMPLATE if TEMPLATES[processor.template].caption else processor.template
    processor.with_template(asked).save_pretrained(folder)
