"""M3D-LaMed through the same door as every model: load, read, ask."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import med2e3
from med2e3.checkpoints import convert
from med2e3.engine import Model
from med2e3.errors import CheckpointError, QuestionError
from med2e3.evaluation.file_asking import FileTask
from med2e3.evaluation.m3d_bench import run
from med2e3.evaluation.m3d_files import read_vqa
from med2e3.evaluation.texts import open_metrics
from med2e3.geometry import Geometry
from med2e3.volume import AIR_HU, Volume

SEG = 427


@pytest.fixture(scope="module", params=["published", "converted"])
def model(
    request: pytest.FixtureRequest, fixtures: Path, tmp_path_factory: pytest.TempPathFactory
) -> Model:
    folder = fixtures / "m3d_lamed" / "checkpoint"
    if request.param == "converted":
        folder = convert(folder, tmp_path_factory.mktemp("lamed") / "native")
    return med2e3.load(folder, device="cpu")


@pytest.fixture(scope="module")
def golden(fixtures: Path) -> Any:
    return np.load(fixtures / "m3d_lamed" / "golden.npz")


@pytest.fixture(scope="module")
def questions(fixtures: Path) -> list[str]:
    texts = json.loads((fixtures / "m3d_lamed" / "texts.json").read_text())
    return list(texts["questions"])


def _array(golden: Any, number: int) -> NDArray[np.float32]:
    volume: NDArray[np.float32] = golden["volumes_u8"][number, 0].astype(np.float32) / 255
    return volume


class _Speaks:
    """Stands in for the choice of tokens: says what it is told to."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self.tokens = [int(token) for token in tokens]

    def choose(self, logits: torch.Tensor) -> int:
        return self.tokens.pop(0)


