"""A token as one recorded step, with a plain call in place of a CUDA graph: no GPU was at hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import med2e3
from med2e3.engine.token_graph import TokenGraphs, graphs_of
from med2e3.volume import Volume

QUESTIONS = ["is there a nodule in the left lung ?", "organ", "where is the liver ?"]


class Recorded:
    """Keeps count of steps, as a graph's replay would be called."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0

    def __call__(self, step: Callable[[], None]) -> Callable[[], None]:
        self.recorded += 1
        step()  # warming up changes places and masks, which `take` has to set again

        def replay() -> None:
            self.replayed += 1
            step()

        return replay


@pytest.fixture
def recorded(tiny: med2e3.Model) -> Iterator[Recorded]:
    counts = Recorded()
    tiny.graphs = TokenGraphs(tiny.backend.network, counts)
    yield counts
    tiny.graphs = None


def test_tokens_and_probabilities_are_those_without_a_graph(
    tiny: med2e3.Model, ct: Volume, recorded: Recorded
) -> None:
    session = tiny.read(ct)
    graphs = tiny.graphs
    for question in QUESTIONS:
        tiny.graphs = graphs
        graphed = session.ask(question, max_new_tokens=12)
        graphed.complete()
        tiny.graphs = None
        plain = session.ask(question, max_new_tokens=12)
        plain.complete()
        assert graphed.token_ids == plain.token_ids
        np.testing.assert_allclose(
            graphed.token_probabilities, plain.token_probabilities, atol=1e-5
        )
    assert recorded.recorded == 1
    assert recorded.replayed > 20


def test_golden_ids_are_those_of_the_published_code_also_in_turns(
    golden_folder: Path, golden: Any, golden_items: list[dict[str, Any]], golden_volumes: Any
) -> None:
    model = med2e3.load(golden_folder / "checkpoint", hub=golden_folder / "hub", device="cpu")
    counts = Recorded()
    model.graphs = TokenGraphs(model.backend.network, counts)
    session = model.read(golden_volumes["case0"])
    answers = [session.ask(golden_items[i]["question"], max_new_tokens=16) for i in (0, 1)]
    streams = [iter(answer) for answer in answers]
    for _ in range(20):
        for stream in streams:
            next(stream, None)
    for i, answer in enumerate(answers):
        assert answer.complete() == answer.text
        assert answer.token_ids == golden[f"q{i}.generated_ids"].tolist()
    assert model.graphs.said == ""
    assert counts.recorded == 1
    assert counts.replayed == 30


def test_a_batch_is_answered_by_one_graph_as_singly(
    tiny: med2e3.Model, ct: Volume, recorded: Recorded
) -> None:
    session = tiny.read(ct)
    replies = session.ask_many(QUESTIONS, max_new_tokens=8)
    assert recorded.recorded == 1
    assert recorded.replayed <= 7
    assert recorded.replayed > 0
    tiny.graphs = None
    for reply, plain in zip(replies, session.ask_many(QUESTIONS, max_new_tokens=8), strict=True):
        assert reply.token_ids == plain.token_ids
        assert reply.finish_reason == plain.finish_reason
        np.testing.assert_allclose(reply.token_probabilities, plain.token_probabilities, atol=1e-5)


def test_a_stop_between_steps_adds_no_token(
    tiny: med2e3.Model, ct: Volume, recorded: Recorded
) -> None:
    answer = tiny.read(ct).ask(QUESTIONS[0], max_new_tokens=9)
    for _ in answer:
        if len(answer.token_ids) == 3:
            answer.cancel()
    assert answer.finish_reason == "cancelled"
    assert len(answer.token_ids) == 3
    assert recorded.replayed == 2


def test_what_cannot_be_recorded_is_computed_layer_by_layer_and_said(
    tiny: med2e3.Model, ct: Volume
) -> None:
    def refuse(step: Callable[[], None]) -> Callable[[], None]:
        raise RuntimeError("operation not permitted when stream is capturing")

    session = tiny.read(ct)
    plain = session.ask(QUESTIONS[0], max_new_tokens=6)
    plain.complete()
    tiny.graphs = TokenGraphs(tiny.backend.network, refuse)
    try:
        answer = session.ask(QUESTIONS[0], max_new_tokens=6)
        answer.complete()
        assert answer.token_ids == plain.token_ids
        assert "capturing" in tiny.graphs.said
    finally:
        tiny.graphs = None


def test_a_cpu_records_nothing(tiny: med2e3.Model) -> None:
    assert tiny.graphs is None
    assert graphs_of(tiny.backend.network, torch.device("cpu")) is None


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_golden_ids_come_out_of_a_graph(
    golden_folder: Path, golden: Any, golden_items: list[dict[str, Any]], golden_volumes: Any
) -> None:
    model = med2e3.load(
        golden_folder / "checkpoint", hub=golden_folder / "hub", device="cuda", dtype="float32"
    )
    assert model.graphs is not None
    session = model.read(golden_volumes["case0"])
    for i in (0, 1):
        answer = session.ask(golden_items[i]["question"], max_new_tokens=16)
        answer.complete()
        assert answer.token_ids == golden[f"q{i}.generated_ids"].tolist()
    assert model.graphs.said == ""
