"""One training run from nothing to a model folder: which stage needs what, and where it lies.

    pool → encoder2d, encoder3d, text (independent of one another) → features → align → tune → model

Everything is under one folder, so that a run resumes where it stopped. Knows nothing of the losses.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from typing import Any

import torch

from med2e3.files import whole_file, write_whole
from med2e3.model import Med2E3Config, Med2E3ForConditionalGeneration, Med2E3Processor
from med2e3.model.inert import check_opened_by_library
from med2e3.resources import resource_path
from med2e3.training.data.pool import SHARD, read_shard, shard_path, shard_starts, write_pool
from med2e3.training.data.tokens import train_tokenizer
from med2e3.training.distributed import Compute, Distributed
from med2e3.training.precision import CPU, keep_memory
from med2e3.training.processes import in_processes
from med2e3.training.progress import Teller, shown
from med2e3.training.recipe import Recipe
from med2e3.training.stages.encoders import Encoder2DStage, Encoder3DStage, to_memory_format
from med2e3.training.stages.tuning import (
    Collator,
    Features,
    TextStage,
    TuneStage,
    encode_pool,
    letters_right,
)
from med2e3.training.trainer import Report, Run, Stage, run_stage

#: Beside the text stage's checkpoint: the share of right letters of each topic.
LETTERS_FILE = "text-letters.json"

#: Stages that need the pool; the longer one first.
ENCODERS = ("encoder3d", "encoder2d")

#: Stages that need no other stage, and can run side by side.
INDEPENDENT = (*ENCODERS, "text")

#: Stages on the frozen encoders' features, each going on from the one before.
TUNING = ("align", "tune")

#: Processes that draw phantoms for a GPU, at most.
MOST_WORKERS = 16

#: Parts of the model that each stage trains: module in the checkpoint → attribute of the model.
PARTS: dict[str, dict[str, str]] = {
    "encoder2d": {"encoder": "vision2d"},
    "encoder3d": {"encoder": "vision3d"},
    "text": {"": "language_model"},
    "align": {"": ""},
    "tune": {"": ""},
}


@dataclass(frozen=True)
class Conditions:
    """What a run computes with, and what it logs."""

    compute: Compute = field(default_factory=Compute)
    tensorboard: bool = False

    @property
    def device(self) -> torch.device:
        """Where features are made: where training computes."""
        return torch.device("cpu" if self.compute.cpu else "cuda")


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

    def has(self, stages: Sequence[str]) -> tuple[str, ...]:
        """Those of the stages that the recipe names."""
        return tuple(stage for stage in stages if stage in self.recipe.stages)

    def processor(self) -> Med2E3Processor:
        """The tokenizer, learned at the first call, with the prompt template of small models."""
        if self.start is not None:
            return Med2E3Processor.from_pretrained(self.start)
        if not self.processor_folder.is_dir():
            sizes = self.recipe.tokenizer
            words = train_tokenizer(sizes["texts"], sizes["size"], self.recipe.seed)
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
        that the recipe starts from has it.
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
        for stage in self.has(stages):
            state = torch.load(self.folder / f"{stage}.pt", weights_only=True, mmap=True)["module"]
            for prefix, attribute in PARTS[stage].items():
                part = getattr(model, attribute) if attribute else model
                start = f"{prefix}." if prefix else ""
                own = {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}
                missing = part.load_state_dict(own, strict=False).missing_keys
                if attribute and missing:
                    raise RuntimeError(f"{stage}.pt lacks {missing[:3]} of {attribute}")
        return model


def make_pool(shop: RunFolder, starts: list[int]) -> None:
    """Phantoms of these shards that are not there yet."""
    recipe, config = shop.recipe, shop.config()
    for start in starts:
        end = min(start + SHARD, recipe.train_seeds[1])
        patch = int(config.vision2d_config.patch_size)
        write_pool(shop.pool, range(start, end), config.grid_shape, recipe.window, patch)


def make_features(
    shop: RunFolder, encoder: str, starts: list[int], device: torch.device = CPU
) -> None:
    """What this encoder makes of these shards, where that is not there yet, in bfloat16."""
    shop.features.mkdir(exist_ok=True)
    model = shop.model(encoder)
    for other in ENCODERS:
        if other != encoder:
            setattr(model, PARTS[other]["encoder"], None)
    to_memory_format(model, torch.channels_last)
    to_memory_format(model, torch.channels_last_3d)
    model.to(device)
    for start in starts:
        path = features_path(shop, encoder, start)
        if not path.is_file():
            made = encode_pool(model, read_shard(shard_path(shop.pool, start)))
            with whole_file(path) as draft, draft.open("wb") as stream:
                torch.save(next(features for features in made if features is not None), stream)


def features_path(shop: RunFolder, encoder: str, start: int) -> Path:
    """Where an encoder's features of one shard lie."""
    return shop.features / f"{encoder}-{start:09d}.pt"


