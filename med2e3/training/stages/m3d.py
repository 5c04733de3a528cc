"""Training M3D-CLIP and M3D-LaMed: contrast, projector, instructions, masks; at any size.

One recipe is one stage (`m3d_recipe.STAGES`). Knows nothing of phantoms.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from med2e3.checkpoints import Hub
from med2e3.checkpoints.adapters import merge_lora, save_adapter
from med2e3.checkpoints.building import quietly
from med2e3.model.prompts import IGNORE
from med2e3.model.segvol import mask_loss
from med2e3.training.data.dataset import (
    BatchPlan,
    ItemReader,
    SampleDataset,
    limited,
    read_batches,
)
from med2e3.training.data.m3d_samples import LaMedReader, PairReader, open_m3d
from med2e3.training.distributed import Compute, Distributed
from med2e3.training.lora import add_lora
from med2e3.training.m3d_recipe import STAGES, M3DRecipe
from med2e3.training.m3d_starting import load_m3d_start
from med2e3.training.micro_batch import MicroBatch
from med2e3.training.options import Options
from med2e3.training.stages.published import ADAPTER_FOLDER, DAMAGED_FILE, MODEL_FOLDER
from med2e3.training.trainer import Numbers, Report, Run, run_stage


class _Stage:
    """What both models share: batches of a data set, read ahead; what is damaged is noted."""

    def __init__(
        self, recipe: M3DRecipe, model: Any, dataset: SampleDataset, *, workers: int = 0,
        device: torch.device | None = None, damaged: Path | None = None,
    ) -> None:  # fmt: skip
        self.name, self.recipe, self.module, self.model = recipe.name, recipe, model, model
        self.dataset, self.workers, self.damaged = dataset, workers, damaged
        self.device = device or torch.device("cpu")
        if recipe.gradient_checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": False})

    def steps(self, first: int, last: int, indices: Sequence[int]) -> Iterator[list[MicroBatch]]:
        """Of every step the micro-batches of these indices, read ahead."""
        plan = BatchPlan(self.recipe.batch, self.recipe.parts, first, last, indices)
        batches = read_batches(self.dataset, plan, self.workers)
        for _ in range(first, last):
            step = [next(batches) for _ in indices]
            lines = [line for batch in step for line in batch.skipped]
            if lines and self.damaged is not None:
                with self.damaged.open("a", newline="", encoding="utf-8") as stream:
                    csv.writer(stream).writerows([line] for line in lines)
            yield [MicroBatch(batch.tensors, batch.count) for batch in step]

    def loss(self, content: dict[str, Tensor]) -> tuple[Tensor, Numbers]:
        """The mean loss of one micro-batch."""
        raise NotImplementedError


class ClipStage(_Stage):
    """M3D-CLIP: each volume's own text among all, and each text's own volume.

    The features of all processes are gathered, and gradients flow back through the gathering: so
    many processes with a part each are one process with their batch.
    """

    def loss(self, content: dict[str, Tensor]) -> tuple[Tensor, Numbers]:
        """Mean cross entropy of both directions, and the share of volumes that find their text."""
        batch = {name: tensor.to(self.device) for name, tensor in content.items()}
        images = gathered(self.model.get_image_features(batch["pixel_values"]))
        texts = gathered(self.model.get_text_features(batch["input_ids"], batch["attention_mask"]))
        logits = self.model.logit_scale * images @ texts.T
        own = torch.arange(len(images), device=logits.device)
        loss = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
        found = (logits.argmax(1) == own).float().mean()
        return loss, {"volumes that find their text": float(found)}


class LaMedStage(_Stage):
    """M3D-LaMed: cross entropy of answers' tokens; of masks soft Dice and cross entropy too."""

    def loss(self, content: dict[str, Tensor]) -> tuple[Tensor, Numbers]:
        """The mask term is the mean over the rows that have a mask; in a step it weighs as much as
        the answers' tokens beside it.
        """
        batch = {name: tensor.to(self.device) for name, tensor in content.items()}
        masks = batch.pop("mask_labels", None)
        output = self.model(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"],
            pixel_values=batch["pixel_values"], use_cache=False, output_hidden_states=True,
        )  # fmt: skip
        target = batch["labels"][:, 1:]
        counted = target != IGNORE
        logits = output.logits[:, :-1][counted].float()
        loss = F.cross_entropy(logits, target[counted])
        right = (logits.argmax(-1) == target[counted]).float().mean()
        numbers = {"tokens right": float(right), "answers": float(loss.detach())}
        if masks is not None:
            term, dice = self._masks(batch, output.hidden_states[-1], masks)
            loss, numbers["masks"], numbers["Dice"] = loss + term, float(term.detach()), dice
        return loss, numbers

    def _masks(
        self, batch: dict[str, Tensor], hidden: Tensor, masks: Tensor
    ) -> tuple[Tensor, float]:
        """The loss of the rows whose mask is not empty, and their Dice; NaN where there is none."""
        prompts, _ = self.model.mask_prompts(batch["labels"][:, 1:], hidden[:, :-1])
        logits = self.model.segvol(batch["pixel_values"], prompts)
        drawn = masks.flatten(1).any(dim=1)
        if not bool(drawn.any()):
            return logits.sum() * 0, float("nan")
        said, wanted = logits[drawn] > 0, masks[drawn] > 0
        both = said.flatten(1).sum(1) + wanted.flatten(1).sum(1)
        dice = (2 * (said & wanted).flatten(1).sum(1) / both).mean()
        return mask_loss(logits[drawn], masks[drawn]), float(dice)


