"""From a checkpoint's parts to a model on a device, every tensor checked by name and shape."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers.utils import logging as transformers_logging

from med2e3.checkpoints.checkpoint import Checkpoint
from med2e3.checkpoints.memory import check_memory
from med2e3.checkpoints.reading import listed
from med2e3.errors import CheckpointError


def build(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype | None) -> Any:
    """The model in eval mode; `dtype` None keeps the stored one.

    Tensors of the right type on the CPU stay mapped from their files; others are converted one at
    a time, so that no second copy of the model exists. Raises `ResourceError` before loading when
    it does not fit, `CheckpointError` listing what is missing, left over, or of another shape.
    """
    check_memory(checkpoint, device, dtype or stored_dtype(checkpoint))
    options = {} if device.type == "cpu" else {"device_map": {"": device}}
    with quietly():
        model, report = checkpoint.model_class.from_pretrained(
            None,
            config=checkpoint.config,
            state_dict=checkpoint.weights,
            dtype=dtype or stored_dtype(checkpoint),
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **options,
        )
    _check(report, checkpoint)
    return model.eval()


def stored_dtype(checkpoint: Checkpoint) -> torch.dtype:
    """The type that most numbers are stored in."""
    counts: dict[torch.dtype, int] = {}
    for tensor in checkpoint.weights.values():
        counts[tensor.dtype] = counts.get(tensor.dtype, 0) + tensor.numel()
    return max(counts, key=lambda dtype: counts[dtype], default=torch.float32)


def _check(report: dict[str, Any], checkpoint: Checkpoint) -> None:
    """Raises `CheckpointError` unless every tensor had its place and every place its tensor."""
    wrong = []
    if report["missing_keys"]:
        wrong.append(f"missing are {listed(report['missing_keys'])}")
    if report["unexpected_keys"]:
        wrong.append(f"unexpected are {listed(report['unexpected_keys'])}")
    for key, found, expected in sorted(report["mismatched_keys"]):
        wrong.append(f"{key} is {tuple(found)} and not {tuple(expected)}")
    if wrong:
        raise CheckpointError(
            f"The weights in {checkpoint.folder} do not fit their config: {'; '.join(wrong)}. "
            "The copy is incomplete, or the parts are of different models."
        )


@contextmanager
def quietly() -> Iterator[None]:
    """Without transformers' own progress bar and warnings: `_check` says what matters."""
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
