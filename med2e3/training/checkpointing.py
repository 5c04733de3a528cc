"""Checkpoints of a stage: what it trains, the optimizer's state, and the step.

Nothing else is needed to go on as if never stopped, for data, augmentation and dropout follow from
seed and step. Knows nothing of losses.
"""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from med2e3.errors import CheckpointError
from med2e3.files import whole_file
from med2e3.training.distributed import Distributed

#: What reading a file that is no checkpoint, or one of something else, may raise.
_DAMAGE = (RuntimeError, ValueError, KeyError, TypeError, EOFError, OSError, UnpicklingError)

#: Prefix of the stage's module in the model that accelerate wraps.
PREFIX = "module."


def trained_state(module: nn.Module) -> dict[str, Tensor]:
    """Tensors of a module without its frozen parameters, which its maker can make again."""
    frozen = frozen_names(module)
    return {name: value for name, value in module.state_dict().items() if name not in frozen}


def frozen_names(module: nn.Module) -> set[str]:
    """Parameters that are not trained, tied ones under each of their names."""
    named = module.named_parameters(remove_duplicate=False)
    return {name for name, parameter in named if not parameter.requires_grad}


def save(path: Path, module: nn.Module, optimizer: Any, step: int) -> None:
    """A checkpoint, complete or not at all."""
    state = {"module": trained_state(module), "optimizer": optimizer.state_dict(), "step": step}
    _write(path, state)


def _write(path: Path, state: dict[str, Any]) -> None:
    # To a stream: given a path, torch writes its name, which is another for each draft, into it.
    with whole_file(path, durable=True) as draft, draft.open("wb") as stream:
        torch.save(state, stream)


def restore(path: Path, module: nn.Module, optimizer: Any) -> int:
    """The step that a checkpoint was written at, after loading it; 0 where there is none.

    Raises `CheckpointError` for a checkpoint that is damaged, or of another recipe.
    """
    if not path.is_file():
        return 0
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = module.load_state_dict(state["module"], strict=False)
        missing = set(found.missing_keys) - frozen_names(module)
        if missing or found.unexpected_keys:
            raise ValueError(f"{sorted(missing | set(found.unexpected_keys))[:3]} differ")
        optimizer.load_state_dict(state["optimizer"])
        return int(state["step"])
    except _DAMAGE as error:
        first = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise CheckpointError(
            f"{path} is damaged, or of another recipe ({first}). "
            "Move it away to start the stage anew, or resume with the recipe that made it."
        ) from error


def save_sharded(path: Path, distributed: Distributed, model: nn.Module, step: int) -> None:
    """A checkpoint of a model that no process holds whole, by accelerate; every process calls it.

    The trained tensors are gathered beside it, in the form that `save` writes.
    """
    distributed.accelerator.save_state(str(path.with_suffix(".shards")))
    gathered = _gathered(distributed, model)
    if distributed.is_main_process:
        _write(path, {"module": gathered, "optimizer": None, "step": step})
    distributed.accelerator.wait_for_everyone()


def _gathered(distributed: Distributed, model: nn.Module) -> dict[str, Tensor]:
    """What is trained of a model that no process holds whole; every process calls it."""
    found = distributed.accelerator.get_state_dict(model)
    frozen = {n.removeprefix(PREFIX) for n in frozen_names(model)}
    names = {n.removeprefix(PREFIX): v for n, v in found.items()}
    return {name: value for name, value in names.items() if name not in frozen}


def save_weights(
    path: Path, distributed: Distributed, model: nn.Module, module: nn.Module, step: int
) -> None:
    """What is trained, without the optimizer: to be kept, not to go on from; every process calls.

    `model` is `module` as accelerate wraps it.
    """
    held = _gathered(distributed, model) if distributed.sharded else trained_state(module)
    if distributed.is_main_process:
        _write(path, {"module": held, "optimizer": None, "step": step})


def read_weights(path: Path) -> dict[str, Tensor]:
    """The trained tensors of a checkpoint, or of what `save_weights` wrote, on the CPU.

    Raises `CheckpointError` for a damaged file.
    """
    try:
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)["module"]
    except _DAMAGE as error:
        raise CheckpointError(
            f"{path} is damaged ({type(error).__name__}). Run the stage again in another folder."
        ) from error
    return state


def restore_sharded(path: Path, distributed: Distributed) -> int:
    """As `restore`, for what `save_sharded` wrote; called once accelerate wraps the model."""
    shards = path.with_suffix(".shards")
    if not (path.is_file() and shards.is_dir()):
        return 0
    distributed.accelerator.load_state(str(shards))
    return int(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["step"])
