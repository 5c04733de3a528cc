"""What a user of `read` and `ask` may rely on."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import med2e3
from med2e3.errors import Cancelled, PreprocessingError, QuestionError, ResourceError
from med2e3.geometry import Plane
from med2e3.volume import Volume, Window

Make = Callable[..., Any]
QUESTION = "is there a nodule in the left lung ?"


@pytest.fixture
def session(tiny: med2e3.Model, ct: Volume) -> med2e3.Session:
    return tiny.read(ct)


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"encoders": "3d"},
        {"encoders": "2d", "local_features": "2d"},
        {"aggregation": "max"},
        {"aggregation": "mean"},
        {"text_config": {"model_type": "llama"}},
    ],
    ids=str,
)
def test_kept_features_and_prefix_give_the_logits_of_one_whole_pass(
    choices: dict[str, Any], tiny_folder: Make, ct: Volume
) -> None:
    model = med2e3.load(tiny_folder(**choices), device="cpu")
    session = model.read(ct)
    answer = session.ask(QUESTION, max_new_tokens=8)
    answer.complete()
    network, processor = model.backend.network, model.backend.processor
    batch = processor(QUESTION, session.input.grid[None])
    with torch.inference_mode():
        output = network(**batch)
        decoder = session.ask(QUESTION)._decoder
        assert decoder is not None
        start = decoder.start
        logits = network.language_model(
            inputs_embeds=start.rows, past_key_values=start.cache, logits_to_keep=1
        ).logits
    torch.testing.assert_close(logits[0, -1], output.logits[0, -1], rtol=1e-5, atol=1e-5)
    plain = network.generate(**batch, max_new_tokens=8, do_sample=False)
    new = plain[0, batch["input_ids"].shape[1] :].tolist()
    end = processor.tokenizer.eos_token_id
    assert answer.token_ids == (new[: new.index(end)] if end in new else new)
    assert (answer.scores is None) == (output.scores is None)
    assert model.info.has_scores == (answer.scores is not None)


def test_scores_are_known_before_the_text_and_carry_their_bands(session: med2e3.Session) -> None:
    answer = session.ask(QUESTION)
    assert answer.text == ""
    assert answer.token_ids == []
    scores = answer.scores
    assert scores is not None
    assert scores.values.dtype == np.float32
    assert float(scores.values.sum()) == pytest.approx(1, abs=1e-6)
    assert scores.bands == session.input.bands
    best = scores.top(1)[0]
    assert best.weight == scores.values.max()
    assert best.times_uniform == pytest.approx(8 * best.weight)
    assert best.band.model_slice == int(scores.values.argmax())
    assert 1 <= scores.effective_slices <= 8


def test_pieces_together_are_the_text(session: med2e3.Session) -> None:
    answer = session.ask(QUESTION, max_new_tokens=12)
    pieces = list(answer)
    assert "".join(pieces) == answer.text != ""
    assert answer.finish_reason in ("end", "length")
    assert list(answer) == []
    assert answer.complete() == answer.text


def test_leaving_the_loop_stops_the_work(session: med2e3.Session) -> None:
    answer = session.ask(QUESTION, max_new_tokens=50)
    for _ in answer:
        break
    done = len(answer.token_ids)
    assert answer.finish_reason == "cancelled"
    assert list(answer) == []
    assert len(answer.token_ids) == done < 50


def test_cancel_keeps_what_has_arrived(session: med2e3.Session) -> None:
    answer = session.ask(QUESTION, max_new_tokens=50)
    pieces = []
    for piece in answer:
        pieces.append(piece)
        answer.cancel()
    assert answer.finish_reason == "cancelled"
    assert "".join(pieces) == answer.text


def test_cancel_works_in_the_middle_of_a_pass(session: med2e3.Session) -> None:
    """The second layer sees the stop: no token comes out, and the session still answers."""
    answer = session.ask(QUESTION)
    layer = session.model.backend.network.language_model.model.layers[0]
    handle = layer.register_forward_hook(lambda *_: answer.cancel())
    assert answer.complete() == ""
    handle.remove()
    assert answer.finish_reason == "cancelled"
    assert answer.token_ids == []
    assert session.ask(QUESTION, max_new_tokens=4).complete() != ""


def test_a_stop_inside_the_pass_of_a_token_adds_no_token(session: med2e3.Session) -> None:
    whole = session.ask(QUESTION, max_new_tokens=4)
    whole.complete()
    answer = session.ask(QUESTION, max_new_tokens=4)
    layer = session.model.backend.network.language_model.model.layers[0]
    handle = layer.register_forward_hook(lambda *_: answer.cancel() if answer.token_ids else None)
    answer.complete()
    handle.remove()
    assert answer.finish_reason == "cancelled"
    assert answer.token_ids == whole.token_ids[:1]


def test_hooks_are_set_once_for_a_model_and_stay(
    session: med2e3.Session, ct: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = session.model.backend.network.language_model.model.layers
    before = [len(layer._forward_pre_hooks) for layer in layers]
    hooked: list[Any] = []
    register = torch.nn.Module.register_forward_pre_hook

    def counted(module: Any, *args: Any, **options: Any) -> Any:
        hooked.append(module)
        return register(module, *args, **options)

    monkeypatch.setattr(torch.nn.Module, "register_forward_pre_hook", counted)
    for _ in range(2):
        answer = session.ask(QUESTION, max_new_tokens=6)
        answer.complete()
        assert len(answer.token_ids) > 1
    assert hooked == []
    assert [len(layer._forward_pre_hooks) for layer in layers] == before
    assert min(before) > 0


def test_a_stop_in_the_second_layer_of_a_slow_prompt_passes_no_third(
    tiny_folder: Make, ct: Volume
) -> None:
    """Layers as slow as one likes: the stop is seen before the next of them begins."""
    model = med2e3.load(tiny_folder(text_config={"num_hidden_layers": 4}), device="cpu")
    answer = model.read(ct).ask(QUESTION)
    passed: list[int] = []

    def slow(number: int) -> Callable[..., None]:
        def pass_it(*_: Any) -> None:
            passed.append(number)
            if number == 1:
                answer.cancel()

        return pass_it

    for number, layer in enumerate(model.backend.network.language_model.model.layers):
        layer.register_forward_hook(slow(number))
    answer.complete()
    assert passed == [0, 1]
    assert answer.finish_reason == "cancelled"


def test_little_memory_makes_the_answer_shorter_and_says_so(
    session: med2e3.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = session.computed()
    row = cache.prefix_bytes // cache.prefix_rows
    rows = session.ask(QUESTION, max_new_tokens=1)._decoder.start.rows.shape[1]  # type: ignore[union-attr]
    whole = session.ask(QUESTION, max_new_tokens=9)
    assert (whole.max_new_tokens, whole.said) == (9, "")
    free = row * (cache.prefix_rows + rows + 4)
    monkeypatch.setattr("med2e3.engine.room.free_memory", lambda _: int(free / 0.9) + 1)
    short = session.ask(QUESTION, max_new_tokens=9)
    assert short.max_new_tokens == 4
    assert "4 tokens in place of 9" in short.said
    short.complete()
    whole.complete()
    assert short.token_ids == whole.token_ids[:4]
    assert short.record["decoding"]["max_new_tokens"] == 4
    monkeypatch.setattr("med2e3.engine.room.free_memory", lambda _: 0)
    with pytest.raises(ResourceError, match="Close other programs"):
        session.ask(QUESTION)


@pytest.mark.parametrize("error", [MemoryError, torch.OutOfMemoryError])
def test_memory_that_runs_out_inside_a_pass_is_said_and_the_session_lives(
    error: type[Exception], session: med2e3.Session
) -> None:
    answer = session.ask(QUESTION, max_new_tokens=5)

    def run_out(*_: Any) -> None:
        if answer.token_ids:
            raise error

    layer = session.model.backend.network.language_model.model.layers[1]
    handle = layer.register_forward_hook(run_out)
    with pytest.raises(ResourceError, match="ran out while the answer was computed"):
        answer.complete()
    handle.remove()
    assert session.ask(QUESTION, max_new_tokens=2).complete() != ""


def test_reading_can_be_stopped_between_blocks(tiny: med2e3.Model, ct: Volume) -> None:
    seen: list[float] = []
    before = tiny.cache_bytes
    with pytest.raises(Cancelled):
        tiny.read(ct, progress=lambda f, _: seen.append(f), cancelled=lambda: len(seen) > 2)
    assert len(seen) == 3
    assert tiny.cache_bytes <= before


def test_progress_runs_from_0_to_1(tiny: med2e3.Model, ct: Volume) -> None:
    seen: list[float] = []
    tiny.read(ct, progress=lambda fraction, _: seen.append(fraction))
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)
    assert len(seen) >= 4


def test_sampling_repeats_with_its_seed_and_records_a_drawn_one(session: med2e3.Session) -> None:
    settings: dict[str, Any] = {"temperature": 3.0, "max_new_tokens": 20}
    drawn = session.ask(QUESTION, **settings)
    drawn.complete()
    seed = drawn.record["decoding"]["seed"]
    again = session.ask(QUESTION, **settings, seed=seed)
    again.complete()
    assert again.token_ids == drawn.token_ids
    others = {tuple(_ids(session.ask(QUESTION, **settings, seed=k))) for k in range(4)}
    assert len(others) == 4
    assert _ids(session.ask(QUESTION, temperature=3.0, top_p=1e-9, max_new_tokens=5)) == _ids(
        session.ask(QUESTION, max_new_tokens=5)
    )


def _ids(answer: med2e3.Answer) -> list[int]:
    answer.complete()
    return answer.token_ids


def test_greedy_is_the_same_every_time(session: med2e3.Session) -> None:
    assert _ids(session.ask(QUESTION, max_new_tokens=9)) == _ids(
        session.ask(QUESTION, max_new_tokens=9)
    )


def test_slices_left_out_have_no_weight(session: med2e3.Session) -> None:
    full, partial = session.ask(QUESTION), session.ask(QUESTION, leave_out=[1, 6])
    assert full.scores is not None
    assert partial.scores is not None
    assert partial.scores.values[[1, 6]].tolist() == [0.0, 0.0]
    rest = np.delete(full.scores.values, [1, 6])
    np.testing.assert_allclose(np.delete(partial.scores.values, [1, 6]), rest / rest.sum(), 1e-5)
    assert partial.record["left_out"] == [1, 6]


@pytest.mark.parametrize(
    ("question", "options", "message"),
    [
        ("  ", {}, "empty"),
        ("<image3d>\n", {}, "empty"),
        ("is " * 300, {}, r"300 tokens, but the model reads 256 in all"),
        ("a" * 30_000, {}, "30,000 characters"),
        (QUESTION, {"leave_out": [8]}, "0 to 7"),
        (QUESTION, {"leave_out": range(8)}, "keep at least one"),
        (QUESTION, {"temperature": -1.0}, "temperature"),
        (QUESTION, {"temperature": float("nan")}, "temperature"),
        (QUESTION, {"top_p": 0.0}, "top_p"),
        (QUESTION, {"max_new_tokens": 0}, "max_new_tokens"),
    ],
    ids=["blank", "placeholder", "long", "huge", "slice", "all", "cold", "nan", "top_p", "none"],
)
def test_questions_that_cannot_be_answered_are_refused_in_words(
    question: str, options: dict[str, Any], message: str, session: med2e3.Session
) -> None:
    with pytest.raises(QuestionError, match=message):
        session.ask(question, **options)


def test_the_record_is_json_and_says_what_to_repeat(session: med2e3.Session, ct: Volume) -> None:
    answer = session.ask(QUESTION, history=[("what plane ?", "axial")], max_new_tokens=3)
    answer.complete()
    record = json.loads(json.dumps(answer.record))
    assert record["question"] == QUESTION
    assert record["history"] == [["what plane ?", "axial"]]
    assert record["answer"] == answer.text
    assert record["token_ids"] == answer.token_ids
    assert len(record["model"]["weights_sha256"]) == 64
    assert record["input"]["series_uid"] == "1.2.3"
    assert record["versions"]["torch"] == torch.__version__
    assert record["seconds_to_first_token"] > 0
    bands = record["scores"]["bands"]
    assert sum(band["weight"] for band in bands) == pytest.approx(1, abs=1e-6)
    first, last = bands[3]["source_slices"]
    assert bands[3]["sop_instance_uids"] == list(ct.slice_uids[first : last + 1])


def test_a_reformatted_plane_has_no_instances_of_its_own(tiny: med2e3.Model, ct: Volume) -> None:
    answer = tiny.read(ct, plane="coronal").ask(QUESTION, max_new_tokens=1)
    assert all(band["sop_instance_uids"] == [] for band in answer.record["scores"]["bands"])


def test_history_changes_the_answer_but_not_the_scores(session: med2e3.Session) -> None:
    alone = session.ask(QUESTION)
    later = session.ask(QUESTION, history=[("what organ ?", "liver")])
    assert alone.scores is not None
    assert later.scores is not None
    np.testing.assert_array_equal(alone.scores.values, later.scores.values)
    assert len(later.record["prompt_ids"]) > len(alone.record["prompt_ids"])


def test_random_aggregation_repeats_with_its_seed(tiny_folder: Make, ct: Volume) -> None:
    model = med2e3.load(tiny_folder(aggregation="random"), device="cpu")
    session = model.read(ct)
    before = torch.random.get_rng_state()
    values = [session.ask(QUESTION, seed=s).scores.values for s in (1, 1, 2)]  # type: ignore[union-attr]
    assert torch.equal(before, torch.random.get_rng_state())
    np.testing.assert_array_equal(values[0], values[1])
    assert np.abs(values[0] - values[2]).max() > 0.01


def test_a_session_that_is_gone_frees_its_memory(tiny: med2e3.Model, ct: Volume) -> None:
    gc.collect()
    before = tiny.cache_bytes
    session = tiny.read(ct)
    assert tiny.cache_bytes > before
    del session
    gc.collect()
    assert tiny.cache_bytes == before


def test_beyond_the_limit_the_least_recently_used_session_loses_its_cache(
    tiny: med2e3.Model, ct: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tiny.read(ct), tiny.read(ct, plane="coronal")
    expected = _ids(second.ask(QUESTION, max_new_tokens=6))
    monkeypatch.setattr(tiny, "cache_limit", first.computed().nbytes + second.computed().nbytes)
    first.ask(QUESTION)
    third = tiny.read(ct, plane="sagittal")
    assert first.cache is not None
    assert third.cache is not None
    assert second.cache is None
    assert _ids(second.ask(QUESTION, max_new_tokens=6)) == expected
    assert second.cache is not None
    assert first.cache is None
    assert tiny.cache_bytes <= tiny.cache_limit


def test_an_answer_that_has_begun_does_not_need_its_sessions_cache(
    tiny: med2e3.Model, ct: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = tiny.read(ct)
    expected = _ids(session.ask(QUESTION, max_new_tokens=6))
    begun = session.ask(QUESTION, max_new_tokens=6)
    pieces = iter(begun)
    next(pieces)
    monkeypatch.setattr(tiny, "cache_limit", 1)
    tiny.read(ct, plane="coronal")
    assert session.cache is None
    list(pieces)
    assert begun.token_ids == expected


def test_planes_and_windows_go_by_name(tiny: med2e3.Model, ct: Volume) -> None:
    session = tiny.read(ct, plane="Coronal", window="lung")
    assert session.input.plane is Plane.CORONAL
    assert session.input.window == Window(-600, 1500)
    with pytest.raises(PreprocessingError, match="oblique"):
        tiny.read(ct, plane="oblique")
    with pytest.raises(PreprocessingError, match="liverish"):
        tiny.read(ct, window="liverish")


def test_a_model_with_a_default_window_uses_it_on_hu_only(tiny_folder: Make, ct: Volume) -> None:
    model = med2e3.load(
        tiny_folder(default_window=[40.0, 400.0], default_plane="sagittal"), device="cpu"
    )
    assert model.info.default_window == Window(40.0, 400.0)
    session = model.read(ct)
    assert session.input.window == Window(40.0, 400.0)
    assert session.input.plane is Plane.SAGITTAL
    unit = Volume(np.random.default_rng(0).random((8, 32, 32), np.float32), _grid())
    assert model.read(unit, plane="axial").input.grid.numpy()[0] == pytest.approx(unit.voxels)
    export = Volume((unit.voxels * 200).astype(np.int16), _grid())
    assert model.read(export).input.window is None


def _grid() -> Any:
    from med2e3.geometry import Geometry

    return Geometry.from_spacing((8, 32, 32), (1.0, 1.0, 1.0))


def test_an_array_on_the_grid_is_taken_as_it_is(tiny: med2e3.Model) -> None:
    array = np.random.default_rng(0).random((1, 8, 32, 32), np.float32)
    assert np.array_equal(tiny.read(array).input.grid.numpy(), array)
    eight_bit = (array * 255).astype(np.uint8)
    expected = eight_bit.astype(np.float32) / np.float32(255)
    assert np.array_equal(tiny.read(eight_bit).input.grid.numpy(), expected)
    blank = np.zeros((8, 32, 32), np.float32)
    assert not tiny.read(blank).input.grid.any()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 8, 32, 32)), r"shape \(2, 8, 32, 32\)"),
        (np.full((8, 32, 32), -5.0), "from -5 to -5"),
        (np.full((8, 32, 32), np.nan), "from nan to nan"),
    ],
    ids=["two", "hu", "nan"],
)
def test_arrays_that_are_not_prepared_are_refused(
    array: Any, message: str, tiny: med2e3.Model
) -> None:
    with pytest.raises(PreprocessingError, match=message):
        tiny.read(array)


def test_the_demo_says_that_it_is_one(tiny_folder: Make, monkeypatch: Any) -> None:
    folder: Path = tiny_folder(ready_questions={"Plane": "what plane ?"})
    monkeypatch.setattr("med2e3.checkpoints.layouts.resource_path", lambda name: folder)
    info = med2e3.load("demo", device="cpu").info
    assert (info.name, info.is_demo) == ("demo", True)
    assert "phantoms" in info.notice
    assert [(q.label, q.text) for q in info.questions] == [("Plane", "what plane ?")]
    copied = med2e3.load(tiny_folder(demo=True), device="cpu").info
    assert copied.is_demo
    plain = med2e3.load(folder, device="cpu").info
    assert not plain.is_demo
    assert "drafts" in plain.notice


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_answers_on_the_cpu(dtype: str, tiny_folder: Make, ct: Volume) -> None:
    choices: dict[str, Any] = {
        "vision2d_stem": [{"channels": 8, "stride": [2, 2], "dilations": [1]}],
        "vision3d_config": {"stem": [{"channels": 8, "stride": [1, 2, 2]}]},
        "score_norm": "layer_norm",
        "position_embeddings": "tokens+slices",
    }
    folder = tiny_folder(**choices)
    full, half = (med2e3.load(folder, device="cpu", dtype=d) for d in (None, dtype))
    assert (full.info.dtype, half.info.dtype) == ("float32", dtype)
    expected, found = (m.read(ct).ask(QUESTION, max_new_tokens=2) for m in (full, half))
    assert expected.scores is not None
    assert found.scores is not None
    np.testing.assert_allclose(found.scores.values, expected.scores.values, atol=0.01)
    assert found.scores.values.dtype == np.float32
    found.complete()
    assert len(found.token_ids) == 2 or found.finish_reason == "end"
