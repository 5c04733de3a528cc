"""What a recipe would train, before anything is read or made: parts, steps, batch, memory.

The model is built without memory behind it, from sizes alone. Knows nothing of data or losses.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import BertConfig

from med2e3.checkpoints import Hub, find_model, open_checkpoint
from med2e3.errors import CheckpointError, DataError
from med2e3.model import Med2E3Config, Med2E3ForConditionalGeneration
from med2e3.model.insight import InsightModel
from med2e3.model.m3d_clip import M3DClipConfig, M3DClipModel
from med2e3.model.m3d_lamed import M3DLaMedForConditionalGeneration
from med2e3.model.m3d_lamed_config import M3DLaMedConfig
from med2e3.training.data.formats import SampleFile
from med2e3.training.data.m3d_samples import open_m3d
from med2e3.training.insight.recipe import INSIGHT, TEACHER, InsightRecipe, InsightStageRecipe
from med2e3.training.insight.teacher import SPECIAL_WORDS, new_teacher, words_of_captions
from med2e3.training.m3d_recipe import STAGES as STAGES_OF_M3D
from med2e3.training.m3d_recipe import M3DRecipe, M3DStage
from med2e3.training.published_recipe import PARTS, PublishedRecipe
from med2e3.training.recipe import Recipe
from med2e3.training.run_folder import RunFolder
from med2e3.training.stages import STAGES
from med2e3.training.starting import open_start
from med2e3.words import counted, fine_size_text

#: Bytes of a number in float32, which weights, gradients and AdamW's two moments are kept in.
FLOAT32, MOMENTS = 4, 2

#: Parts of M3D's models, beside those that a stage trains.
M3D_PARTS = ("vision3d", "text_encoder", "connector3d", "language_model", "segvol")

NOT_COUNTED = (
    "Not counted: activations, which grow with the samples of a part (batch / parts); more parts "
    "need less. With mixed precision torch also keeps 16-bit copies of the weights in use."
)


@dataclass(frozen=True)
class PartPlan:
    """One part of the model in one stage."""

    name: str
    parameters: int
    trained: bool


@dataclass(frozen=True)
class StagePlan:
    """One stage. Sizes are bytes in one process that holds the whole model, in float32."""

    name: str
    parts: tuple[PartPlan, ...]
    steps: str
    batch: str
    precision: str
    rate: float
    shares: int
    note: str = ""

    @property
    def trained(self) -> int:
        """Parameters that learn."""
        return sum(part.parameters for part in self.parts if part.trained)

    @property
    def frozen(self) -> int:
        """Parameters that are used as they are."""
        return sum(part.parameters for part in self.parts if not part.trained)

    @property
    def memory(self) -> dict[str, int]:
        """Bytes by what they are for."""
        return {
            "weights": FLOAT32 * (self.trained + self.frozen),
            "gradients": FLOAT32 * self.trained,
            "optimizer": FLOAT32 * MOMENTS * self.trained,
        }

    def text(self, processes: int) -> str:
        """As a small table."""
        width = max(len(part.name) for part in self.parts)
        lines = [f"stage {self.name}{self.note}"]
        for part in self.parts:
            what = "trained" if part.trained else "frozen"
            lines.append(f"  {part.name:<{width}}  {part.parameters:>13,}  {what}")
        lines.append(f"  trained {self.trained:,} parameters, frozen {self.frozen:,}")
        lines.append(f"  steps: {self.steps}")
        lines.append(f"  batch: {self.batch}; peak learning rate {self.rate:g}")
        sizes = self.memory
        listed = ", ".join(f"{name} {fine_size_text(count)}" for name, count in sizes.items())
        lines.append(
            f"  memory of a process: {fine_size_text(sum(sizes.values()))} in float32 ({listed}); "
            "computing "
            + {"no": "in float32", "bf16": "in bfloat16", "fp16": "in float16"}[self.precision]
        )
        if self.shares % processes:
            lines.append(
                f"    {processes} processes cannot share a step of "
                f"{counted(self.shares, 'part')}: set `parts` to a multiple of {processes}"
            )
        elif processes > 1:
            copies = fine_size_text(sizes["gradients"])
            lines.append(
                f"    {processes} processes hold it each, and {copies} more to exchange gradients; "
                f"sharded (FSDP, ZeRO-3) {fine_size_text(sum(sizes.values()) // processes)} each"
            )
        return "\n".join(lines)


def plan_recipe(
    recipe: Recipe | PublishedRecipe | M3DRecipe | InsightRecipe, hub: Hub, precision: str | None
) -> list[StagePlan]:
    """The stages of a recipe; sizes as published where what it starts from cannot be read here."""
    if isinstance(recipe, Recipe):
        return _plan_demo(recipe, precision or "no")
    if isinstance(recipe, InsightRecipe):
        return _plan_insight(recipe, precision or "no")
    chosen = precision or recipe.mixed_precision
    if isinstance(recipe, M3DRecipe):
        return [_plan_m3d(recipe, hub, chosen)]
    return [_plan_published(recipe, hub, chosen)]


def describe(plans: Sequence[StagePlan], out: Path, processes: int) -> str:
    """All stages as text."""
    texts = [plan.text(processes) for plan in plans]
    return "\n\n".join([*texts, f"{NOT_COUNTED}\nNothing was trained or written; --out is {out}."])


def _plan_demo(recipe: Recipe, precision: str) -> list[StagePlan]:
    config = (
        RunFolder(recipe, Path()).config()
        if recipe.tokenizer is None
        else recipe.config(recipe.tokenizer.size)
    )
    model = model_of_sizes(config)
    plans = []
    for name, stage in recipe.stages.items():
        trained, frozen = STAGES[name].trained(stage), STAGES[name].frozen(stage)
        plans.append(
            StagePlan(
                name,
                _parts(model, [*trained, *frozen], trained),
                f"{stage.steps}",
                stage.batch(),
                precision,
                stage.learning_rate,
                stage.parts,
            )
        )
    return plans


def _plan_insight(recipe: InsightRecipe, precision: str) -> list[StagePlan]:
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # initialising nothing is a no-op
        models: dict[str, nn.Module] = {INSIGHT: InsightModel(recipe.config())}
        if TEACHER in recipe.stages:
            words = len(words_of_captions()) + SPECIAL_WORDS
            models[TEACHER] = new_teacher(recipe.teacher, words)
    plans = []
    for name, stage in recipe.stages.items():
        parts = [part for part, _ in models[name].named_children()]
        plans.append(
            StagePlan(
                name,
                _parts(models[name], parts, parts),
                f"{stage.steps}",
                stage.batch(),
                precision,
                stage.learning_rate,
                stage.parts,
                stage.note if isinstance(stage, InsightStageRecipe) else "",
            )
        )
    return plans


def _plan_published(recipe: PublishedRecipe, hub: Hub, precision: str) -> StagePlan:
    note = ""
    try:
        config = open_start(recipe, hub).config
    except CheckpointError:
        config = published_sizes()
        note = " (sizes as published; what it starts from is not on this computer)"
    model = model_of_sizes(config)
    parts = _parts(model, PARTS, recipe.train)
    if recipe.lora is not None:
        parts = tuple(
            _with_lora(part, model, recipe.lora.rank, tables=False) for part in parts
        )  # fmt: skip
    return StagePlan(
        recipe.name,
        parts,
        _steps(recipe),
        f"{recipe.batch} samples in {recipe.parts} parts of {recipe.batch // recipe.parts}",
        precision,
        recipe.learning_rate,
        recipe.parts,
        note,
    )


def _plan_m3d(recipe: M3DRecipe, hub: Hub, precision: str) -> StagePlan:
    stage, note = STAGES_OF_M3D[recipe.stage], ""
    try:
        whole = recipe.start["model"]
        config = open_checkpoint(find_model(whole, hub), hub).config
    except (KeyError, CheckpointError):
        config = _m3d_sizes(stage)
        note = " (sizes as published)"
    built: type[nn.Module] = M3DClipModel
    if stage.model == "m3d-lamed":
        built = M3DLaMedForConditionalGeneration
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model = built(config)
    names = (*dict.fromkeys((*stage.train, *M3D_PARTS)),)
    parts = list(_parts(model, names, stage.train))
    if recipe.lora is not None:
        parts = [_with_lora(part, model, recipe.lora.rank, tables=True) for part in parts]
    return StagePlan(
        recipe.name, tuple(parts), _steps(recipe),
        f"{recipe.batch} samples in {recipe.parts} parts of {recipe.batch // recipe.parts}",
        precision, recipe.learning_rate, recipe.parts, note,
    )  # fmt: skip


def _m3d_sizes(stage: M3DStage) -> M3DClipConfig | M3DLaMedConfig:
    """The released M3D-CLIP, or M3D-LaMed with Phi-3."""
    if stage.model == "m3d-clip":
        return M3DClipConfig(vision_config={}, text_config=BertConfig())
    return M3DLaMedConfig(
        vision_config={}, text_config={"model_type": "phi3"},
        segmentation="segvol" if stage.masks else "",
    )  # fmt: skip


def _with_lora(part: PartPlan, model: nn.Module, rank: int, *, tables: bool) -> PartPlan:
    """The language model's adapters in place of its weights; `tables`: embeddings learn too."""
    if part.name != "language_model":
        return part
    inner: Any = model.get_submodule("language_model")
    linear = [m for n, m in inner.named_modules()
              if isinstance(m, nn.Linear) and "lm_head" not in n]  # fmt: skip
    adapters = sum(rank * (m.in_features + m.out_features) for m in linear)
    ends = (inner.get_input_embeddings(), inner.get_output_embeddings()) if tables else ()
    learned = {id(e.weight): e.weight.numel() for e in ends}
    return PartPlan("language_model (LoRA)", adapters + sum(learned.values()), True)


