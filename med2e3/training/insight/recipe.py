"""Recipes of kind "insight": which volumes and captions, which frozen model, which encoder.

Knows nothing of the steps of a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Self

from huggingface_hub.errors import StrictDataclassError

from med2e3.errors import RecipeError
from med2e3.fields import Between, Count, CountOrNone, NotNegative, Share, build
from med2e3.model.insight_config import InsightConfig
from med2e3.training.insight.alignment import AlignmentRecipe
from med2e3.training.optimizers import Schedule
from med2e3.training.recipe_file import RecipeFile
from med2e3.training.stage_recipe import StageRecipe
from med2e3.volume import Window

#: What a recipe's `kind` says.
KIND = "insight"

#: The two stages, and what each is called in files.
TEACHER, INSIGHT = "teacher", "insight"


@dataclass(frozen=True)
class InsightData:
    """What is seen and what is said of it.

    Phantoms of `train_seeds` (first, end) with `slices` captioned slices in each plane, or
    `captions`, a file that `med2e3 data caption` wrote. `wrong_captions` is the share of slices
    that get the caption of another volume's slice on purpose.
    """

    train_seeds: tuple[CountOrNone, CountOrNone] = (0, 0)
    slices: Count = 4
    captions: str = ""
    wrong_captions: Share = 0.0

    def __post_init__(self) -> None:
        first, end = self.train_seeds
        if bool(self.captions) == (first < end):
            raise RecipeError(
                f"train_seeds = [{first}, {end}] and captions = “{self.captions}”: name one of "
                "them, phantoms (first below end) or a file of captions.",
                ("train_seeds",),
            )


@dataclass(frozen=True)
class TeacherRecipe:
    """The frozen model of images and texts.

    `model` is a folder: of any transformers model with image and text features (CLIP and its kin),
    or of an open_clip model such as BiomedCLIP. Empty: the stage “teacher” trains a CLIP of these
    sizes on the phantoms' slices and their true captions.
    """

    model: str = ""
    image_size: Count = 64
    patch_size: Count = 8
    hidden_size: Count = 64
    layers: Count = 3
    heads: Count = 4
    embedding_size: Count = 64


@dataclass(frozen=True)
class TeacherStageRecipe(StageRecipe):
    """A micro-batch has `slices` slices with their captions."""

    slices: Count = 64

    def smoke(self) -> Self:
        """Three steps of eight slices."""
        return replace(super().smoke(), slices=8)

    def micro_batch(self) -> str:
        """How many slices."""
        return f"{self.slices} slices"


@dataclass(frozen=True)
class InsightStageRecipe(StageRecipe):
    """A micro-batch has `slices` captioned slices of each of `volumes` volumes.

    The loss is `image` × alignment with the slices' images + `text` × alignment with their captions
    + `reconstruction` × mean squared error of the volume drawn again; published weights are 1 each.
    `mask_ratio` hides that share of the patches from the encoder; published is 0, which skip
    connections make easy.
    """

    volumes: Annotated[int, Between(1)]
    alignment: AlignmentRecipe
    slices: Count = 1
    image: NotNegative = 1.0
    text: NotNegative = 1.0
    reconstruction: NotNegative = 1.0
    mask_ratio: Annotated[float, Between(0, 0.95)] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.image + self.text + self.reconstruction > 0:
            raise RecipeError("image, text and reconstruction are all 0: there is no loss.", ())
        if self.volumes * self.slices < 2 and self.image + self.text > 0:
            raise RecipeError(
                f"volumes = {self.volumes} with slices = {self.slices} makes batches of one pair, "
                "from which no alignment can be learned. Take 2 or more.",
                ("volumes",),
            )

    @property
    def note(self) -> str:
        """What should be known before it runs; empty where there is nothing."""
        alignment, pairs = self.alignment, self.volumes * self.slices + self.alignment.queue
        if alignment.kind != "partial_ot" or alignment.left_out(pairs) >= 1:
            return ""
        return (
            f" (partial_ot with mass = {alignment.mass:g} can leave out "
            f"{alignment.left_out(pairs):.1g} of {pairs} pairs, which is nearly ot: take more "
            "pairs, a queue, or a smaller mass)"
        )

    def smoke(self) -> Self:
        """Three steps of two volumes."""
        return replace(super().smoke(), volumes=2, slices=min(self.slices, 2))

    def micro_batch(self) -> str:
        """How many volumes and slices."""
        return f"{self.volumes} volumes × {self.slices} slices"


@dataclass(frozen=True)
class InsightRecipe:
    """A run: `model` are the keys of `InsightConfig`; `stages` are "teacher" and "insight"."""

    name: str
    seed: int
    window: Window
    model: dict[str, Any]
    data: InsightData
    teacher: TeacherRecipe
    stages: dict[str, StageRecipe]

    @property
    def aligning(self) -> InsightStageRecipe:
        """The stage that pretrains the encoder."""
        stage = self.stages[INSIGHT]
        assert isinstance(stage, InsightStageRecipe)
        return stage

    def config(self, embedding_size: int | None = None) -> InsightConfig:
        """The model's config for embeddings of this width."""
        window = [self.window.centre, self.window.width]
        width = embedding_size or self.teacher.embedding_size
        return InsightConfig(**{"default_window": window, **self.model, "embedding_size": width})

    def smoke(self) -> InsightRecipe:
        """The same run in seconds: six phantoms, few steps."""
        first, end = self.data.train_seeds
        data = self.data
        if not data.captions:
            data = replace(data, train_seeds=(first, min(end, first + 6)), slices=2)
        stages = {name: stage.smoke() for name, stage in self.stages.items()}
        return replace(self, name="smoke", data=data, stages=stages)

    def with_data_in(self, folder: Path) -> InsightRecipe:
        """The same with the file of captions in this folder."""
        if not self.data.captions:
            return self
        return replace(self, data=replace(self.data, captions=str(folder / self.data.captions)))

    def as_json(self) -> dict[str, Any]:
        """All of it in plain values."""
        return asdict(self)


