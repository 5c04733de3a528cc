"""The published Med-2E3 directory computes what the published code computed.

Recorded tensors: `tests/fixtures/med2e3/README.md`, with the tolerances used here. Everything is
checked as loaded from the published layout and again after conversion to the native format.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from med2e3.checkpoints import Checkpoint, Hub, build, convert, open_checkpoint
from med2e3.model.prompts import TEMPLATES, encode_answered, encode_prompt, write_prompt
from med2e3.preprocessing import published

FEATURES, SCORES = 2e-5, 2e-6


@pytest.fixture(scope="module", params=["published", "converted"])
def checkpoint(
    request: pytest.FixtureRequest, golden_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Checkpoint:
    hub = golden_folder / "hub"
    source = golden_folder / "checkpoint"
    if request.param == "published":
        return open_checkpoint(source, Hub(hub))
    folder = tmp_path_factory.mktemp("converted") / "model"
    return open_checkpoint(convert(source, folder, hub=hub, max_shard_size="500KB"))


@pytest.fixture(scope="module")
def model(checkpoint: Checkpoint) -> Any:
    return build(checkpoint, torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def grids(golden_folder: Path) -> dict[str, torch.Tensor]:
    """The two volumes as the published evaluation gives them to the model: (1, 1, S, H, W)."""
    arrays = np.load(golden_folder / "inputs" / "volumes_u8.npz")
    values = {name: arrays[name].astype(np.float32) / 255 for name in arrays.files}
    return {n: published(v, (32, 64, 64), rescale=False)[None] for n, v in values.items()}


def turns(item: dict[str, Any]) -> list[tuple[str, str | None]]:
    said = [part["value"] for part in item["conversations"]]
    answers = [*said[1::2], None] if len(said) % 2 else said[1::2]
    return list(zip(said[0::2], answers, strict=True))


def close(found: torch.Tensor, expected: np.ndarray[Any, Any], tolerance: float) -> None:
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("i", range(5))
def test_prompts_and_questions_are_tokenised_byte_for_byte(
    i: int, checkpoint: Checkpoint, golden: Any, golden_items: list[dict[str, Any]]
) -> None:
    tokenizer = checkpoint.processor.tokenizer
    prompt = write_prompt(TEMPLATES["phi"], turns(golden_items[i]), tokenizer.eos_token, image=True)
    assert encode_prompt(tokenizer, prompt.text) == golden[f"q{i}.prompt_input_ids"].tolist()
    ids = checkpoint.processor.question_ids(golden_items[i]["question"])
    expected = golden[f"q{i}.question_input_ids"][golden[f"q{i}.question_mask"] == 1]
    assert ids == expected.tolist()


@pytest.mark.parametrize("i", [0, 4])
def test_both_encoders_give_the_recorded_features(
    i: int, model: Any, golden: Any, golden_items: list[dict[str, Any]], grids: dict[str, Any]
) -> None:
    grid = grids[golden_items[i]["vision3d"][0].removesuffix(".npy")]
    close(grid[0], golden[f"q{i}.volume_model_input"], 0)
    with torch.inference_mode():
        close(model.vision3d(grid).tokens[0], golden[f"q{i}.vit3d_hidden"], FEATURES)
        slices = grid.transpose(1, 2)[0][[0, 7, 31]]
        features = model.vision2d(slices)
        close(features, golden[f"q{i}.siglip_hidden_slices_0_7_31"], FEATURES)
        close(model.connector2d(features), golden[f"q{i}.proj2d_slices_0_7_31"], FEATURES)


@pytest.mark.parametrize("i", range(5))
def test_scores_tokens_logits_and_greedy_answer_match(
    i: int,
    model: Any,
    checkpoint: Checkpoint,
    golden: Any,
    golden_items: list[dict[str, Any]],
    grids: dict[str, Any],
) -> None:
    item = golden_items[i]
    grid = grids[item["vision3d"][0].removesuffix(".npy")]
    batch = checkpoint.processor([turns(item)], grid)
    with torch.inference_mode():
        features = model.encode_images(grid)
        encoded = model.text_encoder(batch["question_ids"], batch["question_mask"])
        close(encoded.pooler_output[0], golden[f"q{i}.bert_pooler"], FEATURES)
        text = model.encode_question(batch["question_ids"], batch["question_mask"])
        scores = model.score(features.keys, text)
        close(scores[0], golden[f"q{i}.scores"], SCORES)
        visual = model.visual_tokens(features, scores)[0]
        close(visual[:16], golden[f"q{i}.proj3d"], FEATURES)
        close(visual[16:], golden[f"q{i}.agg2d"], FEATURES)
        rows, _, _ = model.prepare_embeddings(
            batch["input_ids"], features, (batch["question_ids"], None)
        )
        first = int((batch["input_ids"][0] == model.config.image_token_id).nonzero()[0])
        assert first == golden[f"q{i}.image_pos"]
        if f"q{i}.inputs_embeds" in golden:
            close(rows[0], golden[f"q{i}.inputs_embeds"], FEATURES)
        output = model(**batch)
        close(output.logits[0, -1], golden[f"q{i}.first_logits"], FEATURES)
    answer = model.generate(**batch, max_new_tokens=16, do_sample=False)
    expected = golden[f"q{i}.generated_ids"].tolist()
    assert answer[0, batch["input_ids"].shape[1] :].tolist() == expected


@pytest.mark.parametrize("i", range(5))
def test_the_published_loaders_random_projection_gives_its_recorded_scores(
    i: int,
    model: Any,
    checkpoint: Checkpoint,
    golden_folder: Path,
    golden_items: list[dict[str, Any]],
    grids: dict[str, Any],
) -> None:
    """What the published loader really does: `text_mlp` stays as it was drawn."""
    asis = np.load(golden_folder / "golden_asis.npz")
    item = golden_items[i]
    grid = grids[item["vision3d"][0].removesuffix(".npy")]
    batch = checkpoint.processor([turns(item)], grid)
    trained = {k: v.clone() for k, v in model.text_projection.state_dict().items()}
    random = {k: torch.from_numpy(asis[f"text_mlp.{k}"]) for k in trained}
    try:
        model.text_projection.load_state_dict(random)
        with torch.inference_mode():
            output = model(**batch)
        answer = model.generate(**batch, max_new_tokens=16, do_sample=False)
    finally:
        model.text_projection.load_state_dict(trained)
    close(output.scores[0], asis[f"q{i}.scores"], SCORES)
    close(output.logits[0, -1], asis[f"q{i}.first_logits"], FEATURES)
    new = answer[0, batch["input_ids"].shape[1] :].tolist()
    assert new == asis[f"q{i}.generated_ids"].tolist()


@pytest.mark.parametrize("template", ["phi", "pretrain"])
def test_training_prompts_labels_and_loss_match(
    template: str,
    model: Any,
    checkpoint: Checkpoint,
    golden: Any,
    golden_folder: Path,
    grids: dict[str, Any],
) -> None:
    items = json.loads((golden_folder / "inputs" / "train.json").read_text(encoding="utf-8"))
    recorded = {"phi": "phi", "pretrain": "pretrain_vision3d"}[template]
    processor, written = checkpoint.processor, TEMPLATES[template]
    chats = []
    for j in (0, 1):
        chats.append(turns(items[j]))
        prompt = write_prompt(written, chats[j], processor.tokenizer.eos_token, image=True)
        assert prompt.text == str(golden[f"train.{recorded}.{j}.prompt"])
        ids, labels = encode_answered(processor.tokenizer, prompt)
        end = processor.tokenizer.eos_token_id
        for found, name in ((ids, "input_ids"), (labels, "labels")):
            expected = golden[f"train.{recorded}.{j}.{name}"]
            hidden = expected == -300  # how the published collator marks a real end token
            assert found == np.where(hidden, end, expected).tolist()
    volumes = torch.cat([grids["case0"], grids["case1"]])
    batch = processor.with_template(template)(chats, volumes)
    questions = processor([items[0]["question"], items[1]["question"]])
    batch["question_ids"], batch["question_mask"] = (
        questions["question_ids"],
        questions["question_mask"],
    )
    with torch.inference_mode():
        output = model(**batch)
    assert float(output.loss) == pytest.approx(float(golden[f"train.{recorded}.loss"]), abs=5e-6)
    close(output.logits[1, -8:], golden[f"train.{recorded}.logits_tail8"][1], FEATURES)


def test_a_second_turn_is_trained_where_the_published_code_drops_the_sample(
    checkpoint: Checkpoint, golden: Any, golden_folder: Path
) -> None:
    items = json.loads((golden_folder / "inputs" / "train.json").read_text(encoding="utf-8"))
    tokenizer = checkpoint.processor.tokenizer
    prompt = write_prompt(TEMPLATES["phi"], turns(items[2]), tokenizer.eos_token, image=True)
    assert prompt.text == str(golden["train.phi.2.prompt"])
    ids, labels = encode_answered(tokenizer, prompt)
    assert ids == golden["train.phi.2.input_ids"].tolist()
    assert set(golden["train.phi.2.labels"].tolist()) == {-100}
    kept = [i for i in labels if i != -100]
    assert kept.count(tokenizer.eos_token_id) == 2
    assert tokenizer.decode(kept, skip_special_tokens=True).split()[-1] == "Spleen"
