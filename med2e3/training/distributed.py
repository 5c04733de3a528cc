"""The processes of a run and what they compute with: one process, several, mixed precision.

Everything that depends on how many processes there are goes through here, on accelerate: how it
was launched (`accelerate launch`, `torchrun`, `--processes`, or not at all) decides, and
accelerate's own config file may shard the model (FSDP, DeepSpeed). Knows nothing of what is
trained.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType

from med2e3.errors import InputError
from med2e3.words import counted

PRECISIONS = ("no", "bf16", "fp16")

#: How long processes wait for another one: it may draw phantoms or make features alone.
TIMEOUT = timedelta(hours=24)

#: Kinds of accelerate under which no process holds the whole model.
SHARDED = (DistributedType.FSDP, DistributedType.DEEPSPEED)


@dataclass(frozen=True)
class Compute:
    """What to compute with; `cpu` keeps to the CPU where there is something faster."""

    mixed_precision: str = "no"
    cpu: bool = True

    def __post_init__(self) -> None:
        if self.mixed_precision not in PRECISIONS:
            raise InputError(
                f"There is no mixed precision “{self.mixed_precision}”. Choose one of: "
                f"{', '.join(PRECISIONS)}."
            )


class Distributed:
    """The processes of the run, as one of them sees them."""

    def __init__(self, compute: Compute | None = None) -> None:
        self.compute = compute or Compute()
        state = AcceleratorState._shared_state
        if state and state.get("_mixed_precision") != self.compute.mixed_precision:
            AcceleratorState._reset_state()  # an earlier run of this process had another one
        self.accelerator = Accelerator(
            cpu=self.compute.cpu,
            mixed_precision=self.compute.mixed_precision,
            kwargs_handlers=[InitProcessGroupKwargs(timeout=TIMEOUT)],
        )

    @property
    def processes(self) -> int:
        """Number of processes."""
        return int(self.accelerator.num_processes)

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""
        return int(self.accelerator.process_index)

    @property
    def is_main_process(self) -> bool:
        """Whether this is the process that writes files and shows progress."""
        return self.rank == 0

    @property
    def sharded(self) -> bool:
        """Whether each process holds only a part of the model."""
        return self.accelerator.distributed_type in SHARDED

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return torch.device(self.accelerator.device)

    def share(self, parts: int, what: str) -> range:
        """Indices of a step's micro-batches that this process computes, as many as any other.

        Raises `InputError` when they cannot be shared evenly.
        """
        if parts % self.processes:
            raise InputError(
                f"A step of {what} has {counted(parts, 'part')}, which "
                f"{self.processes} processes cannot share evenly. Set `parts` in the recipe to a "
                f"multiple of {self.processes}, or start fewer processes."
            )
        return range(self.rank, parts, self.processes)

    def total(self, values: Sequence[float]) -> list[float]:
        """Each number summed over all processes."""
        if self.processes == 1:
            return list(values)
        own = torch.tensor(values, device=self.device)
        return [float(v) for v in self.accelerator.reduce(own, "sum").tolist()]

    @contextmanager
    def main_process_first(self) -> Iterator[None]:
        """Runs the body in the main process, and in the others once it has ended there."""
        if not self.is_main_process:
            self.accelerator.wait_for_everyone()
        yield
        if self.is_main_process:
            self.accelerator.wait_for_everyone()

    def prepare(self, module: Any, optimizer: Any, *, uses_all_parameters: bool) -> tuple[Any, Any]:
        """Module and optimizer wrapped for this run.

        `uses_all_parameters` says that every trained parameter takes part in every loss.
        """
        kwargs = DistributedDataParallelKwargs(find_unused_parameters=not uses_all_parameters)
        self.accelerator.ddp_handler = kwargs
        if self.accelerator.distributed_type == DistributedType.DEEPSPEED:
            # DeepSpeed wants a number where no data loader tells it; it only prints rates from it.
            config = self.accelerator.state.deepspeed_plugin.deepspeed_config
            if config.get("train_micro_batch_size_per_gpu", "auto") == "auto":
                config["train_micro_batch_size_per_gpu"] = 1
        module, optimizer = self.accelerator.prepare(module, optimizer)
        return module, optimizer

    def free_memory(self) -> None:
        """Forgets what was prepared, so that its memory can be freed."""
        self.accelerator.free_memory()


def has_cuda() -> bool:
    """Whether phantoms can be trained on elsewhere than the CPU: no other device was ever tried."""
    return torch.cuda.is_available()


def is_launched() -> bool:
    """Whether this process is one of several that a launcher started."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_rank_zero() -> bool:
    """Whether this is the main process of its launch, told before `Distributed` is made."""
    return int(os.environ.get("RANK", "0")) == 0
