"""Med3DInsight's transformer and encoders: what their outputs depend on, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from med2e3.errors import CheckpointError, ResourceError
from med2e3.model import encoders3d
from med2e3.model.insight import (
    ClassificationModel,
    InsightModel,
    SegmentationModel,
    open_insight,
)
from med2e3.model.insight_config import PUBLISHED_QUIRKS, InsightConfig
from med2e3.model.windowed3d import window_of

VIT = {
    "patch_size": [4, 4, 4], "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
    "num_attention_heads": 2, "class_token": False, "decoded_width": 4, "decoded_stride": [2, 4, 4],
}  # fmt: skip
WINDOWED = {
    "embed": 8, "depths": [2, 2], "heads": [2, 4], "patch": [2, 4, 4], "windows": [2, 2],
}  # fmt: skip


def config(**changes: Any) -> InsightConfig:
    sizes: dict[str, Any] = {
        "image_size": [8, 16, 16], "encoder_config": VIT, "queries": 3, "layers": 2, "heads": 2,
        "feedforward": 16, "embedding_size": 5, "dropout": 0.0,
    }  # fmt: skip
    return InsightConfig(**{**sizes, **changes})


def model(**changes: Any) -> InsightModel:
    torch.manual_seed(0)
    return InsightModel(config(**changes)).eval()


def volumes(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 1, 8, 16, 16, generator=torch.Generator().manual_seed(1))


def embeds(one: InsightModel, plane: int = 0, index: int = 3, count: int = 8) -> torch.Tensor:
    with torch.inference_mode():
        found = one(
            volumes(), torch.arange(2), *torch.tensor([[plane] * 2, [index] * 2, [count] * 2])
        )
    assert found.embeds is not None
    return found.embeds


def test_an_embedding_depends_on_plane_and_slice() -> None:
    one = model()
    here = embeds(one)
    assert not torch.allclose(here, embeds(one, plane=1))
    assert not torch.allclose(here, embeds(one, index=4))
    torch.testing.assert_close(here, embeds(one))


def test_the_order_of_volumes_changes_nothing() -> None:
    one = model()
    said = torch.tensor([[0, 2, 1], [3, 4, 5], [8, 8, 8]])
    with torch.inference_mode():
        encoded = one.encode(volumes())
        there = one.embed(encoded, torch.tensor([0, 1, 0]), *said)
        turned = one.embed(one.encode(volumes().flip(0)), torch.tensor([1, 0, 1]), *said)
    torch.testing.assert_close(there, turned)


def test_a_slice_takes_the_column_of_its_share_of_the_plane() -> None:
    index, count = torch.tensor([0, 31, 32, 63]), torch.full((4,), 64)
    assert model(slice_bins=4).psat.column(index, count).tolist() == [0, 1, 2, 3]


def test_the_published_column_is_half_of_the_index() -> None:
    index, count = torch.tensor([0, 1, 2, 255, 300]), torch.full((5,), 400)
    one = model(slice_index="halved", slice_bins=128)
    assert one.psat.column(index, count).tolist() == [0, 0, 1, 127, 127]


def test_the_published_quirks_are_values_of_the_config() -> None:
    one = model(**PUBLISHED_QUIRKS)
    assert one.psat.layers[0].linear1.out_features == 8
    assert one.psat.queries.shape == (300, 16)
    with torch.no_grad():
        before = embeds(one)
        one.psat.queries[0] += 1.0
        assert not torch.allclose(embeds(one), before)  # only the first is read


def test_the_default_reads_all_queries() -> None:
    one = model()
    before = embeds(one)
    with torch.no_grad():
        one.psat.queries[2] += 1.0
    assert not torch.allclose(embeds(one), before)


def test_layers_are_post_norm_and_read_the_tokens_with_the_slice_added() -> None:
    """One layer by hand: r is added to queries and tokens once, and norms follow the sums."""
    one = model(layers=1, queries=2)
    psat, layer = one.psat, one.psat.layers[0]
    tokens = torch.randn(1, 7, 16, generator=torch.Generator().manual_seed(2))
    place = psat.table[1, 5]
    x, memory = psat.queries[None] + place, tokens + place
    x = layer.norm1(x + layer.self_attn(x, x, x)[0])
    x = layer.norm2(x + layer.multihead_attn(x, memory, memory)[0])
    x = layer.norm3(x + layer.linear2(torch.relu(layer.linear1(x))))
    wanted = psat.projection(psat.norm(x).mean(1))
    found = psat(tokens, torch.tensor([1]), torch.tensor([5]))
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize(("kind", "sizes"), [("vit3d", VIT), ("windowed", WINDOWED)])
def test_every_encoder_has_tokens_and_a_way_back(kind: str, sizes: dict[str, Any]) -> None:
    one = model(encoder=kind, encoder_config=sizes)
    encoded = one.encode(volumes())
    assert encoded.grid.shape[:2] == (2, one.encoder.width)
    assert encoded.tokens.shape == (2, encoded.grid[0, 0].numel(), one.encoder.width)
    cells = [n // s for n, s in zip((8, 16, 16), one.encoder.stride, strict=True)]
    assert list(one.encoder.decode(encoded).shape) == [2, one.encoder.decoded_width, *cells]
    assert one.reconstruct(encoded).shape == volumes().shape
    one.reconstruct(encoded).square().sum().backward()
    assert [n for n, p in one.encoder.named_parameters() if p.grad is None] == []


def test_swin_unetr_gives_what_monai_gives() -> None:
    pytest.importorskip("monai")
    pytest.importorskip("einops")
    one = model(
        encoder="swin_unetr",
        image_size=[32, 32, 64],
        encoder_config={"feature_size": 12},
        heads=4,
    )
    seen = torch.rand(1, 1, 32, 32, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        encoded = one.encode(seen)
        assert encoded.grid.shape == (1, 192, 1, 1, 2)
        torch.testing.assert_close(one.encoder.decode(encoded), one.encoder.net(seen))


def test_a_missing_monai_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "monai.networks.nets", None)
    with pytest.raises(ResourceError, match=r"med2e3\[insight\]"):
        encoders3d.SwinUnetrEncoder({})


def test_a_shifted_window_keeps_what_was_no_neighbour_apart() -> None:
    """What lies at one end of the grid must not change what the other end reads."""
    one = model(
        encoder="windowed", encoder_config={**WINDOWED, "depths": [2], "heads": [2], "windows": [2]}
    )
    near = volumes(1)
    far = near.clone()
    far[..., 12:] = 0.0  # the last cells along the columns
    with torch.inference_mode():
        first, second = (one.encode(v).grid for v in (near, far))
    torch.testing.assert_close(first[..., 0], second[..., 0])
    assert not torch.allclose(first[..., 3], second[..., 3])


def test_windows_are_clipped_to_what_divides_the_grid() -> None:
    assert window_of((6, 4, 1), 4) == (3, 4, 1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"encoder": "resnet"}, "encoder='resnet'"),
        ({"readout": "last"}, "readout='last'"),
        ({"image_size": [8, 16]}, "three sizes"),
        ({"queries": 0}, "queries=0"),
        ({"heads": 3}, "heads=3 do not divide"),
        ({"encoder_config": {**VIT, "decoded_stride": [3, 4, 4]}}, "strides"),
        ({"image_size": [9, 16, 16]}, "no multiple of the patch"),
        ({"encoder_config": {"edges": 3}}, "edges"),
        (
            {"encoder": "windowed", "encoder_config": {**WINDOWED, "heads": [2]}},
            "one number a stage",
        ),
        ({"encoder": "windowed", "encoder_config": {"embd": 3}}, "embd"),
        ({"encoder": "swin_unetr", "encoder_config": {}}, "multiples of 32"),
    ],
)
def test_sizes_that_make_no_model_are_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(Exception, match=said):
        model(**changes)


def test_a_folder_gives_the_model_back(tmp_path: Path) -> None:
    one = model()
    one.save_pretrained(tmp_path)
    torch.testing.assert_close(embeds(open_insight(tmp_path).eval()), embeds(one))


def test_a_folder_of_something_else_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has no config"):
        open_insight(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(CheckpointError, match="“bert”"):
        open_insight(tmp_path)


def test_weights_of_other_sizes_are_named(tmp_path: Path) -> None:
    model().save_pretrained(tmp_path)
    said = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**said, "queries": 4}))
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        open_insight(tmp_path)


def test_downstream_heads_have_the_shapes_of_their_tasks() -> None:
    one = model()
    assert SegmentationModel(one.encoder, 6)(volumes()).shape == (2, 6, 8, 16, 16)
    assert ClassificationModel(one.encoder, 4)(volumes()).shape == (2, 4)
