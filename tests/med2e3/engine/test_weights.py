"""Language models with weights in few bits by torch's own kernels, behind `load / read / ask`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import med2e3
from med2e3.checkpoints.quantizing import check_quantize
from med2e3.errors import ResourceError
from med2e3.model.packed_linear import Int4Linear, Int8Linear, packed_bytes


def _packed(model: med2e3.Model, kind: type) -> int:
    return sum(isinstance(m, kind) for m in model.backend.network.modules())


@pytest.mark.parametrize(("weights", "kind"), [("int8", Int8Linear), ("int4", Int4Linear)])
def test_golden_scores_do_not_change_and_the_record_names_the_weights(
    weights: str, kind: type, golden_folder: Path, golden: Any, golden_items: list[dict[str, Any]],
    golden_volumes: Any,
) -> None:  # fmt: skip
    model = med2e3.load(
        golden_folder / "checkpoint", hub=golden_folder / "hub", device="cpu", quantize=weights
    )
    network = model.backend.network
    layers = len(network.language_model.model.layers)
    assert _packed(model, kind) >= layers
    assert packed_bytes(network) == packed_bytes(network.language_model) > 0
    assert any(weights in note for note in model.info.notes)
    session = model.read(golden_volumes["case0"])
    for i in (0, 1):
        answer = session.ask(golden_items[i]["question"], max_new_tokens=16)
        assert answer.scores is not None
        np.testing.assert_allclose(answer.scores.values, golden[f"q{i}.scores"], rtol=0, atol=2e-6)
        answer.complete()
        assert answer.finish_reason in ("end", "length")
        assert answer.record["model"]["quantize"] == weights


def test_int8_gives_the_golden_ids_first_token(
    golden_folder: Path, golden: Any, golden_items: list[dict[str, Any]], golden_volumes: Any
) -> None:
    model = med2e3.load(
        golden_folder / "checkpoint", hub=golden_folder / "hub", device="cpu", quantize="int8"
    )
    answer = model.read(golden_volumes["case0"]).ask(golden_items[0]["question"], max_new_tokens=16)
    answer.complete()
    assert answer.token_ids[0] == golden["q0.generated_ids"][0]


def test_int8_on_anything_but_a_cpu_is_refused_in_words() -> None:
    import torch

    with pytest.raises(ResourceError, match="Choose device cpu"):
        check_quantize("int8", torch.device("cuda"))
    with pytest.raises(ResourceError, match="int8, int4"):
        check_quantize("int3", torch.device("cpu"))
    with pytest.raises(ResourceError, match="Leave one of them out"):
        med2e3.load("demo", quantize="int8", device_map={"": "cpu"})