def published_sizes() -> Med2E3Config:
    """The released Med-2E3: Phi-3-mini, SigLIP-L/16-256, M3D-CLIP's ViT and BERT."""
    siglip = {
        "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
        "num_attention_heads": 16, "image_size": 256, "patch_size": 16,
    }  # fmt: skip
    return Med2E3Config(
        vision3d_config={},
        vision2d_config=siglip,
        text_encoder_config=BertConfig().to_dict(),
        text_config={"model_type": "phi3"},
        text_source="text_encoder",
        text_projection="linear",
    )


def _steps(recipe: PublishedRecipe | M3DRecipe) -> str:
    """From the lists where they are there; their rows are counted, no volume is read."""
    missing = [source.file for source in recipe.data if not source.file.is_file()]
    formula = f"{recipe.epochs:g} epochs × samples / {recipe.batch}"
    if missing:
        return f"{formula}; samples are counted in the lists, and {missing[0]} is not there"
    try:
        counts = [(_rows(source), source.limit) for source in recipe.data]
        samples = sum(min(count, limit) if limit else count for count, limit in counts)
    except DataError as error:
        return f"{formula}; samples cannot be counted: {error}"
    return f"{recipe.steps(samples):,} ({recipe.epochs:g} epochs of {samples:,} samples)"


def _rows(source: SampleFile) -> int:
    """Samples of a list; their grid does not matter."""
    return len(open_m3d(source, (1, 1, 1), 0))


def model_of_sizes(config: Med2E3Config) -> Med2E3ForConditionalGeneration:
    """A model that has shapes and no memory."""
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # initialising nothing is a no-op
        return Med2E3ForConditionalGeneration(config)


def _parts(model: nn.Module, names: Sequence[str], trained: Sequence[str]) -> tuple[PartPlan, ...]:
    plans = []
    for name in names:
        part: Any = getattr(model, name, None)
        if part is not None:
            own = [part] if isinstance(part, nn.Parameter) else part.parameters()
            count = sum(parameter.numel() for parameter in own)
            if count:
                plans.append(PartPlan(name, count, name in trained))
    return tuple(plans)
