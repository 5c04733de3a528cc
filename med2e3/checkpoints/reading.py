"""Reading tensors and settings from files, as data and never as code.

Tensors are mapped from their files where possible, not copied. A file that cannot be read raises
`CheckpointError` with the way out. Knows nothing of models.
"""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from med2e3.errors import CheckpointError
from med2e3.words import some_names

Weights = dict[str, Tensor]

SINGLE_SAFETENSORS = "model.safetensors"
SAFETENSORS_INDEX = "model.safetensors.index.json"
SINGLE_PICKLE = "pytorch_model.bin"
PICKLE_INDEX = "pytorch_model.bin.index.json"

#: Where a folder may keep its weights, in the order in which they are looked for.
WEIGHT_FILES = (SINGLE_SAFETENSORS, SAFETENSORS_INDEX, SINGLE_PICKLE, PICKLE_INDEX)

#: How many keys an error message names before it only counts them.
NAMED_KEYS = 12

_FETCH_AGAIN = "Copy or download the file again."


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; raises `CheckpointError` when the file is missing or holds none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not valid JSON ({error}). {_FETCH_AGAIN}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds no JSON object, so it is no settings file of a model.")
    return value


def weight_files(folder: Path) -> tuple[Path, ...]:
    """List the files that hold the weights of a folder: one file, or all shards of an index.

    Raises `CheckpointError` when there is no such file, or a shard is missing.
    """
    for name in WEIGHT_FILES:
        path = folder / name
        if not path.is_file():
            continue
        if not name.endswith(".index.json"):
            return (path,)
        shards = _shards(path)
        missing = [shard.name for shard in shards if not shard.is_file()]
        if missing:
            raise CheckpointError(
                f"{folder} lacks {len(missing)} of the {len(shards)} files that {name} lists: "
                f"{listed(missing)}. The copy or download is incomplete; complete it."
            )
        return shards
    raise CheckpointError(
        f"{folder} has no weights; one of {', '.join(WEIGHT_FILES)} is needed there. "
        "The copy or download is incomplete, or this is not the folder of the model."
    )


def _shards(index: Path) -> tuple[Path, ...]:
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not names:
        raise CheckpointError(f"{index} has no weight_map, so it lists no shard. {_FETCH_AGAIN}")
    shards = []
    for name in sorted({str(value) for value in names.values()}):
        if Path(name).name != name:
            raise CheckpointError(
                f"{index} names {name!r}, a file outside its folder. Do not use it."
            )
        shards.append(index.parent / name)
    return tuple(shards)


def read_weights(folder: Path) -> Weights:
    """Map all tensors of a folder by name."""
    weights: Weights = {}
    for path in weight_files(folder):
        read = read_safetensors if path.suffix == ".safetensors" else read_pickle
        weights.update(read(path))
    return weights


def read_safetensors(path: Path) -> Weights:
    """Map the tensors of one safetensors file."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is no whole safetensors file ({error}): it is truncated or damaged. "
            f"{_FETCH_AGAIN}"
        ) from error


def read_pickle(path: Path) -> Weights:
    """Map the tensors of one `torch.save` file.

    Raises `CheckpointError` for a pickle that holds anything else: it could run code.
    """
    archive = zipfile.is_zipfile(path)
    try:
        with warnings.catch_warnings():  # about pickle protocols, of which the error says enough
            warnings.simplefilter("ignore", UserWarning)
            value = torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    except pickle.UnpicklingError as error:
        if _is_truncated(path, archive):
            raise _damaged(path, error) from error
        raise CheckpointError(
            f"{path} holds more than tensors, and could run code when opened. It was not opened. "
            "Use a checkpoint from a source that you trust, saved as tensors only."
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise _damaged(path, error) from error
    if not isinstance(value, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items()
    ):
        raise CheckpointError(
            f"{path} holds something else than named tensors, so it is no model's weights. "
            "Point to the folder of the model."
        )
    return dict(value)


def _is_truncated(path: Path, archive: bool) -> bool:
    """Whether a file starts as a `torch.save` archive but has lost the end that makes it one."""
    with path.open("rb") as file:
        return not archive and file.read(2) in (b"PK", b"")


def _damaged(path: Path, error: Exception) -> CheckpointError:
    first = str(error).strip().splitlines()
    return CheckpointError(
        f"{path} is truncated or damaged ({first[0] if first else type(error).__name__}). "
        f"{_FETCH_AGAIN}"
    )


def listed(names: Iterable[str]) -> str:
    """The first `NAMED_KEYS` names in order, and how many more there are, for a message."""
    return some_names(sorted(names), NAMED_KEYS)