#: The class of a stage by the kind of its model.
CLASSES: dict[str, type[_Stage]] = {"m3d-clip": ClipStage, "m3d-lamed": LaMedStage}


class _Gather(torch.autograd.Function):
    """The rows of all processes one below the other; gradients come back from all of them."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        """(B, C) of this process → (B · processes, C), in the order of the processes."""
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        ctx.first, ctx.count = dist.get_rank() * len(rows), len(rows)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """The sum over processes, of this one's own rows."""
        whole = grad.contiguous()
        dist.all_reduce(whole)
        return whole[ctx.first : ctx.first + ctx.count]


def gathered(features: Tensor) -> Tensor:
    """The rows of all processes, in their order; as they are where there is one process."""
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return features
    rows: Tensor = _Gather.apply(features)  # type: ignore[no-untyped-call]
    return rows


def open_data(
    recipe: M3DRecipe, model: Any, processor: Any, *, skip_damaged: bool
) -> SampleDataset:
    """The recipe's lists; raises `DataError` when one is missing or of another format."""
    grid = tuple(model.config.grid_shape)
    sources = [
        limited(open_m3d(source, grid, recipe.seed), source.limit, recipe.seed, number)
        for number, source in enumerate(recipe.data)
    ]
    stage = STAGES[recipe.stage]
    reader: ItemReader
    if stage.model == "m3d-clip":
        length = min(recipe.context_length, model.config.text_config.max_position_embeddings)
        reader = PairReader(processor, grid, recipe.augment, recipe.seed, length)
    else:
        reader = LaMedReader(processor, grid, recipe.augment, recipe.seed, stage.masks)
    return SampleDataset(sources, reader, skip_damaged=skip_damaged)


def set_trained(recipe: M3DRecipe, model: Any) -> Any:
    """Only what the stage trains learns; returns peft's config where the recipe has LoRA."""
    stage = STAGES[recipe.stage]
    model.requires_grad_(False)
    for name in stage.train:
        part = getattr(model, name, None)
        if part is not None:
            part.requires_grad_(True)
    for unused in _unused(recipe, model):
        unused.requires_grad_(False)
    lora = None
    if recipe.lora is not None:
        lora = add_lora(model.language_model, recipe.lora)
        for part in (model.get_input_embeddings(), model.get_output_embeddings()):
            part.requires_grad_(True)  # published: new tokens' rows are trained beside LoRA
    elif recipe.stage == "align":
        model.get_input_embeddings().requires_grad_(True)
    return lora


def _unused(recipe: M3DRecipe, model: Any) -> list[Any]:
    """Parameters that no loss of the stage sees."""
    if STAGES[recipe.stage].model == "m3d-clip":
        pooler = getattr(model.text_encoder, "pooler", None)
        return [] if pooler is None else [pooler]
    return []


def open_stage(
    recipe: M3DRecipe, options: Options, device: torch.device | None = None,
    damaged: Path | None = None,
) -> tuple[_Stage, Any, Any]:  # fmt: skip
    """The recipe's stage with its model and data, the processor, and peft's config of LoRA.

    What is new in the model follows from the recipe's seed.
    """
    model, processor = load_m3d_start(recipe, Hub(options.hub))
    torch.manual_seed(recipe.seed)
    lora = set_trained(recipe, model)
    dataset = open_data(recipe, model, processor, skip_damaged=options.skip_damaged)
    made = CLASSES[STAGES[recipe.stage].model]
    stage = made(
        recipe, model, dataset, workers=options.workers, device=device, damaged=damaged
    )  # fmt: skip
    return stage, processor, lora


def train_m3d(
    recipe: M3DRecipe, folder: Path, options: Options, report: Report | None = None, *,
    resume: bool = True,
) -> Path:  # fmt: skip
    """Runs the recipe's stage to its end in `folder`; returns the finished model's folder."""
    compute = Compute(options.mixed_precision or recipe.mixed_precision, options.cpu)
    distributed = Distributed(compute)
    stage, processor, lora = open_stage(
        recipe, options, distributed.device, folder / DAMAGED_FILE
    )  # fmt: skip
    run = Run(
        folder, recipe.seed, resume, report, distributed, options.tensorboard,
        60 * recipe.checkpoint_minutes,
    )  # fmt: skip
    with quietly():
        run_stage(stage, recipe.plan(len(stage.dataset)), run)
        if distributed.is_main_process:
            _export(stage.model, processor, folder, lora)
    distributed.accelerator.wait_for_everyone()
    return folder / MODEL_FOLDER


def _export(model: Any, processor: Any, folder: Path, lora: Any) -> None:
    """Writes the model (float32 safetensors) with its tokenizer; adapters apart, then merged."""
    if lora is not None:
        save_adapter(model.language_model, lora, folder / ADAPTER_FOLDER)
        merge_lora(model.language_model)
    model.save_pretrained(folder / MODEL_FOLDER)
    processor.save_pretrained(folder / MODEL_FOLDER)
