"""Every language model that may stand inside: it is trained, saved, loaded, asked and recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import med2e3
from med2e3.engine.token_graph import TokenGraphs, sees_all
from med2e3.errors import CheckpointError
from med2e3.evidence.attention import attention_of
from med2e3.evidence.probing import Probe
from med2e3.model.config import TEXT_CONFIGS
from med2e3.model.language import LANGUAGE_MODELS, LAYERS, token_logits, window_of_layers
from med2e3.volume import Volume

#: What a tiny one of each kind says beside the sizes that all have. Windows are shorter than the
#: prompt, so that layers that slide do.
KINDS: dict[str, dict[str, Any]] = {
    "gemma2": {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 9,
               "tie_word_embeddings": True},
    "mistral": {"num_key_value_heads": 2, "sliding_window": 9, "head_dim": 8},
    "qwen2": {"num_key_value_heads": 2},
    "qwen3": {"num_key_value_heads": 2, "head_dim": 8},
    "smollm3": {"num_key_value_heads": 2, "tie_word_embeddings": True, "num_hidden_layers": 4},
}  # fmt: skip

QUESTION = "is there a nodule in the left lung ?"


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def choices(kind: str) -> dict[str, Any]:
    return {"text_config": {"model_type": kind, **KINDS[kind]}, "score_norm": "layer_norm"}


@pytest.fixture(scope="module")
def model(choices: dict[str, Any], tiny_folder: Callable[..., Path]) -> med2e3.Model:
    """Saved and loaded again."""
    return med2e3.load(tiny_folder(**choices), device="cpu")


def test_every_kind_has_a_class_and_a_test() -> None:
    assert LANGUAGE_MODELS.keys() == TEXT_CONFIGS.keys() == {"phi3", "llama", *KINDS}
    for kind, made in LANGUAGE_MODELS.items():
        assert made.config_class is TEXT_CONFIGS[kind]
        layers = {name for name in made._no_split_modules if name.endswith("Layer")}
        assert layers <= set(LAYERS)


def test_a_step_of_training_lowers_the_loss_of_its_answers(
    kind: str, choices: dict[str, Any], tiny_model: Callable[..., Any], tiny_tokenizer: Any
) -> None:
    """With the loss that training has, whose logits are those of the model's own forward."""
    from med2e3.model import Med2E3Processor

    network = tiny_model(**choices)
    processor = Med2E3Processor.for_model(network.config, tiny_tokenizer, template="short")
    volumes = torch.rand(1, 1, 8, 32, 32)
    batch = processor([QUESTION], volumes, ["yes the left lung"])
    losses = []
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    for _ in range(3):
        output = network(**batch)
        losses.append(float(output.loss.detach()))
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0]
    rows, _, _ = network.prepare_embeddings(
        batch["input_ids"], network.encode_images(volumes),
        (batch["question_ids"], batch["question_mask"]),
    )  # fmt: skip
    language = network.language_model
    hidden = language.model(inputs_embeds=rows).last_hidden_state
    whole = language(inputs_embeds=rows).logits.float()
    torch.testing.assert_close(token_logits(language, hidden), whole)
    if kind == "gemma2":
        assert float(whole.detach().abs().max()) <= language.config.final_logit_softcapping


def test_a_loaded_model_answers_as_the_one_that_was_saved(
    model: med2e3.Model, choices: dict[str, Any], tiny_model: Callable[..., Any], ct: Volume
) -> None:
    """Every number of a module comes back, also those that no file holds."""
    network, fresh = model.backend.network, tiny_model(**choices)
    for name, value in fresh.state_dict().items():
        assert torch.equal(value, network.state_dict()[name]), name
    for name, value in fresh.named_buffers():
        assert torch.equal(value, dict(network.named_buffers())[name]), name
    answer = model.read(ct).ask(QUESTION, max_new_tokens=6)
    assert answer.complete() == answer.text
    assert answer.scores is not None
    ids = torch.tensor([[5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]])
    with torch.inference_mode():
        assert torch.equal(
            network.language_model(ids).logits, fresh.language_model(ids).logits
        )  # fmt: skip


def test_evidence_repeats_the_answer_and_takes_slices_away(model: med2e3.Model, ct: Volume) -> None:
    """All tokens in one pass, and attention, give the probabilities of one token after another.

    Attention is shown where every layer attends to all rows; elsewhere it is refused.
    """
    session = model.read(ct)
    answer = session.ask(QUESTION, max_new_tokens=6)
    answer.complete()
    probe = Probe(session, answer)
    given = np.array(answer.token_probabilities)
    np.testing.assert_allclose(probe.first.probabilities, given, atol=1e-5)
    assert probe.first.same
    left = probe.without([0, 1])
    assert left[:2].tolist() == [0, 0]
    if not sees_all(model.backend.network):
        with pytest.raises(CheckpointError, match="do not give their attention to all rows"):
            attention_of(session, answer)
        return
    found = attention_of(session, answer)
    assert found.difference < 1e-5
    assert found.to_slices is not None
    assert all(0 < sum(found.shares(word)) < 1 for word in range(len(found.words)))


def test_a_recorded_token_is_the_computed_one_where_all_rows_are_seen(
    kind: str, model: med2e3.Model, ct: Volume
) -> None:
    """Layers with a window, and attention with a bound, are computed layer by layer."""
    network = model.backend.network
    language = network.language_model.config
    if not sees_all(network) or language._attn_implementation != "sdpa":
        assert kind in ("gemma2", "mistral")
        assert window_of_layers(language) == KINDS[kind]["sliding_window"]
        return
    assert kind not in ("gemma2", "mistral")
    session = model.read(ct)
    plain = session.ask(QUESTION, max_new_tokens=8)
    plain.complete()
    model.graphs = TokenGraphs(network)
    try:
        graphed = session.ask(QUESTION, max_new_tokens=8)
        graphed.complete()
        assert model.graphs.said == ""
    finally:
        model.graphs = None
    assert graphed.token_ids == plain.token_ids
    np.testing.assert_allclose(graphed.token_probabilities, plain.token_probabilities, atol=1e-5)
