"""The folder of a training run: where everything of it lies, and the model as its stages left it.

Knows nothing of losses, nor of who makes what.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from med2e3.model import Med2E3Config, Med2E3ForConditionalGeneration, Med2E3Processor
from med2e3.model.inert import check_opened_by_library
from med2e3.model.insight import pretrained_vision3d, put_vision3d
from med2e3.resources import resource_path
from med2e3.training.data.pool import shard_starts
from med2e3.training.data.tokens import train_tokenizer
from med2e3.training.recipe import Recipe
from med2e3.training.stages import STAGES
from med2e3.training.stages.base import Reads


@dataclass(frozen=True)
class RunFolder:
    """A recipe and the folder that its run lives in."""

    recipe: Recipe
    folder: Path

    @property
    def pool(self) -> Path:
        """Phantoms as the model sees them."""
        return self.folder / "pool"

    @property
    def features(self) -> Path:
        """What the frozen encoders made of them."""
        return self.folder / "features"

    @property
    def processor_folder(self) -> Path:
        """Tokenizer and prompt settings."""
        return self.folder / "processor"

    @property
    def model_folder(self) -> Path:
        """The finished model."""
        return self.folder / "model"

    def starts(self) -> list[int]:
        """First seed of every shard."""
        return shard_starts(*self.recipe.train_seeds)

    def tuning_starts(self) -> list[int]:
        """First seed of every shard that tuning sees."""
        first, end = self.recipe.train_seeds
        return shard_starts(first, min(end, first + (self.recipe.tuning_phantoms or end)))

    @property
    def start(self) -> Path | None:
        """The folder of the model that training starts from; None: from random weights.

        Raises `CheckpointError` where its settings name code.
        """
        named = self.recipe.start
        if not named:
            return None
        folder = resource_path("demo-model") if named == "demo" else Path(named)
        check_opened_by_library(folder)
        return folder

    def stages(self, *reads: Reads) -> tuple[str, ...]:
        """The recipe's stages that train on this, or on anything, in the order of `STAGES`."""
        return tuple(
            name
            for name, stage in STAGES.items()
            if name in self.recipe.stages and (not reads or stage.reads in reads)
        )

    def processor(self) -> Med2E3Processor:
        """The tokenizer, learned at the first call, with the prompt template of small models."""
        if self.start is not None:
            return Med2E3Processor.from_pretrained(self.start)
        if not self.processor_folder.is_dir():
            sizes = self.recipe.tokenizer
            if sizes is None:
                raise ValueError("a recipe without a model to start from states its tokenizer")
            words = train_tokenizer(sizes.texts, sizes.size, self.recipe.seed)
            config = self.recipe.config(len(words))
            made = Med2E3Processor.for_model(config, words, template="short")
            made.save_pretrained(self.processor_folder)
        return Med2E3Processor.from_pretrained(self.processor_folder)

    def config(self) -> Med2E3Config:
        """The model's config."""
        if self.start is not None:
            config: Med2E3Config = Med2E3Config.from_pretrained(self.start)
            return config
        return self.recipe.config(len(self.processor().tokenizer))

    def model(self, *stages: str) -> Med2E3ForConditionalGeneration:
        """The model as these stages left it; the rest as the recipe's seed drew it, or as the model
        that the recipe starts from has it, with the 3D encoder that it names.
        """
        torch.manual_seed(self.recipe.seed)
        # Eager attention beats the fused kernel at these lengths in bfloat16 on CPUs.
        model: Med2E3ForConditionalGeneration = (
            Med2E3ForConditionalGeneration._from_config(self.config(), attn_implementation="eager")
            if self.start is None
            else Med2E3ForConditionalGeneration.from_pretrained(
                self.start, attn_implementation="eager", dtype=torch.float32
            )
        )
        if self.recipe.encoder3d:
            put_vision3d(pretrained_vision3d(Path(self.recipe.encoder3d)), model)
        for stage in stages:
            self._load_stage(model, stage)
        return model

    def _load_stage(self, model: Med2E3ForConditionalGeneration, name: str) -> None:
        """Puts what a stage trained into the model; RuntimeError where a tensor is missing."""
        stage, recipe = STAGES[name], self.recipe.stages[name]
        state = torch.load(self.folder / f"{name}.pt", weights_only=True, mmap=True)["module"]
        trained = stage.trained(recipe)
        for prefix, attribute in stage.modules.items():
            part = getattr(model, attribute)
            if part is None or attribute not in trained:
                continue
            start = f"{prefix}." if prefix else ""
            own = {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}
            missing = part.load_state_dict(own, strict=False).missing_keys
            if missing:
                raise RuntimeError(f"{name}.pt lacks {missing[:3]} of {attribute}")
