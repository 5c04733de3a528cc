"""Whether the parts of a model folder can belong together, before anything is built of them.

Damaged files make the libraries that read them raise anything at all; `refusing` makes one error of
it. Knows nothing of devices.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from med2e3.checkpoints.checkpoint import Checkpoint
from med2e3.errors import CheckpointError, Med2E3Error
from med2e3.model.inert import cause_of

#: No size of a model here is larger: 30 times the largest vocabulary, 80 times the longest context.
#: Tables of positions are computed, not read, so a damaged size would fill the memory.
LARGEST_SIZE = 10_000_000

#: More layers than this, and than there are tensors, are no model: they would be built for hours.
MANY_LAYERS = 200

#: What a processor must state as the config does.
_SHARED = ("num_visual_tokens", "image_token_id")

#: What a setting may be whose class declares a plain type.
_TYPES: dict[str, type | tuple[type, ...]] = {
    "int": int, "float": (int, float), "str": str, "bool": bool
}  # fmt: skip


@contextmanager
def refusing(folder: Path) -> Iterator[None]:
    """Turn what libraries raise for damaged files of `folder` into `CheckpointError`.

    Errors of our tree, of the memory and of a GPU pass as they are.
    """
    try:
        yield
    except (Med2E3Error, MemoryError, torch.OutOfMemoryError, torch.AcceleratorError):
        raise
    except Exception as error:  # config, tokenizer and weights come from anywhere
        raise CheckpointError(
            f"{folder} holds no whole model: {cause_of(error)}. Its settings, its tokenizer or its "
            "weights are damaged. Convert, copy or download the model again."
        ) from error


def check_parts(checkpoint: Checkpoint) -> None:
    """Raise `CheckpointError` where config, processor and weights cannot be of one model."""
    path = checkpoint.folder / "config.json"
    _check_types(checkpoint.config, path)
    _check_sizes(checkpoint.config.to_dict(), len(checkpoint.weights), path)
    processor = checkpoint.processor
    for name in _SHARED:
        said, wanted = getattr(processor, name, None), getattr(checkpoint.config, name, None)
        if said is not None and wanted is not None and said != wanted:
            raise CheckpointError(
                f"{checkpoint.folder / 'processor_config.json'} says {name} = {said!r}, and "
                f"{path.name} {wanted!r}. The files are of different models."
            )
    _check_words(processor, checkpoint)


def _check_types(config: Any, path: Path) -> None:
    """Raise `CheckpointError` for a setting of another type; the config classes take any."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name, None)
        if dataclasses.is_dataclass(value):
            _check_types(value, path)
        kind = getattr(field.type, "__name__", str(field.type))
        kinds = _TYPES.get(kind)
        if kinds is not None and not isinstance(value, kinds):
            raise CheckpointError(
                f"{path} says {field.name} = {value!r}, which should be a {kind}. The file is "
                "damaged; copy it again."
            )


def _check_sizes(settings: Mapping[str, Any], tensors: int, path: Path) -> None:
    waiting: list[tuple[str, Any]] = [*settings.items()]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, Mapping):
            waiting.extend((str(key), inner) for key, inner in value.items())
        elif isinstance(value, list | tuple):
            waiting.extend((name, inner) for inner in value)
        elif isinstance(value, int | float) and not abs(value) <= LARGEST_SIZE:
            raise CheckpointError(
                f"{path} says {name} = {value}; no size of a model is larger than "
                f"{LARGEST_SIZE:,}. The file is damaged; copy it again."
            )
        elif name == "num_hidden_layers" and value > max(tensors, MANY_LAYERS):
            raise CheckpointError(
                f"{path} says {name} = {value}, but the weights are {tensors} tensors in all. "
                "The file is damaged, or of another model; copy it again."
            )


def _check_words(processor: Any, checkpoint: Checkpoint) -> None:
    """Raise `CheckpointError` for a tokenizer with more tokens than the model has rows."""
    config = checkpoint.config
    tokenizer = getattr(processor, "tokenizer", processor)
    for words, sizes in (
        (tokenizer, getattr(config, "text_config", None)),
        (getattr(processor, "question_words", None), getattr(config, "text_encoder_config", None)),
    ):
        if words is None or sizes is None:
            continue
        last = max(words.get_vocab().values(), default=-1)
        if last >= sizes.vocab_size:
            raise CheckpointError(
                f"The tokenizer in {checkpoint.folder} has a token of id {last}, but the model has "
                f"{sizes.vocab_size} rows for tokens. The files are of different models."
            )
