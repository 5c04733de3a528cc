"""Numbers of a model that are no numbers are an error, and never an answer."""

from __future__ import annotations

from typing import Any

import torch

from med2e3.errors import CheckpointError


def check_finite(values: Any, what: str) -> None:
    """Raise `CheckpointError` unless all values, a tensor or an array, are finite.

    `what` names them in the plural, for the sentence: "logits".
    """
    if not bool(torch.isfinite(torch.as_tensor(values)).all()):
        raise CheckpointError(
            f"The model's {what} are not all finite numbers, so it gives no answer. Its weights "
            "are damaged, or too large for this precision: load it in float32 or bfloat16; if that "
            "does not help, copy or download the model again."
        )