@dataclass(frozen=True)
class _File:
    """The file of a recipe."""

    name: str
    kind: str
    seed: CountOrNone
    window: Window
    model: dict[str, Any]
    data: InsightData
    stages: dict[str, Any]
    teacher: TeacherRecipe = field(default_factory=TeacherRecipe)


def parse_insight(file: RecipeFile) -> InsightRecipe:
    """A recipe from what its file says; raises `RecipeError` with the line of what is wrong."""
    with file.naming_lines():
        return _parse(file.values)


def _parse(said: Mapping[str, Any]) -> InsightRecipe:
    read = build(_File, said)
    if not read.window.width > 0:
        raise RecipeError(
            f"width = {read.window.width:g} must be more than 0.", ("window", "width")
        )
    wanted = (INSIGHT,) if read.teacher.model or read.data.captions else (TEACHER, INSIGHT)
    if read.data.captions and not read.teacher.model:
        raise RecipeError(
            "[teacher] names no model. Captions of a file need a frozen model of images and texts: "
            "name its folder.",
            ("teacher",),
        )
    if set(read.stages) != set(wanted):
        raise RecipeError(
            f"[stages] must have {' and '.join(wanted)}; it has {', '.join(read.stages) or 'none'}."
            + (" A teacher that is named is not trained." if read.teacher.model else ""),
            ("stages",),
        )
    stages: dict[str, StageRecipe] = {}
    for name in wanted:
        cls = TeacherStageRecipe if name == TEACHER else InsightStageRecipe
        key = ("stages", name)
        stages[name] = build(cls, read.stages[name], key, name=name, schedule=Schedule())
    recipe = InsightRecipe(
        read.name, read.seed, read.window, read.model, read.data, read.teacher, stages
    )
    _check_model(recipe)
    return recipe


def _check_model(recipe: InsightRecipe) -> None:
    """Raises `RecipeError` for sizes that make no model."""
    import torch

    from med2e3.model.insight import InsightModel

    known = set(InsightConfig.__dataclass_fields__) - {"embedding_size"}
    for name in recipe.model:
        if name not in known:
            from med2e3.fields import unknown_key

            raise unknown_key(name, sorted(known), ("model",))
    try:
        config = recipe.config()
        with torch.device("meta"):
            InsightModel(config)
    except (StrictDataclassError, TypeError, ValueError) as error:
        said = " ".join(str(error).split())
        raise RecipeError(f"[model] makes no model: {said}.", ("model",)) from error
