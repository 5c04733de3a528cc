"""Converting a model of any layout to our own format: safetensors, config, tokenizer and card.

The new folder appears whole or not at all. Knows nothing of particular layouts.
"""

from __future__ import annotations

import datetime
import errno
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from med2e3.checkpoints.building import build, quietly, stored_dtype
from med2e3.checkpoints.checkpoint import Checkpoint
from med2e3.checkpoints.hub import Hub
from med2e3.checkpoints.layouts import find_model, open_checkpoint
from med2e3.checkpoints.native import CARD_FILE
from med2e3.errors import CheckpointError, ResourceError
from med2e3.files import file_sha256
from med2e3.words import size_text

Progress = Callable[[float, str], None]

#: Bytes for config, tokenizer and card beside the weights; real ones take a few MB.
SPARE = 64_000_000


def convert(
    source: str | Path,
    destination: str | Path,
    *,
    hub: str | Path | None = None,
    dtype: torch.dtype | None = None,
    max_shard_size: str = "5GB",
    adapter: str | Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write a model in our own format into a new folder; returns it.

    `source` is a folder, a name or a hub id on this computer; `dtype` None keeps the stored
    precision; `adapter` is a folder of LoRA adapters, which are merged. Raises `CheckpointError`
    for a source that cannot be read, an adapter that does not fit or a destination that exists,
    `ResourceError` when memory or disk do not suffice.
    """
    report = progress or _silent
    places = Hub(None if hub is None else Path(hub))
    target = Path(destination)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise CheckpointError(f"{target} exists already. Give a new folder, or remove it first.")
    report(0.0, "Reading the checkpoint")
    checkpoint = open_checkpoint(find_model(source, places), places)
    target.parent.mkdir(parents=True, exist_ok=True)
    _check_disk(checkpoint, target.parent, dtype or stored_dtype(checkpoint))
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        _write(checkpoint, staging, dtype, max_shard_size, report, adapter)
        staging.chmod(0o755)
        if target.exists():
            target.rmdir()
        staging.rename(target)
    except (OSError, SafetensorError) as error:
        raise _disk_error(error, target) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    report(1.0, "Converted")
    return target


def _write(
    checkpoint: Checkpoint,
    folder: Path,
    dtype: torch.dtype | None,
    max_shard_size: str,
    report: Progress,
    adapter: str | Path | None,
) -> None:
    model = build(checkpoint, torch.device("cpu"), dtype)
    if adapter is not None:
        _merge(model, Path(adapter))
        checkpoint = replace(
            checkpoint, notes=(*checkpoint.notes, f"The adapter {Path(adapter).name} is merged.")
        )
    report(0.2, "Writing the weights")
    with quietly():
        model.save_pretrained(folder, max_shard_size=max_shard_size)
    if checkpoint.processor is not None:  # an encoder alone has none
        checkpoint.processor.save_pretrained(folder)
    report(0.7, "Hashing source and result")
    card = model_card(checkpoint, model, folder)
    (folder / CARD_FILE).write_text(card, encoding="utf-8")


def _merge(model: Any, folder: Path) -> None:
    """Adapters into the language model, in place; raises `CheckpointError`."""
    from med2e3.checkpoints.adapters import load_adapter, merge_lora

    language_model = getattr(model, "language_model", None)
    if language_model is None:
        raise CheckpointError("The model has no language model that an adapter could change.")
    load_adapter(language_model, folder)
    merge_lora(language_model)


def model_card(checkpoint: Checkpoint, model: Any, folder: Path) -> str:
    """Write the text of the model card: source, date and hashes; `folder` holds the new weights."""
    numbers = sum(p.numel() for p in model.parameters())
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    notes = "\n".join(f"- {note}" for note in checkpoint.notes) or "- none"
    written = sorted(folder.glob("*.safetensors"))
    return (
        f"---\nlicense: {checkpoint.licence or 'unknown'}\nlibrary_name: med2e3\n---\n\n"
        f"# {checkpoint.folder.name}\n\n"
        f"A {checkpoint.kind} model of {numbers:,} parameters, converted to the native format of "
        f"med2e3 on {today} from `{checkpoint.folder.name}`. Weights are unchanged but for their "
        f"names{_precision(checkpoint, model)}, and for what the notes say.\n\n"
        f"## Notes\n\n{notes}\n\n"
        f"## Source files (SHA-256)\n\n{_hashes(checkpoint.files, checkpoint.folder)}\n\n"
        f"## Files written (SHA-256)\n\n{_hashes(written, folder)}\n"
    )


def _precision(checkpoint: Checkpoint, model: Any) -> str:
    stored = stored_dtype(checkpoint)
    names = [str(dtype).removeprefix("torch.") for dtype in (stored, model.dtype)]
    return "" if names[0] == names[1] else f" and their precision ({names[0]} → {names[1]})"


def _hashes(files: Any, folder: Path) -> str:
    return "\n".join(f"- `{f.relative_to(folder).as_posix()}` {file_sha256(f)}" for f in files)


def _check_disk(checkpoint: Checkpoint, folder: Path, dtype: torch.dtype) -> None:
    need = sum(t.numel() for t in checkpoint.weights.values()) * dtype.itemsize + SPARE
    free = shutil.disk_usage(folder).free
    if need > free:
        raise ResourceError(
            f"The converted model needs {size_text(need)} in {folder}, but {size_text(free)} "
            "are free. Free some space or give a folder on another disk."
        )


def _disk_error(error: Exception, target: Path) -> Exception:
    full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
    if full:
        return ResourceError(
            f"The disk of {target} is full; nothing was left behind. Free some space, or give a "
            "folder on another disk."
        )
    return CheckpointError(f"{target} could not be written: {error}. Nothing was left behind.")


def _silent(_fraction: float, _what: str) -> None:
    """Reports to nobody."""
