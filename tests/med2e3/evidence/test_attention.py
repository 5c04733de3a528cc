"""The attention of an answer's words: the pass is the answer's own, and maps lie in the patient."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import med2e3
from med2e3.engine.attending import attend
from med2e3.errors import CheckpointError, QuestionError
from med2e3.evidence import attention as module
from med2e3.evidence.answer_words import word_spans
from med2e3.evidence.attention import attention_of, on_volume
from med2e3.evidence.probing import Probe
from med2e3.geometry import Geometry, Plane
from med2e3.model.connector import pool_tokens
from med2e3.preprocessing import prepare, resized_geometry
from med2e3.volume import Volume

QUESTION = "Where is the kidney cyst?"


def answered(session: med2e3.Session, question: str = QUESTION, **options: Any) -> med2e3.Answer:
    answer = session.ask(question, **options)
    answer.complete()
    return answer


def whole_pass(session: med2e3.Session, answer: med2e3.Answer) -> tuple[Any, Any]:
    """Logits and attention (layers, heads, T, N) of one pass over prompt and answer.

    By transformers' own output of attention, without the keys and values that a session keeps.
    """
    network, processor = session.model.backend.network, session.model.backend.processor
    inputs = processor(answer.prompt.question, session.input.grid[None])
    ids = torch.cat([inputs["input_ids"], torch.tensor([answer.token_ids])], dim=1)
    inputs |= {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    del inputs["pixel_values"]
    inputs["image_features"] = session.computed().features
    config = network.language_model.config
    before, config._attn_implementation = config._attn_implementation, "eager"
    try:
        with torch.inference_mode():
            output = network(**inputs, output_attentions=True)
    finally:
        config._attn_implementation = before
    first = ids.shape[1] - len(answer.token_ids) - 1
    attention = torch.stack([layer[0] for layer in output.attentions])
    return output.logits[0, first:-1], attention[:, :, first:-1]


@pytest.mark.parametrize("options", [{}, {"temperature": 1.5, "seed": 4}])
def test_the_pass_gives_the_recorded_tokens_and_the_whole_models_attention(
    seen: med2e3.Session, options: dict[str, Any]
) -> None:
    answer = answered(seen, **options)
    logits, wanted = whole_pass(seen, answer)
    if not options:
        assert logits.argmax(dim=-1).tolist() == answer.token_ids
    recomputed = logits.softmax(-1)[range(len(answer.token_ids)), answer.token_ids]
    np.testing.assert_allclose(recomputed, answer.token_probabilities, atol=1e-4)
    found = attention_of(seen, answer)
    assert found.difference < 1e-4
    place = seen.model.backend.visual_rows()
    by_row = wanted.mean(dim=(0, 1)).numpy()
    np.testing.assert_allclose(by_row.sum(axis=1), 1, atol=1e-5)
    assert found.to_slices is not None
    assert found.to_volume is not None
    spans = word_spans(answer.token_ids, seen.model.backend.processor.decode)
    assert found.words == tuple(text for text, _ in spans) == tuple(answer.text.split())
    for k, (_, tokens) in enumerate(spans):
        row = by_row[list(tokens)].mean(axis=0)
        to_slices = row[place.first2d : place.first2d + found.to_slices[k].size]
        np.testing.assert_allclose(found.to_slices[k].ravel(), to_slices, atol=1e-5)
        np.testing.assert_allclose(
            found.slices(k), answer.scores.values[:, None, None] * found.to_slices[k], rtol=1e-6
        )
        to_volume = row[place.first3d : place.first3d + found.to_volume[k].size]
        np.testing.assert_allclose(found.to_volume[k].ravel(), to_volume, atol=1e-5)
        share2d, share3d = found.shares(k)
        assert 0 < share2d + share3d < 1
        assert found.slices(k).sum() == pytest.approx(share2d, rel=1e-4)


def test_afterwards_the_model_is_as_it_was(seen: med2e3.Session) -> None:
    network = seen.model.backend.network
    before = network.language_model.config._attn_implementation
    first = answered(seen)
    blocks = network.language_model.model.layers
    hooks = [len(block.self_attn._forward_hooks) for block in blocks]
    attention_of(seen, first)
    assert network.language_model.config._attn_implementation == before != "eager"
    assert [len(block.self_attn._forward_hooks) for block in blocks] == hooks
    again = answered(seen)
    assert again.token_ids == first.token_ids
    assert again.token_probabilities == first.token_probabilities


def test_slices_left_out_have_no_attention(tiny_session: med2e3.Session) -> None:
    answer = answered(tiny_session, "is there a nodule ?", leave_out=[1, 2], max_new_tokens=4)
    found = attention_of(tiny_session, answer)
    for k in range(len(found.words)):
        cells = found.slices(k)
        assert not cells[[1, 2]].any()
        assert (cells[[0, 3]] > 0).all()


def test_what_cannot_be_had_exactly_is_refused(
    tiny_session: med2e3.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = "is there a nodule ?"
    answer = answered(tiny_session, question, max_new_tokens=3)
    attention_of(tiny_session, answer)
    right = answer.token_probabilities[:]
    answer.token_probabilities[1] = right[1] / 2
    with pytest.raises(QuestionError, match="does not give the words of this answer"):
        attention_of(tiny_session, answer)
    answer.token_probabilities[1] = right[1]
    with monkeypatch.context() as patch:
        weights = tiny_session.model.backend.network.language_model.lm_head.weight
        kept = weights.detach().clone()
        with torch.no_grad():
            weights.neg_()
        with pytest.raises(QuestionError, match="does not give the words"):
            attention_of(tiny_session, answer)
        with torch.no_grad():
            weights.copy_(kept)
        patch.setattr(
            tiny_session.model,
            "info",
            dataclasses.replace(tiny_session.model.info, quantize="8bit"),
        )
        with pytest.raises(QuestionError, match=r"quantised \(8bit\).*without quantising"):
            attention_of(tiny_session, answer)
    with monkeypatch.context() as patch:
        patch.setattr(tiny_session.model.backend.processor, "decode", lambda *_, **__: " ")
        with pytest.raises(QuestionError, match="no word, so there is no attention"):
            attention_of(tiny_session, answer)
    stopped = tiny_session.ask(question)
    stopped.cancel()
    with pytest.raises(QuestionError, match="not complete"):
        attention_of(tiny_session, stopped)


def test_layers_that_give_no_attention_are_named(
    tiny_session: med2e3.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a sliding window, or an attention that is not transformers' own."""
    answer = answered(tiny_session, "is there a nodule ?", max_new_tokens=3)
    probe, cache = Probe(tiny_session, answer), tiny_session.computed()
    layer = tiny_session.model.backend.network.language_model.model.layers[0].self_attn
    inner, hooks = type(layer).forward, len(layer._forward_hooks)
    with torch.inference_mode():
        rows = tiny_session.model.backend.suffix(cache.features, answer.prompt, None, 0).rows
    monkeypatch.setattr(
        type(layer), "forward", lambda self, *a, **k: (inner(self, *a, **k)[0], None)
    )
    with pytest.raises(CheckpointError, match="do not give their attention"):
        attend(tiny_session.model, cache, rows, probe.tokens)
    config = tiny_session.model.backend.network.language_model.config
    assert config._attn_implementation != "eager"
    assert len(layer._forward_hooks) == hooks


