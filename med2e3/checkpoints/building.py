"""Building a model on a device from a checkpoint; every tensor is checked by name and shape."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers.utils import logging as transformers_logging

from med2e3.checkpoints.checkpoint import Checkpoint
from med2e3.checkpoints.fitting import refusing
from med2e3.checkpoints.memory import check_memory, room_by_place
from med2e3.checkpoints.quantizing import quantize_options
from med2e3.checkpoints.reading import listed
from med2e3.checkpoints.spreading import AUTO, DISK, check_covers, check_quantized_places, expanded
from med2e3.errors import CheckpointError
from med2e3.files import TemporaryFolder

#: Tensors of another shape that an error names.
NAMED_SHAPES = 8

#: Numbers beyond those in the files that a config may ask for before it is refused unbuilt: 64 MB.
SLACK_NUMBERS = 16_000_000


def build(
    checkpoint: Checkpoint,
    device: torch.device,
    dtype: torch.dtype | None,
    quantize: str | None = None,
    device_map: str | dict[str, str] | None = None,
) -> Any:
    """Build the model in eval mode; `dtype` None keeps the stored precision.

    Tensors of the right type stay mapped from their files on the CPU. Others are converted one at a
    time, so that no second copy of the model exists. `quantize` is a name that `check_quantize`
    passed, `device_map` a map that `normalised` returned. Raises `ResourceError` before loading
    when the model does not fit, and `CheckpointError`, which lists the tensors that are missing,
    left over or of another shape.
    """
    precision = dtype or stored_dtype(checkpoint)
    if isinstance(device_map, dict):
        check_covers(device_map, checkpoint.weights)
        device_map = expanded(device_map, checkpoint.weights)
    if device_map is not None:
        check_quantized_places(device_map, quantize)
    with refusing(checkpoint.folder), quietly():
        _check_sizes(checkpoint)
        need = check_memory(checkpoint, device, precision, quantize, device_map)
    options: dict[str, Any] = {}
    if quantize is not None:
        options["quantization_config"] = quantize_options(checkpoint.weights, quantize, precision)
    if device_map is not None:
        options["device_map"] = device_map
    elif device.type != "cpu" or quantize is not None:
        options["device_map"] = {"": device}
    if device_map == AUTO:
        options["max_memory"] = room_by_place(need, quantize)
    with refusing(checkpoint.folder), _place_on_disk(device_map) as folder, quietly():
        model, report = checkpoint.model_class.from_pretrained(
            None,
            config=checkpoint.config,
            state_dict=checkpoint.weights,
            dtype=precision,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            offload_folder=None if folder is None else str(folder.path),
            **options,
        )
        _check(report, checkpoint)
        if folder is not None:
            weakref.finalize(model, folder.remove)
    return model.eval()


@contextmanager
def _place_on_disk(device_map: str | dict[str, str] | None) -> Iterator[TemporaryFolder | None]:
    """A temporary folder for the parts that a map puts on the disk; None if it puts none there.

    "auto" may put a part there that fits on no device in one piece. The folder is removed when
    loading fails.
    """
    if device_map is None or (isinstance(device_map, dict) and DISK not in device_map.values()):
        yield None
        return
    folder = TemporaryFolder()
    try:
        yield folder
    except BaseException:
        folder.remove()
        raise


def stored_dtype(checkpoint: Checkpoint) -> torch.dtype:
    """The type in which most of the weights are stored."""
    counts: dict[torch.dtype, int] = {}
    for tensor in checkpoint.weights.values():
        counts[tensor.dtype] = counts.get(tensor.dtype, 0) + tensor.numel()
    return max(counts, key=lambda dtype: counts[dtype], default=torch.float32)


def _check(report: dict[str, Any], checkpoint: Checkpoint) -> None:
    """Raise `CheckpointError` unless weights and model have the same tensors of the same shapes."""
    wrong = []
    if report["missing_keys"]:
        wrong.append(f"missing are {listed(report['missing_keys'])}")
    if report["unexpected_keys"]:
        wrong.append(f"unexpected are {listed(report['unexpected_keys'])}")
    others = sorted(report["mismatched_keys"])
    for key, found, expected in others[:NAMED_SHAPES]:
        wrong.append(f"{key} is {tuple(found)} and not {tuple(expected)}")
    if len(others) > NAMED_SHAPES:
        wrong.append(f"{len(others) - NAMED_SHAPES} more are of another shape")
    if wrong:
        raise _unfit(checkpoint, wrong)


def _check_sizes(checkpoint: Checkpoint) -> None:
    """Raise `CheckpointError` where a config asks for far larger tensors than the files hold.

    Tensors that are missing or of another shape are made anew while the model is built. The model
    is first described without memory, so that a damaged config takes none.
    """
    with torch.device("meta"):
        asked = checkpoint.model_class(checkpoint.config).state_dict()
    there = checkpoint.weights
    unlike = [k for k, one in asked.items() if k not in there or there[k].shape != one.shape]
    anew = sum(asked[key].numel() for key in unlike)
    if anew > SLACK_NUMBERS + sum(tensor.numel() for tensor in there.values()):
        raise _unfit(checkpoint, [f"missing or of another shape are {listed(unlike)}"])


def _unfit(checkpoint: Checkpoint, wrong: list[str]) -> CheckpointError:
    return CheckpointError(
        f"The weights in {checkpoint.folder} do not fit their config: {'; '.join(wrong)}. "
        "The copy is incomplete, or the parts are of different models."
    )


@contextmanager
def quietly() -> Iterator[None]:
    """Silence the progress bar and the warnings of transformers; `_check` reports what matters."""
    shown, level = (
        transformers_logging.is_progress_bar_enabled(),
        transformers_logging.get_verbosity(),
    )
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if shown:
            transformers_logging.enable_progress_bar()
