"""Linear layers of a language model on a CPU, as fast as their weights can be read for one token.

bfloat16: torch's product of a matrix with a vector reads weights at the speed of memory; its
product of two matrices, for a single row, does not. Both add in float32. int8 and int4: weights
alone are in few bits, by torch's own kernels; products are of bfloat16 rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

#: Bits of a weight, by the names that users give.
PACKED = {"int8": 8, "int4": 4}

#: Up to so many rows the int8 kernel takes less time than weights made bfloat16 again.
FEW_ROWS = 6

#: Weights that are made bfloat16 at once, for many rows: a few MB, which stay in the cache.
TILE = 2_000_000

#: Numbers that share one scale of int4, the most that divides a row.
GROUPS = (64, 32)

#: Outputs of an int4 layer are a multiple of this.
INT4_OUTPUTS = 16


class RowLinear(nn.Linear):
    """A linear layer in bfloat16, without a bias, that multiplies a single row as a vector."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Rows (…, K) → (…, N)."""
        if input.numel() != self.in_features or torch.is_grad_enabled():
            return super().forward(input)
        row: Tensor = torch.mv(self.weight, input.reshape(-1))
        return row.reshape(*input.shape[:-1], self.out_features)


class _Packed(nn.Module):
    """What a linear layer with packed weights keeps of the layer that it was made from."""

    weight: Tensor
    scales: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach())

    def _finished(self, out: Tensor, rows: Tensor) -> Tensor:
        """Products (M, N) with the bias, in shape and type of `rows` (…, K)."""
        shaped = out.reshape(*rows.shape[:-1], self.out_features).to(rows.dtype)
        return shaped if self.bias is None else shaped + self.bias.to(rows.dtype)


class Int8Linear(_Packed):
    """Weights (N, K) in int8, one scale an output: the largest of a row is 127."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        weight = linear.weight.detach().float()
        scales = weight.abs().amax(1).clamp_min(torch.finfo(torch.float32).tiny) / 127
        scales = scales.bfloat16()
        self.register_buffer("weight", _rounded(weight / scales.float()[:, None], 127))
        self.register_buffer("scales", scales)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Rows (…, K) → (…, N), in the type of the rows."""
        rows = input.reshape(-1, self.in_features).bfloat16()
        few = len(rows) <= FEW_ROWS
        out = torch._weight_int8pack_mm(rows, self.weight, self.scales) if few else self._many(rows)
        return self._finished(out, input)

    def _many(self, rows: Tensor) -> Tensor:
        """Products with weights made bfloat16 again, tile by tile, which int8 holds exactly."""
        out = rows.new_empty((len(rows), self.out_features))
        step = max(1, TILE // self.in_features)
        tile = rows.new_empty((min(step, self.out_features), self.in_features))
        for first in range(0, self.out_features, step):
            part = self.weight[first : first + step]
            held = tile[: len(part)]
            held.copy_(part)
            out[:, first : first + step] = rows @ held.T
        return out.mul_(self.scales)


class Int4Linear(_Packed):
    """Weights (N, K) in 4 bits, with a scale and a smallest value for every group of a row."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        self.group = next(g for g in GROUPS if linear.in_features % g == 0)
        weight = linear.weight.detach().float()
        groups = weight.reshape(self.out_features, -1, self.group)
        low, high = groups.amin(2), groups.amax(2)
        scales = ((high - low) / 15).clamp_min(1e-6).bfloat16()
        # The kernel computes (q − 8) · scale + zero.
        zeros = (low + 8 * scales.float()).bfloat16()
        held = (groups - zeros.float()[..., None]) / scales.float()[..., None] + 8
        whole = held.round().clamp(0, 15).to(torch.int32).reshape(weight.shape)
        self.register_buffer("weight", torch._convert_weight_to_int4pack_for_cpu(whole, 2))
        self.register_buffer(
            "scales", torch.stack([scales, zeros], dim=2).transpose(0, 1).contiguous()
        )

    @staticmethod
    def fits(linear: nn.Linear) -> bool:
        """Whether the kernel takes matrices of this shape."""
        return linear.in_features % GROUPS[-1] == 0 and linear.out_features % INT4_OUTPUTS == 0

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Rows (…, K) → (…, N), in the type of the rows."""
        rows = input.reshape(-1, self.in_features).bfloat16()
        out = torch._weight_int4pack_mm_for_cpu(rows, self.weight, self.group, self.scales)
        return self._finished(out, input)


def pack_decoder(language_model: nn.Module, weights: str) -> int:
    """Put the decoder's linear layers into few bits, one after the other; how many were.

    `weights` is a name of `PACKED`. Embeddings and the output layer keep their precision.
    """
    packed = 0
    for parent in list(language_model.modules()):
        for name, layer in list(parent.named_children()):
            if not isinstance(layer, nn.Linear) or name == "lm_head":
                continue
            if weights == "int8":
                setattr(parent, name, Int8Linear(layer))
            elif Int4Linear.fits(layer):
                setattr(parent, name, Int4Linear(layer))
            else:
                continue
            packed += 1
    return packed


def quicken_rows(language_model: nn.Module) -> None:
    """Have the linear layers of a bfloat16 model on the CPU multiply single rows as vectors.

    Those with a bias stay, which would be added after a rounding.
    """
    layers: list[Any] = [layer for layer in language_model.modules() if type(layer) is nn.Linear]
    for layer in layers:
        if layer.bias is None and _quick(layer.weight):
            layer.__class__ = RowLinear


@contextmanager
def plain_rows(language_model: nn.Module) -> Iterator[None]:
    """While it lasts, single rows are multiplied as torch does by itself: to measure beside it."""
    layers: list[Any] = [layer for layer in language_model.modules() if type(layer) is RowLinear]
    for layer in layers:
        layer.__class__ = nn.Linear
    try:
        yield
    finally:
        for layer in layers:
            layer.__class__ = RowLinear


def packed_bytes(module: nn.Module) -> int:
    """Bytes of weights in few bits, with their scales, which are no parameters."""
    layers = (m for m in module.modules() if isinstance(m, Int8Linear | Int4Linear))
    return sum(buffer.nbytes for layer in layers for buffer in layer.buffers(recurse=False))


def _quick(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and weight.dtype == torch.bfloat16


def _rounded(values: Tensor, limit: int) -> Tensor:
    return values.round().clamp(-limit, limit).to(torch.int8)
