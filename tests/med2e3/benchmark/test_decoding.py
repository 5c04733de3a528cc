"""What `--decode` measures and what a kept table says is slower; no time is looked at."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from med2e3.benchmark import decoding, random_model
from med2e3.benchmark.decoding import UNITS, decode_table, measure_decode
from med2e3.errors import InputError
from med2e3.speed_tables import (
    Figure,
    comparison,
    is_worse,
    keep_table,
    read_table,
    table_now,
    worse_lines,
)


@pytest.fixture(scope="module")
def model(tiny_config: Callable[..., Any]) -> Any:
    sizes = {"vocab_size": 300, "eos_token_id": 0, "pad_token_id": 0}
    return random_model(tiny_config(text_config=sizes), device="cpu", dtype="bfloat16")


def test_every_figure_is_measured_and_no_run_is_begun_beyond_the_limit(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "TOKENS", 3)
    figures = measure_decode(model, runs=9, limit_s=0.0)
    assert list(figures) == list(UNITS)
    assert {len(figure.runs) for figure in figures.values()} == {1}
    assert all(value >= 0 for figure in figures.values() for value in figure.runs)
    for name in UNITS:
        assert name in decode_table(model, figures)


def test_slower_is_what_lies_beyond_the_noise_of_the_runs() -> None:
    times = Figure((1.0, 1.1, 1.2, 1.0, 1.1), "s")
    assert not is_worse(times, Figure((1.25, 1.3), "s"))
    assert is_worse(times, Figure((1.31, 1.32), "s"))
    assert not is_worse(times, Figure((1.31, 1.32, 0.9), "s"))  # noisy now
    assert not is_worse(times, Figure((0.2,), "s"))
    rates = Figure((10.0, 11.0), "tokens/s", True)
    assert is_worse(rates, Figure((9.0,), "tokens/s", True))
    assert not is_worse(rates, Figure((30.0,), "tokens/s", True))


def test_a_kept_table_is_read_back_and_compared(tmp_path: Path) -> None:
    file = tmp_path / "table.json"
    figures = {"token": Figure((1.0, 1.1), "s"), "gone": Figure((1.0,), "s")}
    keep_table(table_now(figures), file)
    kept = read_table(file)
    assert kept.figures == figures
    assert kept.date
    assert kept.machine
    now = {"token": Figure((2.0,), "s"), "new": Figure((9.0,), "s")}
    assert worse_lines(kept, now) == [
        "token: 1.05 → 2 s (1.90 ×; noise ±0.1)",
        "gone: not measured now",
    ]
    assert "slower: token" in comparison(kept, now)
    assert "nothing is slower" in comparison(kept, figures)


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"figures": {"a": {"runs": []}}})])
def test_a_file_of_something_else_is_refused_in_words(text: str, tmp_path: Path) -> None:
    file = tmp_path / "table.json"
    file.write_text(text)
    with pytest.raises(InputError, match="is no table of a benchmark"):
        read_table(file)
    with pytest.raises(InputError, match="cannot be read"):
        read_table(tmp_path / "none.json")
    with pytest.raises(InputError, match="cannot be written"):
        keep_table(table_now({"a": Figure((1.0,), "s")}), tmp_path / "none" / "a.json")
