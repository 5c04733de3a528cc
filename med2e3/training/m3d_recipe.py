"""Recipes that train M3D-CLIP and M3D-LaMed on lists in the published formats.

One recipe is one stage, by its `stage`. Knows nothing of steps.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from med2e3.errors import RecipeError
from med2e3.fields import (
    Count,
    CountOrNone,
    NotNegative,
    OneOf,
    Positive,
    Share,
    build,
    check_fields,
)
from med2e3.training.data.augment import Augmentation
from med2e3.training.data.formats import MASK_FORMATS, SampleFile
from med2e3.training.distributed import PRECISIONS
from med2e3.training.epochs import check_parts, plan_of, steps_of
from med2e3.training.lora import LoRA
from med2e3.training.recipe_file import FOLDER, RecipeFile
from med2e3.training.stage_recipe import StageRecipe

#: What a recipe's `kind` says.
KIND = "m3d"


@dataclass(frozen=True)
class M3DStage:
    """What a stage trains: parts of the model, of which `start` makes one; what its lists may be.

    `pieces` are what a new model is put together from; `whole` what it may go on from.
    """

    model: str
    train: tuple[str, ...]
    pieces: frozenset[str]
    masks: bool = False
    formats: tuple[str, ...] = ()


#: Formats that M3D-LaMed reads.
_ASKED = ("conversations", "m3d-cap", "m3d-vqa-closed", "m3d-vqa-open", *MASK_FORMATS)
_LAMED = frozenset({"language_model", "m3d_clip"})

#: The stages by the names of recipes. "clip" is contrastive; "align" trains the projector and the
#: embeddings of new tokens, "instruct" the language model (by LoRA where the recipe has a table
#: [lora]) with all but the mask head, "segment" the mask head too.
STAGES: dict[str, M3DStage] = {
    "clip": M3DStage(
        "m3d-clip",
        ("vision3d", "text_encoder", "vision_projection", "text_projection", "logit_scale"),
        frozenset({"text_encoder"}), formats=("m3d-cap",),
    ),
    "align": M3DStage("m3d-lamed", ("connector3d",), _LAMED, formats=_ASKED),
    "instruct": M3DStage(
        "m3d-lamed", ("vision3d", "connector3d", "language_model"), _LAMED, formats=_ASKED
    ),
    "segment": M3DStage(
        "m3d-lamed",
        ("vision3d", "connector3d", "language_model", "segvol", "seg_projector"),
        _LAMED, masks=True, formats=_ASKED,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class M3DRecipe:
    """One stage. A step has `batch` samples in `parts` micro-batches.

    `model` has choices of a new model: sizes of M3D-CLIP's encoders (`vision`, `text`), or
    M3D-LaMed's `projector`, `projector_layer`, `projector_layers`, `pooling`, `pool`,
    `segmentation`. A contrastive micro-batch is compared within itself, and with those of the other
    processes at the same place: parts make it smaller, processes larger.
    """

    name: str
    stage: Annotated[str, OneOf(STAGES)]
    seed: CountOrNone
    epochs: Positive
    batch: Count
    parts: Count
    learning_rate: Positive
    start: dict[str, str]
    data: tuple[SampleFile, ...]
    context_length: Count = 512
    augment: Augmentation = field(default_factory=Augmentation)
    model: dict[str, Any] = field(default_factory=dict)
    lora: LoRA | None = None
    warmup: Share = 0.03
    weight_decay: NotNegative = 0.0
    mixed_precision: Annotated[str, OneOf(PRECISIONS)] = "bf16"
    gradient_checkpointing: bool = True
    checkpoint_minutes: NotNegative = 30.0
    max_steps: CountOrNone = 0

    def __post_init__(self) -> None:
        check_fields(self)
        stage = STAGES[self.stage]
        if set(self.start) not in ({"model"}, stage.pieces):
            raise RecipeError(
                f"start of stage “{self.stage}” must name either `model`, or "
                f"{', '.join(f'`{piece}`' for piece in sorted(stage.pieces))}; it names "
                f"{', '.join(self.start) or 'nothing'}.",
                ("start",),
            )
        odd = [source.format for source in self.data if source.format not in stage.formats]
        if odd or not self.data:
            raise RecipeError(
                f"The stage “{self.stage}” trains on {', '.join(stage.formats)}; the recipe has "
                f"{', '.join(odd) or 'no list'}.",
                ("data",),
            )
        if self.lora is not None and "language_model" not in stage.train:
            raise RecipeError(
                f"The stage “{self.stage}” leaves the language model as it is; [lora] would change "
                "nothing.",
                ("lora",),
            )
        check_parts(self)
        if self.stage == "clip" and self.batch // self.parts < 2:
            raise RecipeError(
                "A contrastive part of one pair has nothing to tell it from: make batch / parts at "
                "least 2.",
                ("parts",),
            )

    def steps(self, samples: int) -> int:
        """How many steps so many samples make."""
        return steps_of(self, samples)

    def plan(self, samples: int) -> StageRecipe:
        """The loop's view of it."""
        return plan_of(self, samples)

    def with_lora(self, rank: int) -> M3DRecipe:
        """The same with adapters of that rank in place of the language model's weights."""
        return dataclasses.replace(self, lora=LoRA.of_rank(rank))

    def smoke(self) -> M3DRecipe:
        """Three steps of two samples."""
        return dataclasses.replace(self, batch=2, parts=1, max_steps=3, checkpoint_minutes=1.0)


def parse_m3d(file: RecipeFile, folder: Path) -> M3DRecipe:
    """A recipe from what its file says; data paths start from `folder`.

    Raises `RecipeError` with the line of what is unknown, missing or wrong.
    """
    table = {name: value for name, value in file.values.items() if name != "kind"}
    with file.naming_lines():
        try:
            recipe = build(M3DRecipe, table)
        except RecipeError as error:
            if error.key:
                raise
            raise RecipeError(
                f"It is no recipe of kind “{KIND}”: {error} Compare it with "
                f"{FOLDER / 'm3d-clip.toml'}."
            ) from error
    return dataclasses.replace(recipe, data=tuple(source.below(folder) for source in recipe.data))