def read_features(shop: RunFolder, starts: list[int]) -> Features:
    """Features of these shards, mapped from disk: only what a step reads is loaded."""
    three, two = (
        [torch.load(features_path(shop, encoder, s), weights_only=True, mmap=True) for s in starts]
        for encoder in ENCODERS
    )
    return Features(three, two)


def build_stage(shop: RunFolder, name: str) -> Stage:
    """A stage with its data and the parts of the model that it trains."""
    recipe = shop.recipe
    options = recipe.stages[name].options
    if name == "text":
        writer = Collator(shop.processor())
        return TextStage(shop.model().language_model, writer, options["rows"], options["mix"])
    starts = shop.starts() if name in ENCODERS else shop.tuning_starts()
    pool = [e for start in starts for e in read_shard(shard_path(shop.pool, start))]
    if name == "encoder2d":
        return Encoder2DStage(shop.model(), pool, options["volumes"], options["slices"])
    if name == "encoder3d":
        return Encoder3DStage(shop.model(), pool, options["volumes"])
    for example in pool:
        example.forget_grid()
    model = shop.model(*INDEPENDENT, *before(name))
    return TuneStage(
        name, model, pool, read_features(shop, starts), Collator(shop.processor()), options
    )


def before(name: str) -> tuple[str, ...]:
    """The tuning stages that come before this one."""
    return TUNING[: TUNING.index(name)]


def train_stage(
    shop: RunFolder,
    name: str,
    resume: bool = True,
    report: Report | None = None,
    conditions: Conditions | None = None,
) -> list[float]:
    """Runs one stage to its end; returns the losses of the steps taken now."""
    given = conditions or Conditions()
    stage = build_stage(shop, name)
    distributed = Distributed(given.compute)
    run = Run(shop.folder, shop.recipe.seed, resume, report, distributed, given.tensorboard)
    losses = run_stage(stage, shop.recipe.stages[name], run)
    if isinstance(stage, TextStage) and distributed.is_main_process and not distributed.sharded:
        shares = letters_right(stage.module, stage.writer)
        write_whole(shop.folder / LETTERS_FILE, json.dumps(shares))
    return losses


def export(shop: RunFolder, folder: Path | None = None) -> Path:
    """Writes the finished model (16-bit safetensors), its config, tokenizer and settings."""
    folder = folder or shop.model_folder
    model = shop.model(*INDEPENDENT, *TUNING)
    model.generation_config.eos_token_id = model.config.text_config.eos_token_id
    model.generation_config.pad_token_id = model.config.text_config.pad_token_id
    model.to(torch.float16).save_pretrained(folder)
    shop.processor().save_pretrained(folder)
    return folder


def quiet_worker() -> None:
    """Each worker computes with one thread, for several would fight for the cores; and it keeps
    memory that it frees: mapping every large tensor's pages anew took up to a sixth of a step.
    It ends with the process that started it, which may be killed before it can say so: else it
    would go on writing into the run's folder.
    """
    torch.set_num_threads(1)
    keep_memory()
    parent = parent_process()
    if parent is not None:
        Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


@dataclass(frozen=True)
class ParallelCall:
    """A call, and the names of the jobs that must have ended before it."""

    name: str
    call: Callable[..., Any]
    arguments: tuple[Any, ...]
    needs: tuple[str, ...] = ()


def in_parallel(jobs: Sequence[ParallelCall], workers: int) -> None:
    """Runs all of them, each as soon as what it needs is done, those named first before others.

    In this process when one worker is enough; a failed job stops the run with its error.
    """
    if workers < 2 or len(jobs) < 2:
        for job in jobs:  # they are listed in an order that works
            job.call(*job.arguments)
        return
    done: set[str] = set()
    waiting = list(jobs)
    running: dict[Future[Any], str] = {}
    with ProcessPoolExecutor(workers, get_context("spawn"), quiet_worker) as pool:
        while waiting or running:
            ready = [job for job in waiting if done.issuperset(job.needs)]
            for job in ready[: workers - len(running)]:
                waiting.remove(job)
                running[pool.submit(job.call, *job.arguments)] = job.name
            for ended in wait(running, return_when=FIRST_COMPLETED).done:
                ended.result()
                done.add(running.pop(ended))