@pytest.mark.parametrize(
    "choices", [{"aggregation": "max"}, {"encoders": "3d", "local_features": "2d"}]
)
def test_without_slice_scores_there_is_the_3d_map_alone(
    tiny_folder: Callable[..., Path], block: Volume, choices: dict[str, str]
) -> None:
    session = med2e3.load(tiny_folder(**choices), device="cpu").read(block)
    found = attention_of(session, answered(session, "is there a nodule ?", max_new_tokens=3))
    assert found.to_slices is None
    assert found.slices(0) is None
    assert found.shares(0)[0] == 0
    assert found.volume(0).sum() > 0


def volume_of(flips: tuple[bool, bool, bool], plane: Plane) -> Volume:
    """Voxels that are all different, some black at the edges, stored in `plane` and turned over."""
    geometry = Geometry.from_spacing((14, 18, 22), (3.0, 1.5, 1.2), plane=plane)
    affine = geometry.affine_lps.copy()
    for k, flip in enumerate(flips):
        if flip:
            affine[:3, 3] += affine[:3, k] * (geometry.shape[k] - 1)
            affine[:3, k] *= -1
    voxels = np.zeros(geometry.shape, np.int16)
    voxels[2:13, 1:15, 3:20] = 100 + np.arange(11 * 14 * 17).reshape(11, 14, 17)
    return Volume(voxels, Geometry(geometry.shape, affine))


