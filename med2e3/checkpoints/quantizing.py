"""Language models in 8 or 4 bits through bitsandbytes, an optional dependency.

8 bits: LLM.int8 (arXiv 2208.07339), one scale an output row. 4 bits: NF4 (arXiv 2305.14314), one
scale every 64 numbers. Only the linear layers of the decoder are quantised: vision towers,
connectors, slice scores, embeddings and the output layer keep their precision.
"""

from __future__ import annotations

import importlib
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from med2e3.errors import ResourceError
from med2e3.model.packed_linear import PACKED

#: Bits of a weight, by the names that the command line uses.
QUANTIZATIONS = {"8bit": 8, "4bit": 4}

#: How each is called in a sentence.
METHODS = {"8bit": "8 bits (LLM.int8)", "4bit": "4 bits (NF4)"}

#: Numbers that share one 4-bit scale.
BLOCK = 64

_LINEAR = re.compile(r"language_model\..*layers\.\d+\..*\.weight")

_WAY_OUT = "or load without quantize (dtype bfloat16 takes half of float32)"


def check_quantize(quantize: str | None, device: torch.device) -> str | None:
    """Return `name` if this computer can quantise so; raises `ResourceError` if it cannot."""
    if quantize is None:
        return None
    if quantize in PACKED:
        if device.type != "cpu":
            raise ResourceError(
                f"Weights in {quantize} are multiplied by a CPU alone, and the model goes to "
                f"{device}. Choose device cpu, {' or '.join(QUANTIZATIONS)}, {_WAY_OUT}."
            )
        return quantize
    if quantize not in QUANTIZATIONS:
        raise ResourceError(
            f"There is no quantisation {quantize!r}; choose one of "
            f"{', '.join([*QUANTIZATIONS, *PACKED])}."
        )
    try:
        library = _library()
    except (ImportError, OSError, RuntimeError) as error:
        raise ResourceError(
            f"quantize={quantize!r} needs the library bitsandbytes, which cannot be used here "
            f"({error}). Install it with `pip install bitsandbytes`, {_WAY_OUT}."
        ) from error
    supported = sorted(library.supported_torch_devices)
    if device.type not in supported:
        raise ResourceError(
            f"bitsandbytes does not quantise on {device}: it supports {', '.join(supported)}. "
            f"Choose another device, {_WAY_OUT}."
        )
    return quantize


def quantize_options(names: Mapping[str, Tensor], quantize: str, dtype: torch.dtype) -> Any:
    """The `quantization_config` of `from_pretrained` for a model whose tensors have these names."""
    from transformers import BitsAndBytesConfig

    kept = sorted({name.split(".")[0] for name in names} - {"language_model"})
    kept += [
        name.removesuffix(".weight")
        for name, tensor in names.items()
        if _LINEAR.fullmatch(name) and not is_quantized(name, tensor, quantize)
    ]
    return BitsAndBytesConfig(
        load_in_8bit=quantize == "8bit",
        load_in_4bit=quantize == "4bit",
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=[*kept, "lm_head"],
    )


def is_quantized(name: str, tensor: Tensor, quantize: str) -> bool:
    """Whether a tensor is quantised: a matrix of the decoder, for 4 bits with rows of blocks."""
    if tensor.ndim != 2 or not _LINEAR.fullmatch(name):
        return False
    return quantize == "8bit" or tensor.shape[1] % BLOCK == 0


def weight_bytes(name: str, tensor: Tensor, dtype: torch.dtype, quantize: str | None) -> int:
    """Bytes of one tensor once it is loaded, with the scales if it is quantised."""
    if quantize is None or not is_quantized(name, tensor, quantize):
        return tensor.numel() * dtype.itemsize
    if quantize == "8bit":
        return tensor.numel() + 4 * len(tensor)
    return tensor.numel() // 2 + 4 * tensor.numel() // BLOCK


def quantize_note(quantize: str, dtype: torch.dtype) -> str:
    """Tell the user in a sentence what was quantised and how."""
    precision = str(dtype).removeprefix("torch.")
    if quantize in PACKED:
        return (
            f"The language model's linear layers are held in {quantize} by torch's own kernels; "
            f"everything else in {precision}. Answers can differ, slice scores do not."
        )
    return (
        f"The language model's linear layers are held in {METHODS[quantize]} by bitsandbytes "
        f"{_library().__version__}; everything else in {precision}. Answers can differ from the "
        "unquantised model's."
    )


def _library() -> Any:
    with _without_remote_kernels():
        library = importlib.import_module("bitsandbytes")
    # It logs a line at each product of another precision than float16.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    return library


@contextmanager
def _without_remote_kernels() -> Iterator[None]:
    """Hide the package `kernels` from bitsandbytes while bitsandbytes is imported.

    On some CPUs bitsandbytes would fetch code through `kernels` and run it, but loading a model
    must open no connection.
    """
    logger = logging.getLogger("bitsandbytes")
    hidden = "bitsandbytes" not in sys.modules
    before, level = sys.modules.get("kernels"), logger.level
    if hidden:
        sys.modules["kernels"] = None  # type: ignore[assignment]
        logger.setLevel(logging.ERROR)  # it would report that as a failure
    try:
        yield
    finally:
        if hidden:
            logger.setLevel(level)
            del sys.modules["kernels"]
            if before is not None:
                sys.modules["kernels"] = before
