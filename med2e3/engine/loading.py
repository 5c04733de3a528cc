"""Loads a model by name, folder or hub id onto a device. Never opens a network connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from med2e3.checkpoints import Checkpoint, Hub, build, find_model, open_checkpoint
from med2e3.checkpoints.fitting import refusing
from med2e3.checkpoints.hashes import weights_hash
from med2e3.checkpoints.layouts import DEMO_NAME
from med2e3.checkpoints.quantizing import check_quantize, quantize_note
from med2e3.checkpoints.spreading import (
    DISK,
    DeviceMap,
    computing,
    described,
    normalised,
    places,
)
from med2e3.engine.backends.m3d_lamed import M3DLaMedBackend
from med2e3.engine.backends.med2e3 import Med2E3Backend
from med2e3.engine.info import (
    DEMO_NOTICE,
    RESEARCH_NOTICE,
    ModelInfo,
    Progress,
    ready_questions,
)
from med2e3.engine.model import Model
from med2e3.engine.token_graph import graphs_of
from med2e3.errors import CheckpointError, ResourceError
from med2e3.geometry import Plane
from med2e3.model.packed_linear import PACKED, pack_decoder, quicken_rows
from med2e3.model.placing import device_of
from med2e3.volume import Window

#: The backend of each kind of model.
BACKENDS: dict[str, Any] = {"med2e3": Med2E3Backend, "m3d-lamed": M3DLaMedBackend}

#: Precisions by the names that the command line uses.
DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def load(
    name_or_path: str | Path = DEMO_NAME,
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    quantize: str | None = None,
    device_map: str | DeviceMap | None = None,
    hub: str | Path | None = None,
    progress: Progress | None = None,
) -> Model:
    """Load a model that is on this computer.

    Device None is CUDA where there is one; dtype None is bfloat16 there and float32 on a CPU. There
    bfloat16 halves the memory, and on processors with bfloat16 instructions reads a volume in less
    than half the time, but moves slice scores by up to 0.02, beyond the recorded tolerance.
    `quantize` shrinks the language model's weights: "8bit" or "4bit" through bitsandbytes (the
    extra `quantize`), "int8" or "int4" by torch's own kernels on a CPU; slice scores stay.
    `device_map` spreads the model in place of `device`: "auto" over GPUs and main memory, or a dict
    of module names to devices ("cuda:0", "cpu", "disk"). `hub` is a folder of `owner/name` folders
    with what a published checkpoint leaves out. Where the model lies whole on one CUDA device, a
    token is one CUDA graph (`graphs` of the model set to None: none). Raises `CheckpointError`, or
    `ResourceError` before loading when the model does not fit.
    """
    report = progress or (lambda fraction, what: None)
    published = Hub(None if hub is None else Path(hub))
    report(0.0, "Reading the checkpoint")
    folder = find_model(name_or_path, published)
    checkpoint = open_checkpoint(folder, published)
    if checkpoint.kind not in BACKENDS:
        raise CheckpointError(
            f"{folder} is a model of kind {checkpoint.kind!r}, which does not answer questions."
        )
    spread, where = choose_places(device, device_map)
    precision = choose_dtype(dtype, where)
    check_quantize(quantize, where)
    packed = check_packed(quantize, spread)
    report(0.1, "Loading the weights")
    network = build(checkpoint, where, precision, None if packed else quantize, spread)
    if quantize:
        checkpoint = checkpoint.with_notes(quantize_note(quantize, precision))
    digest = weights_hash(
        checkpoint.files, checkpoint.folder, lambda f, what: report(0.5 + f / 2, what)
    )
    with refusing(folder):
        backend = BACKENDS[checkpoint.kind](network, checkpoint.processor)
        _check_tokens(backend, folder)
        info = describe(str(name_or_path), checkpoint, backend, digest, quantize or "")
    report(1.0, "Loaded")
    return fitted(Model(info, backend), packed, where)


def check_packed(quantize: str | None, spread: Any) -> str | None:
    """`quantize` where it is one of torch's own kinds, which need the model in one place."""
    if quantize not in PACKED:
        return None
    if spread is not None:
        raise ResourceError(
            f"Weights in {quantize} need the model on the CPU, and a device map spreads it. Leave "
            "one of them out."
        )
    return quantize


def fitted(model: Model, packed: str | None, device: torch.device) -> Model:
    """The model with what makes tokens quick on its device, and weights in few bits if asked."""
    network = model.backend.network
    if packed is not None:
        pack_decoder(network.language_model, packed)
    quicken_rows(network.language_model)
    model.graphs = graphs_of(network, device)
    return model


def _check_tokens(backend: Any, folder: Path) -> None:
    """Tokenise a question, so that damaged settings of a tokenizer are said before one is asked."""
    backend.tokenise([("Is there a nodule?", None)])
    if backend.processor.tokenizer.eos_token_id is None:
        raise CheckpointError(
            f"The tokenizer in {folder} names no token that ends an answer (eos_token in "
            "tokenizer_config.json). Copy its files again."
        )


def describe(
    name: str, checkpoint: Checkpoint, backend: Any, digest: str, quantize: str = ""
) -> ModelInfo:
    """The facts about a model that was just built."""
    config, network = checkpoint.config, backend.network
    is_demo = bool(getattr(config, "demo", False)) or name == DEMO_NAME
    window = getattr(config, "default_window", None)
    plane = getattr(config, "default_plane", "")
    return ModelInfo(
        name=name if name == DEMO_NAME else checkpoint.folder.name,
        kind=checkpoint.kind,
        is_demo=is_demo,
        notice=DEMO_NOTICE if is_demo else RESEARCH_NOTICE,
        parameters=network.num_parameters(),
        device=described(network, device_of(network)),
        dtype=str(network.dtype).removeprefix("torch."),
        has_scores=backend.has_scores,
        grid_shape=config.grid_shape,
        default_plane=Plane(plane) if plane else None,
        default_window=None if window is None else Window(*map(float, window)),
        path=str(checkpoint.folder),
        weights_sha256=digest,
        licence=checkpoint.licence,
        notes=(f"Loaded from {checkpoint.folder}.", *checkpoint.notes),
        questions=ready_questions(config),
        quantize=quantize,
        history_turns=int(getattr(config, "history_turns", 0)),
    )


def choose_places(
    device: str | torch.device | None, device_map: str | DeviceMap | None
) -> tuple[str | dict[str, str] | None, torch.device]:
    """The device map with devices by name, and the device that inputs go to.

    Raises `ResourceError` when both are given, or a device is not there.
    """
    spread = normalised(device_map)
    if spread is None:
        return None, choose_device(device)
    if device is not None:
        raise ResourceError(
            f"Both a device ({device}) and a device map were given; give one of them."
        )
    for place in places(spread):
        if place != DISK:
            choose_device(place)
    return spread, computing(spread)


def choose_device(device: str | torch.device | None) -> torch.device:
    """The device to use; raises `ResourceError` when the named one is not there."""
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ResourceError(f"There is no device {device!r}; use cpu, cuda or cuda:0.") from error
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ResourceError(
            f"The device {device} is not there: this computer shows {torch.cuda.device_count()} "
            "CUDA devices to this program. Use cpu, or install the driver and a torch with CUDA."
        )
    return chosen


def choose_dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """The precision to use; raises `ResourceError` for an unknown name."""
    if dtype is None:
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype not in DTYPES:
        raise ResourceError(f"There is no precision {dtype!r}; choose one of {', '.join(DTYPES)}.")
    return DTYPES[dtype]
