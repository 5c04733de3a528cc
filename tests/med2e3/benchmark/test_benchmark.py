"""The benchmark measures what it says it measures; nothing here looks at wall-clock time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from med2e3.benchmark import measure, measuring, random_model, released_config
from med2e3.benchmark.measuring import TimedAnswer


@pytest.fixture(scope="module")
def result(tiny_config: Callable[..., Any]) -> Any:
    config = tiny_config(text_config={"vocab_size": 300, "eos_token_id": 0, "pad_token_id": 0})
    return measure(random_model(config), repeats=1)


def test_every_figure_is_there_for_people_and_for_machines(result: Any) -> None:
    facts = result.as_dict()
    assert set(facts["ratios"]) == {
        "recomputed_over_second_question",
        "decode_share_of_memory_bandwidth",
        "peak_memory_over_weights",
        "leave_one_out_over_one_answer",
    }
    assert facts["leave_one_out"]["slices"] == 8
    assert "without each of 8 slices" in result.table()
    assert all(value > 0 for value in facts["ratios"].values())
    for words in ("second question, to first token", "recomputed", "tokens per second"):
        assert words in result.table()


def test_operations_are_counted_for_every_part(result: Any) -> None:
    gflop = {part.name: part.gflop for part in result.parts}
    assert gflop["both encoders and connectors"] > gflop["3D encoder alone"] > 0
    assert gflop["both encoders and connectors"] > gflop["2D encoder alone"] > 0
    assert gflop["rest of the prompt"] > gflop["one more token"] > 0


def test_recomputing_includes_reading_the_volume(
    tiny_config: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that moves on with every read alone: a second a read."""
    config = tiny_config(text_config={"vocab_size": 300, "eos_token_id": 0, "pad_token_id": 0})
    model = random_model(config)
    clock, read = [0.0], type(model).read

    def slow_read(self: Any, *args: Any, **kwargs: Any) -> Any:
        clock[0] += 1.0
        return read(self, *args, **kwargs)

    monkeypatch.setattr(type(model), "read", slow_read)
    monkeypatch.setattr(measuring.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(measuring, "read_bandwidth", lambda device: 1.0)
    monkeypatch.setattr(measuring, "measure_leave_one_out", lambda *_: None)
    monkeypatch.setattr(measuring, "_ask", lambda session, question: TimedAnswer(0.25, 1.0))
    found = measure(model, repeats=1)
    assert found.recomputed_seconds == pytest.approx(1.25)
    assert found.second_question_seconds == pytest.approx(0.25)
    assert found.speed_up == pytest.approx(5)


def test_the_released_shape_has_the_published_sizes() -> None:
    config = released_config()
    assert config.grid_shape == (32, 256, 256)
    assert (config.num_tokens3d, config.num_tokens2d) == (256, 256)
    assert config.text_config.num_hidden_layers == 32
    assert released_config(4).text_config.num_hidden_layers == 4
