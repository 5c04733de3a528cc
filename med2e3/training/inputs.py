"""What the stages of a run train on: phantoms and features on disk, made once and read again.

Knows nothing of losses or of the order of stages.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from med2e3.files import whole_file
from med2e3.model import Med2E3ForConditionalGeneration, Med2E3Processor
from med2e3.training.data.features import Features, encode_pool
from med2e3.training.data.pool import SHARD, Example, read_shard, shard_path, write_pool
from med2e3.training.precision import CPU
from med2e3.training.run_folder import RunFolder
from med2e3.training.stages import STAGES
from med2e3.training.stages.base import Reads
from med2e3.training.stages.encoders import to_memory_format

#: The encoders whose features tuning sees: name of their files → attribute of the model.
ENCODERS = {"encoder3d": "vision3d", "encoder2d": "vision2d"}


def make_pool(run_folder: RunFolder, starts: list[int]) -> None:
    """Phantoms of these shards that are not there yet."""
    recipe, config = run_folder.recipe, run_folder.config()
    for start in starts:
        end = min(start + SHARD, recipe.train_seeds[1])
        patch = int(config.vision2d_config.patch_size)
        write_pool(
            run_folder.pool, range(start, end), config.grid_shape, recipe.window, patch,
            recipe.bodies,
        )  # fmt: skip


def make_features(
    run_folder: RunFolder, encoder: str, starts: list[int], device: torch.device = CPU
) -> None:
    """What this encoder makes of these shards, where that is not there yet, in bfloat16."""
    run_folder.features.mkdir(exist_ok=True)
    model = run_folder.model(*encoder_stages(run_folder, encoder))
    for other, attribute in ENCODERS.items():
        if other != encoder:
            setattr(model, attribute, None)
    to_memory_format(model, torch.channels_last)
    to_memory_format(model, torch.channels_last_3d)
    model.to(device)
    for start in starts:
        path = features_path(run_folder, encoder, start)
        if not path.is_file():
            made = encode_pool(model, read_shard(shard_path(run_folder.pool, start)))
            with whole_file(path) as draft, draft.open("wb") as stream:
                torch.save(next(features for features in made if features is not None), stream)


def encoder_stages(run_folder: RunFolder, encoder: str) -> tuple[str, ...]:
    """The run's stages that train this encoder, before any features are made."""
    return tuple(
        name
        for name in run_folder.stages(Reads.PHANTOMS, Reads.TEXTS)
        if ENCODERS[encoder] in STAGES[name].trained(run_folder.recipe.stages[name])
    )


def features_path(run_folder: RunFolder, encoder: str, start: int) -> Path:
    """Where an encoder's features of one shard lie."""
    return run_folder.features / f"{encoder}-{start:09d}.pt"


def read_features(run_folder: RunFolder, starts: list[int]) -> Features:
    """Features of these shards, mapped from disk: only what a step reads is loaded."""
    three, two = (
        [
            torch.load(features_path(run_folder, encoder, start), weights_only=True, mmap=True)
            for start in starts
        ]
        for encoder in ENCODERS
    )
    return Features(three, two)


def read_phantoms(run_folder: RunFolder, starts: list[int], *, grids: bool) -> list[Example]:
    """The phantoms of these shards; without `grids` their voxels are freed."""
    phantoms = [
        example for start in starts for example in read_shard(shard_path(run_folder.pool, start))
    ]
    if not grids:
        for example in phantoms:
            example.forget_grid()
    return phantoms


@dataclass(frozen=True)
class StageInputs:
    """What one stage of a run is built from: the `StageData` of a folder."""

    run_folder: RunFolder
    stage: str

    def model(self) -> Med2E3ForConditionalGeneration:
        """The model as the stages before this one left it."""
        return self.run_folder.model(*before(self.run_folder, self.stage))

    def processor(self) -> Med2E3Processor:
        """The tokenizer and prompt settings of the run."""
        return self.run_folder.processor()

    def phantoms(self) -> list[Example]:
        """All phantoms, or for a stage on features those that it sees, without grids."""
        grids = STAGES[self.stage].reads is not Reads.FEATURES
        return read_phantoms(self.run_folder, self._starts(), grids=grids)

    def features(self) -> Features:
        """The features of the same phantoms."""
        return read_features(self.run_folder, self._starts())

    def _starts(self) -> list[int]:
        if STAGES[self.stage].reads is Reads.FEATURES:
            return self.run_folder.tuning_starts()
        return self.run_folder.starts()


def before(run_folder: RunFolder, stage: str) -> tuple[str, ...]:
    """The stages that a stage goes on from: none, but for one on features."""
    if STAGES[stage].reads is not Reads.FEATURES:
        return ()
    tuning = run_folder.stages(Reads.FEATURES)
    return (*run_folder.stages(Reads.PHANTOMS, Reads.TEXTS), *tuning[: tuning.index(stage)])
