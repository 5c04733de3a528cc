"""Linear layers in few bits, and single rows in bfloat16, beside plain products."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from med2e3.model.packed_linear import (
    FEW_ROWS,
    Int4Linear,
    Int8Linear,
    RowLinear,
    pack_decoder,
    packed_bytes,
    quicken_rows,
)


def _linear(inputs: int = 128, outputs: int = 96, bias: bool = True) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(inputs, outputs, bias=bias)


def _rows(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def test_a_single_row_in_bfloat16_is_as_near_the_exact_product_as_torchs_own() -> None:
    plain = _linear(768, 512, bias=False).bfloat16()
    quick = _linear(768, 512, bias=False).bfloat16()
    quick.__class__ = RowLinear
    row = _rows(1, 1, 768).bfloat16()
    exact = row.double() @ plain.weight.double().T
    errors = [float((f(row).double() - exact).abs().max()) for f in (quick, plain)]
    assert quick(row).shape == (1, 1, 512)
    assert errors[0] <= 1.01 * errors[1]
    many = _rows(1, 5, 768).bfloat16()
    assert torch.equal(quick(many), plain(many))


@torch.inference_mode()
@pytest.mark.parametrize("count", [1, FEW_ROWS, FEW_ROWS + 1, 40])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_int8_is_the_product_with_its_own_rounded_weights(count: int, dtype: torch.dtype) -> None:
    linear = _linear()
    packed, rows = Int8Linear(linear), _rows(1, count, 128).to(dtype)
    held = packed.weight.float() * packed.scales.float()[:, None]
    assert float((held - linear.weight).abs().max()) <= float(packed.scales.max())
    wanted = rows.bfloat16().float() @ held.T + linear.bias
    found = packed(rows)
    assert (found.dtype, found.shape) == (dtype, (1, count, 96))
    torch.testing.assert_close(found.float(), wanted, rtol=0.02, atol=0.03)


@torch.inference_mode()
@pytest.mark.parametrize("inputs", [128, 96])
def test_int4_is_within_half_a_step_of_every_group(inputs: int) -> None:
    linear = _linear(inputs, 64)
    packed, rows = Int4Linear(linear), _rows(3, inputs)
    assert packed.group == (64 if inputs == 128 else 32)
    seen = packed(torch.eye(inputs)).T - linear.bias[:, None]
    step = (linear.weight.reshape(64, -1, packed.group).amax(2)
            - linear.weight.reshape(64, -1, packed.group).amin(2)) / 15  # fmt: skip
    wrong = (seen - linear.weight).abs().reshape(64, -1, packed.group).amax(2)
    assert bool((wrong <= 0.6 * step + 1e-3).all())
    torch.testing.assert_close(packed(rows), rows @ seen.T + linear.bias, rtol=0.02, atol=0.03)


@torch.inference_mode()
def test_a_row_of_zeros_stays_zeros() -> None:
    linear = _linear(64, 32, bias=False)
    linear.weight.zero_()
    for kind in (Int8Linear, Int4Linear):
        assert torch.equal(kind(linear)(_rows(2, 64)), torch.zeros(2, 32))


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_the_output_layer_and_odd_shapes_keep_their_precision(weights: str) -> None:
    model = nn.ModuleDict({"lm_head": _linear(), "up": _linear(), "odd": _linear(50, 30)})
    model["up"].__class__ = RowLinear
    assert pack_decoder(model, weights) == (2 if weights == "int8" else 1)
    assert type(model["lm_head"]) is nn.Linear
    assert packed_bytes(model) < 0.55 * 4 * (128 * 96 + 50 * 30)


def test_only_bfloat16_without_a_bias_is_multiplied_as_a_vector() -> None:
    plain, biased = _linear(bias=False), _linear().bfloat16()
    half = _linear(bias=False).bfloat16()
    quicken_rows(nn.ModuleList([plain, biased, half]))
    assert [type(layer) for layer in (plain, biased, half)] == [nn.Linear, nn.Linear, RowLinear]