def cores() -> int:
    """How many there are for this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worker_count(compute: Compute) -> int:
    """How many processes are worth running. A GPU outruns the phantoms: as many draw as can."""
    return min(2, cores()) if compute.cpu else min(MOST_WORKERS, cores())


def run_all(
    shop: RunFolder,
    report: Report | None = None,
    workers: int | None = None,
    conditions: Conditions | None = None,
) -> Path:
    """Every step of the run that is not done yet; returns the model's folder.

    With two workers or more, independent work runs side by side, each process with one thread; and
    on a CPU they share the steps of tuning where a step has parts for all and no `report` listens
    here; bars show the steps then. Of several processes that train together, the leading one does
    alone what is not training.
    """
    given = conditions or Conditions()
    distributed, count = Distributed(given.compute), workers or worker_count(given.compute)
    if distributed.is_main_process:
        shop.processor()
    with shown(report) as teller:
        if distributed.processes > 1:
            _encode_together(shop, teller, count, given)
        else:
            _encode(shop, teller, count, given)
    parts = [shop.recipe.stages[name].parts for name in shop.has(TUNING)]
    shared = given.compute.cpu and bool(parts) and all(part % count == 0 for part in parts)
    if distributed.processes == 1 and count > 1 and shared and report is None:
        in_processes(count, _tune, (shop, None, given))
    else:
        _tune(shop, report, given)
    if distributed.is_main_process:
        export(shop)
    distributed.accelerator.wait_for_everyone()
    return shop.model_folder


def _tune(shop: RunFolder, report: Report | None, given: Conditions) -> None:
    """The stages on the frozen encoders' features, or this process's share of them."""
    keep_memory()
    with shown(report) as teller:
        for name in shop.has(TUNING):
            train_stage(shop, name, True, teller(name), given)


def _encode(shop: RunFolder, teller: Teller, count: int, given: Conditions) -> None:
    """All that comes before tuning, side by side where `count` is more than one."""

    def speak(stage: str) -> Report | None:
        return teller(stage) if count == 1 else None  # several bars at once would be unreadable

    encoders, text = shop.has(ENCODERS), shop.has(("text",))
    pools = _pool_jobs(shop, count)
    seen = tuple(job.name for job in pools)
    jobs = list(pools)  # and then what takes longest
    jobs += [ParallelCall(s, train_stage, (shop, s, True, speak(s), given)) for s in text]
    jobs += [ParallelCall(e, train_stage, (shop, e, True, speak(e), given), seen) for e in encoders]
    jobs += _feature_jobs(shop, count, given.device, seen)
    in_parallel(jobs, count)


def _encode_together(shop: RunFolder, teller: Teller, count: int, given: Conditions) -> None:
    """The same where every process trains every stage."""
    distributed = Distributed(given.compute)
    if distributed.is_main_process:
        in_parallel(_pool_jobs(shop, count), count)
    distributed.accelerator.wait_for_everyone()
    for name in shop.has(INDEPENDENT):
        train_stage(shop, name, True, teller(name), given)
    if distributed.is_main_process:
        in_parallel(_feature_jobs(shop, count, given.device), count)
    distributed.accelerator.wait_for_everyone()


def _pool_jobs(shop: RunFolder, count: int) -> list[ParallelCall]:
    """Jobs that share the pool's shards."""
    parts = _shared(shop.starts(), count)
    return [ParallelCall(f"pool {k}", make_pool, (shop, part)) for k, part in enumerate(parts)]


def _feature_jobs(
    shop: RunFolder, count: int, device: torch.device, needs: tuple[str, ...] = ()
) -> list[ParallelCall]:
    """For each encoder, jobs that share the shards which tuning sees; one job on a GPU."""
    trained = shop.has(ENCODERS)
    count = count if device.type == "cpu" else 1
    return [
        ParallelCall(
            f"features {encoder} {k}",
            make_features,
            (shop, encoder, part, device),
            (*needs, encoder) if needs and encoder in trained else needs,
        )
        for encoder in reversed(ENCODERS)
        for k, part in enumerate(_shared(shop.tuning_starts(), count))
    ]


def _shared(starts: list[int], count: int) -> list[list[int]]:
    return [part for part in (starts[k::count] for k in range(count)) if part]