@pytest.mark.parametrize("stored", list(Plane))
@pytest.mark.parametrize("plane", list(Plane))
@pytest.mark.parametrize("flips", [(False, False, False), (True, False, True), (True, True, False)])
def test_every_voxel_has_the_cell_that_its_centre_lies_in(
    stored: Plane, plane: Plane, flips: tuple[bool, bool, bool]
) -> None:
    """By millimetres: the voxel's centre in the geometry of the cells."""
    volume = volume_of(flips, stored)
    given = prepare(volume, (8, 16, 16), plane=plane)
    cells = np.arange(1, 4 * 4 * 2 + 1, dtype=np.float32).reshape(4, 4, 2)
    mapped = on_volume(cells, given, volume).voxels
    grid = resized_geometry(given.geometry, (4, 4, 2))
    indices = np.stack(np.meshgrid(*map(np.arange, volume.shape), indexing="ij"), axis=-1)
    places = grid.to_index(volume.geometry.to_patient_mm(indices))
    for index, place in zip(indices.reshape(-1, 3), places.reshape(-1, 3), strict=True):
        near = np.floor(place + 0.5 + 1e-9).astype(int)
        inside = ((near >= 0) & (near < (4, 4, 2))).all()
        assert mapped[tuple(index)] == (cells[tuple(near)] if inside else 0)


def test_a_token_lies_where_its_patch_does(tiny_session: med2e3.Session) -> None:
    """Brute force: the patch embedding of a grid with one bright cell changes one token alone."""
    network, given = tiny_session.model.backend.network, tiny_session.input
    place = tiny_session.model.backend.visual_rows()
    assert place.cells2d is not None
    depth, height, width = given.grid.shape[-3:]
    rows, columns = place.cells2d
    zero = torch.zeros(1, 1, height, width)
    embed = network.vision2d.siglip.embeddings
    for row, column in ((0, 0), (1, 0), (rows - 1, columns - 1)):
        lit = zero.clone()
        high, wide = height // rows, width // columns
        lit[..., row * high : (row + 1) * high, column * wide : (column + 1) * wide] = 1
        with torch.inference_mode():
            pair = [embed(x.expand(-1, network.vision2d.channels, -1, -1)) for x in (zero, lit)]
        changed = (pair[0] != pair[1]).any(dim=-1)[0]
        assert changed.nonzero().ravel().tolist() == [row * columns + column]
    assert place.cells3d is not None
    d, h, w = place.cells3d
    deep, high, wide = depth // d, height // h, width // w
    zero = torch.zeros(1, 1, depth, height, width)
    lit = zero.clone()
    lit[..., (d - 1) * deep :, :high, wide : 2 * wide] = 1
    embedding = network.vision3d.patch_embedding
    grid = network.config.vision3d_config.patch_grid
    with torch.inference_mode():
        pair = [pool_tokens(embedding(x), grid, network.config.pool3d) for x in (zero, lit)]
    changed = (pair[0] != pair[1]).any(dim=-1)[0]
    assert changed.nonzero().ravel().tolist() == [(d - 1) * h * w + 1]


def test_for_json(tiny_session: med2e3.Session) -> None:
    answer = answered(tiny_session, "is there a nodule ?", max_new_tokens=3)
    found = attention_of(tiny_session, answer)
    said = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert said["note"] == module.NOTE == "attention, not proof"
    assert [one["word"] for one in said["words"]] == list(found.words)
    product = answer.scores.values[:, None, None] * np.array(said["words"][0]["to_2d"])
    np.testing.assert_allclose(product, found.slices(0), rtol=1e-6)
    np.testing.assert_allclose(said["words"][0]["to_3d"], found.volume(0), rtol=1e-6)
    peak = np.unravel_index(found.slices(0).argmax(), found.slices(0).shape)
    np.testing.assert_allclose(found.most(0), found.slices_grid.to_patient_mm(peak), rtol=1e-5)
    assert np.shape(said["slices_affine_lps"]) == np.shape(said["volume_affine_lps"]) == (4, 4)


def test_a_model_without_2d_tokens_has_the_map_of_its_3d_tokens(fixtures: Path) -> None:
    """M3D-LaMed, whose prompt begins with the image."""
    model = med2e3.load(fixtures / "m3d_lamed" / "checkpoint", device="cpu")
    place, config = model.backend.visual_rows(), model.backend.network.config
    ids = model.backend.processor.prompt_ids("Where?")
    assert [k for k, one in enumerate(ids) if one == config.image_token_id] == [
        place.first3d + k for k in range(config.num_visual_tokens)
    ]
    assert np.prod(place.cells3d) == config.num_visual_tokens
    shape = model.info.grid_shape
    grid = np.random.default_rng(3).random(shape, np.float32)
    session = model.read(grid)
    found = attention_of(session, answered(session, "Where?", max_new_tokens=4))
    assert found.to_slices is None
    assert found.volume(0).shape == place.cells3d
    assert found.volume_grid.extent_mm == pytest.approx(shape)
    config.pooling = "sequence"
    assert config.cells3d is None
