"""With every cache on, the published layout answers exactly as the published code did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import med2e3
from med2e3.engine.kept import KeptVolumes


def ask(session: med2e3.Session, item: dict[str, Any]) -> med2e3.Answer:
    said = [part["value"] for part in item["conversations"]]
    history = list(zip(said[0:-1:2], said[1::2], strict=True))
    return session.ask(said[-1], history=history, max_new_tokens=16)


def check(answer: med2e3.Answer, golden: Any, i: int) -> None:
    assert answer.scores is not None
    np.testing.assert_allclose(answer.scores.values, golden[f"q{i}.scores"], rtol=0, atol=2e-6)
    answer.complete()
    assert answer.token_ids == golden[f"q{i}.generated_ids"].tolist()
    assert answer.finish_reason == "length"


@pytest.fixture(scope="module", params=["published", "converted"])
def model(
    request: pytest.FixtureRequest,
    golden_folder: Path,
    released: med2e3.Model,
    tmp_path_factory: pytest.TempPathFactory,
) -> med2e3.Model:
    if request.param == "published":
        return released
    from med2e3.checkpoints import convert

    target = tmp_path_factory.mktemp("models") / "native"
    convert(golden_folder / "checkpoint", target, hub=golden_folder / "hub")
    return med2e3.load(target, device="cpu")


def test_five_questions_on_two_kept_volumes_interleaved(
    model: med2e3.Model, golden: Any, golden_items: list[dict[str, Any]], golden_volumes: Any
) -> None:
    sessions = {name: model.read(array) for name, array in golden_volumes.items()}
    for i in (0, 4, 1, 3, 4, 2, 0):
        item = golden_items[i]
        check(ask(sessions[item["vision3d"][0].removesuffix(".npy")], item), golden, i)


def test_two_answers_at_once_do_not_disturb_each_other(
    model: med2e3.Model, golden: Any, golden_items: list[dict[str, Any]], golden_volumes: Any
) -> None:
    session = model.read(golden_volumes["case0"])
    first, second = ask(session, golden_items[0]), ask(session, golden_items[1])
    pieces = [iter(first), iter(second)]
    for _ in range(3):
        for stream in pieces:
            next(stream)
    for stream in pieces:
        list(stream)
    assert first.token_ids == golden["q0.generated_ids"].tolist()
    assert second.token_ids == golden["q1.generated_ids"].tolist()


def test_a_volume_from_disk_and_a_batch_give_the_golden_ids(
    released: med2e3.Model, golden: Any, golden_items: list[dict[str, Any]], golden_volumes: Any,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(released, "kept", KeptVolumes(tmp_path / "kept"))
    released.read(golden_volumes["case0"])
    assert released.kept is not None
    released.kept.wait()
    monkeypatch.setattr("med2e3.engine.session.encode_volume", None)  # not called again
    session = released.read(golden_volumes["case0"])
    questions = [golden_items[i]["question"] for i in (0, 1)]
    wanted = [tuple(golden[f"q{i}.generated_ids"].tolist()) for i in (0, 1)]
    for i in (0, 1):
        check(ask(session, golden_items[i]), golden, i)
    replies = session.ask_many(questions, max_new_tokens=16)
    assert [reply.token_ids for reply in replies] == wanted
    for i, reply in enumerate(replies):
        np.testing.assert_allclose(reply.scores, golden[f"q{i}.scores"], rtol=0, atol=2e-6)


def test_a_volume_dropped_from_the_cache_is_read_again(
    model: med2e3.Model,
    golden: Any,
    golden_items: list[dict[str, Any]],
    golden_volumes: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(model, "cache_limit", 1)
    case0 = model.read(golden_volumes["case0"])
    one = model.cache_bytes
    case1 = model.read(golden_volumes["case1"])
    assert model.cache_bytes <= one
    for i in (0, 4, 1):
        item = golden_items[i]
        check(ask(case1 if i == 4 else case0, item), golden, i)
        assert model.cache_bytes <= one


def test_the_trained_text_projection_is_loaded_and_said_so(released: med2e3.Model) -> None:
    assert any("text_mlp" in note for note in released.info.notes)
    assert released.info.kind == "med2e3"
    assert released.info.licence.startswith("Apache-2.0")
    assert released.info.grid_shape == (32, 64, 64)


def test_answers_may_fill_the_published_context_and_no_more(
    released: med2e3.Model, golden_items: list[dict[str, Any]], golden_volumes: Any
) -> None:
    """max_length 768 counts the prompt's rows: 141 ids, of which one stands for 32."""
    session = released.read(golden_volumes["case0"])
    answer = session.ask(golden_items[0]["question"])
    assert answer.max_new_tokens == 768 - (141 + 31)
    assert session.ask(golden_items[0]["question"], max_new_tokens=9999).max_new_tokens == 596