def _oblique(shape: tuple[int, int, int]) -> Geometry:
    """Anisotropic, turned about two axes, left-handed."""
    a, b = math.radians(14), math.radians(-21)
    turn = np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])
    tip = np.array([[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ tip @ np.array([[0, 0, 1.0], [0, 1.5, 0], [3.0, 0, 0]])
    affine[:3, 3] = (-80, 12, 300)
    return Geometry(shape, affine)


def _scan(golden: Any) -> Volume:
    """A recorded volume as HU inside a border of air that is cropped away, in an oblique grid."""
    inner = golden["volumes_u8"][1, 0].astype(np.float32) / 255
    inner = np.maximum(inner, 1e-3) * 400 - 160  # soft tissue window: 0..1 again, nothing black
    voxels = np.full((40, 80, 72), AIR_HU, dtype=np.float32)
    voxels[5:37, 9:73, 4:68] = inner
    return Volume(voxels, _oblique(voxels.shape))


def test_the_model_says_what_it_is(model: Model) -> None:
    assert model.info.kind == "m3d-lamed"
    assert model.info.has_scores is False
    assert model.info.grid_shape == (32, 64, 64)
    assert model.info.licence.startswith("MIT")
    assert len(model.info.weights_sha256) == 64
    assert model.info.default_window == med2e3.Window(40, 400)


def test_answers_are_the_recorded_ones_also_the_second_time_and_in_turn(
    model: Model, golden: Any, questions: list[str]
) -> None:
    sessions = [model.read(_array(golden, k)) for k in (0, 1)]
    for _ in range(2):
        for number, session in enumerate(sessions):
            answer = session.ask(questions[number], max_new_tokens=16)
            answer.complete()
            assert answer.token_ids == golden[f"q{number}.generated_ids"].tolist()
            assert answer.scores is None
            assert answer.finish_reason == "length"


def test_a_drawn_mask_is_the_recorded_one_on_the_volumes_own_grid(
    model: Model, golden: Any, questions: list[str]
) -> None:
    session = model.read(_array(golden, 1))
    answer = session.ask(questions[1], max_new_tokens=8)
    answer._sampler = _Speaks(golden["seg1.generated_ids"])  # type: ignore[assignment]
    assert answer.masks == ()
    answer.complete()
    (mask,) = answer.masks
    assert mask.voxels.shape == session.volume.shape
    np.testing.assert_array_equal(mask.voxels[::2, ::4, ::4], golden["seg1.mask_logits_sub"] > 0)
    assert mask.voxels.mean() == float(golden["seg1.mask_fraction"])
    record = answer.record["masks"]
    assert record[0]["millilitres"] == pytest.approx(mask.voxels.sum() / 1000)
    json.dumps(answer.record)


def test_a_mask_token_that_comes_first_draws_too(
    model: Model, golden: Any, questions: list[str]
) -> None:
    answer = model.read(_array(golden, 1)).ask(questions[1], max_new_tokens=8)
    answer._sampler = _Speaks(golden["segfirst.generated_ids"])  # type: ignore[assignment]
    answer.complete()
    assert answer.token_ids[0] == SEG
    assert len(answer.masks) == 1
    assert answer.masks[0].voxels.any()


def test_an_answer_without_its_token_draws_nothing(
    model: Model, golden: Any, questions: list[str]
) -> None:
    answer = model.read(_array(golden, 1)).ask(questions[1], max_new_tokens=8)
    answer.complete()
    assert answer.token_ids == golden["noseg.generated_ids"].tolist()
    assert answer.masks == ()
    assert answer.boxes == ()


def test_mask_and_box_land_at_their_millimetres_in_an_oblique_cropped_scan(
    model: Model, golden: Any, questions: list[str]
) -> None:
    scan = _scan(golden)
    session = model.read(scan)
    assert session.input.crop_shape == (32, 64, 64)
    plain = model.read(np.ascontiguousarray(session.input.grid[0].numpy()))
    tokenizer = model.backend.processor.tokenizer
    text = "<bx_start>[0.25, 0.125, 0.5, 0.469, 0.359, 0.984]<bx_end>"
    spoken = [*tokenizer(text, add_special_tokens=False)["input_ids"], SEG]
    answers = []
    for one in (session, plain):
        answer = one.ask(questions[1], max_new_tokens=len(spoken))
        answer._sampler = _Speaks(spoken)  # type: ignore[assignment]
        answer.complete()
        answers.append(answer)
    assert "<bx_start>" not in answers[0].text

    # The same grid, once in an oblique scan and once alone: the same mask, at the scan's place.
    turn = scan.geometry.orientation(session.input.plane)
    turned = turn.apply(answers[0].masks[0].voxels)
    start, shape = session.input.crop_start, session.input.crop_shape
    box = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
    np.testing.assert_array_equal(turned[box], answers[1].masks[0].voxels)
    assert turned.sum() == answers[1].masks[0].voxels.sum()

    # 0.25 … 0.469 of 32 slices are model slices 8 to 15, and so on; both ends belong to the box.
    oriented = scan.geometry.oriented(session.input.plane)
    low = np.add(start, (8, 8, 32))
    high = np.add(start, (15, 23, 63))
    expected = oriented.to_patient_mm((low + high) / 2)
    (found,) = answers[0].boxes
    np.testing.assert_allclose(found.centre_mm, expected, atol=1e-9)
    spacing = np.asarray(oriented.spacing_mm)
    np.testing.assert_allclose(found.size_mm, (high - low + 1) * spacing, atol=1e-9)
    assert answers[0].record["boxes"][0]["fractions"] == [[0.25, 0.125, 0.5], [0.469, 0.359, 0.984]]


def test_a_stopped_answer_names_nothing(model: Model, golden: Any, questions: list[str]) -> None:
    answer = model.read(_array(golden, 1)).ask(questions[1], max_new_tokens=8)
    answer._sampler = _Speaks(golden["segfirst.generated_ids"])  # type: ignore[assignment]
    for _ in answer:
        answer.cancel()
    assert answer.finish_reason == "cancelled"
    assert answer.masks == ()


def test_drawing_can_be_stopped(
    model: Model, golden: Any, questions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = model.read(_array(golden, 1)).ask(questions[1], max_new_tokens=1)
    answer._sampler = _Speaks([SEG])  # type: ignore[assignment]
    encode = model.backend.network.segvol.encode

    def stopped(grid: torch.Tensor) -> torch.Tensor:
        answer.cancel()
        features: torch.Tensor = encode(grid)
        return features

    monkeypatch.setattr(model.backend.network.segvol, "encode", stopped)
    answer.complete()
    assert answer.finish_reason == "cancelled"
    assert answer.masks == ()


def test_the_mask_heads_own_reading_of_a_volume_is_kept(
    model: Model, golden: Any, questions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = model.read(_array(golden, 1))
    reads: list[int] = []
    encode = model.backend.network.segvol.encode
    monkeypatch.setattr(
        model.backend.network.segvol, "encode", lambda grid: reads.append(1) or encode(grid)
    )
    before = session.computed().nbytes
    for _ in range(2):
        answer = session.ask(questions[1], max_new_tokens=1)
        answer._sampler = _Speaks([SEG])  # type: ignore[assignment]
        answer.complete()
        assert len(answer.masks) == 1
    assert reads == [1]
    assert session.computed().nbytes > before


def test_what_the_model_cannot_do_is_said(model: Model, golden: Any) -> None:
    session = model.read(_array(golden, 0))
    with pytest.raises(QuestionError, match="no slice scores"):
        session.ask("What is this?", leave_out=[3])
    with pytest.raises(QuestionError, match="single questions"):
        session.ask("And now?", history=[("What is this?", "A scan.")])
    with pytest.raises(QuestionError, match="empty"):
        session.ask("  ")
    with pytest.raises(QuestionError, match="the model reads 768"):
        session.ask("why " * 4000)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("mm_projector_type", "perceiver", "known are 'spp', 'linear', 'identity'"),
        ("vision_select_layer", -2, "published models have -1"),
        ("segmentation_module", "sam", "known are 'segvol'"),
        ("model_type", "lamed_mamba", "not one of ours"),
    ],
)
def test_a_config_of_another_model_is_refused_by_name(
    fixtures: Path, tmp_path: Path, name: str, value: Any, message: str
) -> None:
    source = fixtures / "m3d_lamed" / "checkpoint"
    for file in source.iterdir():
        (tmp_path / file.name).symlink_to(file)
    settings = {**json.loads((source / "config.json").read_text()), name: value}
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match=message):
        med2e3.load(tmp_path, device="cpu")


def test_a_tokenizer_without_its_tokens_is_refused(fixtures: Path, tmp_path: Path) -> None:
    for file in (fixtures / "m3d_lamed" / "checkpoint").iterdir():
        content = file.read_bytes()
        if file.name.startswith(("tokenizer", "special_tokens")):
            content = content.replace(b"[SEG]", b"[GES]")
        (tmp_path / file.name).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"has no token \[SEG\]"):
        med2e3.load(tmp_path, device="cpu")


def test_code_that_a_folder_brings_is_never_run(fixtures: Path, tmp_path: Path) -> None:
    source = fixtures / "m3d_lamed" / "checkpoint"
    for file in source.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    settings = json.loads((source / "config.json").read_text())
    settings["auto_map"] = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    (tmp_path / "evil.py").write_text("raise SystemExit('code was run')\n")
    assert med2e3.load(tmp_path, device="cpu").info.kind == "m3d-lamed"


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_draws_nearly_the_recorded_mask(
    fixtures: Path, golden: Any, questions: list[str], dtype: str
) -> None:
    half = med2e3.load(fixtures / "m3d_lamed" / "checkpoint", device="cpu", dtype=dtype)
    answer = half.read(_array(golden, 1)).ask(questions[1], max_new_tokens=3)
    answer._sampler = _Speaks(golden["seg1.generated_ids"][:3])  # type: ignore[assignment]
    answer.complete()
    drawn = answer.masks[0].voxels[::2, ::4, ::4]
    assert (drawn == (golden["seg1.mask_logits_sub"] > 0)).mean() > 0.97


def test_info_is_plain_data(model: Model) -> None:
    json.dumps(dataclasses.asdict(model.info))


def test_questions_of_m3d_vqa_follow_a_space_and_others_none(
    model: Model, golden: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = "Which organ is enlarged?"
    closed = f"{question} Choices: A. liver B. spleen C. nan D. nan"
    processor = model.backend.processor
    plain, spaced = processor.prompt_ids(question), processor.prompt_ids(question, spaced=True)
    assert spaced != plain
    text = processor.prompt(question)
    patches = text.removesuffix(question)
    assert spaced == list(processor.tokenizer(f"{patches} {question}")["input_ids"])
    heard: list[tuple[int, ...]] = []
    ask = model.backend.tokenise

    def noted(turns: Any, **options: Any) -> Any:
        asked = ask(turns, **options)
        heard.append(asked.ids)
        return asked

    monkeypatch.setattr(model.backend, "tokenise", noted)
    session = model.read(_array(golden, 0))
    session.ask_many([question, question, closed], max_new_tokens=1, spaced=[True, False, True])
    session.ask(question, max_new_tokens=1)
    session.ask_many([question], max_new_tokens=1)
    closed_ids = processor.prompt_ids(closed)
    assert heard == [tuple(i) for i in (spaced, plain, closed_ids, plain, plain)]


def test_training_writes_the_space_that_asking_writes(model: Model) -> None:
    processor = model.backend.processor
    question, answer = "Which organ is enlarged?", "The liver."
    for spaced in (False, True):
        asked = processor.prompt(question, spaced=spaced)
        wanted = [*processor.tokenizer(f"{asked} {answer}")["input_ids"], 420]
        ids, labels = processor.answered_ids(question, answer, spaced=spaced)
        assert ids == wanted, "the question as it is asked, the answer, the end token"
        first = len(processor.prompt_ids(question, spaced=spaced))
        assert labels == [*[-100] * first, *wanted[first:]]
        batch = processor([question], answers=[answer], spaced=spaced)
        assert batch["input_ids"][0].tolist() == wanted
    assert processor.answered_ids(question, answer) != processor.answered_ids(
        question, answer, spaced=True
    )


def test_open_questions_of_an_m3d_vqa_file_are_asked_after_a_space(
    model: Model, golden: Any, tmp_path: Path
) -> None:
    np.save(tmp_path / "1.npy", _array(golden, 0))
    table = tmp_path / "vqa.csv"
    table.write_text(
        "Image Path,Question Type,Question,Choice A,Choice B,Choice C,Choice D,Answer,"
        "Answer Choice\n1.npy,3,Which organ is enlarged?,liver,spleen,NA,NA,liver,A\n"
    )
    task = FileTask(
        "x", read_vqa(table, tmp_path).items, predictions=tmp_path / "said.jsonl", max_new_tokens=8
    )
    run(model, task, open_metrics())
    said = [json.loads(line) for line in (tmp_path / "said.jsonl").read_text().splitlines()]
    session = model.read(_array(golden, 0))
    prompts = [line["prompt"] for line in said]
    wanted = session.ask_many(prompts, max_new_tokens=8, spaced=[True, True])
    unlike = session.ask_many(prompts, max_new_tokens=8)
    shares = [[round(p, 6) for p in r.token_probabilities] for r in wanted]
    assert [line["probabilities"] for line in said] == shares
    assert wanted[0].token_probabilities != unlike[0].token_probabilities
    assert wanted[1].token_probabilities == pytest.approx(unlike[1].token_probabilities, abs=1e-5)
