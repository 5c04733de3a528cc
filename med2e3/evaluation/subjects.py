"""From a model, or its name, to what an evaluation needs of it. Knows nothing of phantoms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from med2e3.engine import load
from med2e3.errors import CheckpointError
from med2e3.evaluation.examining import Subject
from med2e3.model import Med2E3ForConditionalGeneration, Med2E3Processor
from med2e3.volume import Window

if TYPE_CHECKING:
    from med2e3.engine import Model


def subject_of(model: str | Model) -> Subject:
    """A model by name or folder, or one that the engine has loaded.

    Raises `CheckpointError` for a kind that phantoms cannot be asked about.
    """
    loaded = load(model) if isinstance(model, str) else model
    network = getattr(loaded.backend, "model", None)
    processor = loaded.backend.processor
    if not isinstance(network, Med2E3ForConditionalGeneration) or not isinstance(
        processor, Med2E3Processor
    ):
        raise CheckpointError(
            f"The model “{loaded.info.name}” is a {loaded.info.kind}; phantoms are for Med-2E3 "
            "models. Name one of those."
        )
    window = network.config.default_window
    return Subject(network, processor, Window(*window) if window else None, loaded.info.name)
