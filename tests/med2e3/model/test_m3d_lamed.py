"""M3D-LaMed computes what the published code computed, and does not copy its faults."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from med2e3.checkpoints import Checkpoint, build, convert, open_checkpoint
from med2e3.model.m3d_lamed import (
    PROJECTORS,
    M3DLaMedForConditionalGeneration,
    answer_states,
)
from med2e3.model.m3d_lamed_config import M3DLaMedConfig
from med2e3.model.m3d_lamed_processor import M3DLaMedProcessor

ATOL = 2e-5  # as the recorded tensors' own page suggests


@pytest.fixture(scope="module", params=["published", "converted"])
def loaded(
    request: pytest.FixtureRequest, fixtures: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Checkpoint, Any]:
    folder = fixtures / "m3d_lamed" / "checkpoint"
    if request.param == "converted":
        folder = convert(folder, tmp_path_factory.mktemp("lamed") / "native")
    checkpoint = open_checkpoint(folder)
    return checkpoint, build(checkpoint, torch.device("cpu"), None)


@pytest.fixture(scope="module")
def golden(fixtures: Path) -> Any:
    return np.load(fixtures / "m3d_lamed" / "golden.npz")


@pytest.fixture(scope="module")
def volumes(golden: Any) -> Tensor:
    return torch.from_numpy(golden["volumes_u8"]).to(torch.float32) / 255


@pytest.fixture(scope="module")
def questions(fixtures: Path) -> list[str]:
    texts = json.loads((fixtures / "m3d_lamed" / "texts.json").read_text())
    return list(texts["questions"])


def _close(found: Tensor, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=0, atol=ATOL)


class Forced(LogitsProcessor):
    """Forces one token at given places of the answer."""

    def __init__(self, token: int, places: Collection[int], prompt_length: int) -> None:
        self.token, self.places, self.prompt_length = token, places, prompt_length

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if input_ids.shape[1] - self.prompt_length in self.places:
            scores = torch.full_like(scores, -torch.inf)
            scores[:, self.token] = 0
        return scores


def _answer(
    model: Any, batch: Any, count: int, places: Collection[int] = ()
) -> tuple[Tensor, Tensor]:
    """New tokens (1, T) and the states that predicted them (1, T, C)."""
    length = batch["input_ids"].shape[1]
    output = model.generate(
        **batch,
        max_new_tokens=count,
        do_sample=False,
        output_hidden_states=True,
        return_dict_in_generate=True,
        logits_processor=LogitsProcessorList([Forced(model.config.seg_token_id, places, length)]),
    )
    return output.sequences[:, length:], answer_states(output.hidden_states)


@pytest.mark.parametrize("number", [0, 1])
@torch.no_grad()
def test_prompt_features_and_answer_are_the_recorded_ones(
    loaded: tuple[Checkpoint, Any],
    golden: Any,
    volumes: Tensor,
    questions: list[str],
    number: int,
) -> None:
    checkpoint, model = loaded
    name, volume = f"q{number}", volumes[number : number + 1]
    batch = checkpoint.processor(questions[number], volume)
    np.testing.assert_array_equal(batch["input_ids"][0], golden[f"{name}.input_ids"])
    _close(model.vision3d(volume).normed[0], golden[f"{name}.vision_tower"])
    features = model.encode_images(volume)
    _close(features[0], golden[f"{name}.mm_projector"])
    _close(model.splice(batch["input_ids"], features)[0], golden[f"{name}.inputs_embeds"])
    _close(model(**batch).logits[0, -1], golden[f"{name}.first_logits"])
    tokens, _ = _answer(model, batch, 16)
    assert tokens[0].tolist() == golden[f"{name}.generated_ids"].tolist()


@pytest.mark.parametrize(("name", "places"), [("seg1", {2}), ("seg2", {2, 5})])
@torch.no_grad()
def test_masks_are_the_recorded_ones(
    loaded: tuple[Checkpoint, Any],
    golden: Any,
    volumes: Tensor,
    questions: list[str],
    name: str,
    places: set[int],
) -> None:
    checkpoint, model = loaded
    volume = volumes[1:]
    tokens, states = _answer(model, checkpoint.processor(questions[1], volume), 8, places)
    assert tokens[0].tolist() == golden[f"{name}.generated_ids"].tolist()
    (mask,) = model.segment(model.segvol.encode(volume), tokens, states)
    assert mask.shape == (1, 32, 64, 64)
    _close(mask[0, ::2, ::4, ::4], golden[f"{name}.mask_logits_sub"])
    assert (mask > 0).double().mean().item() == golden[f"{name}.mask_fraction"]
    total = mask.double().sum().item()
    assert total == pytest.approx(golden[f"{name}.mask_logits_sum"], abs=ATOL * mask.numel() / 10)


@torch.no_grad()
def test_a_mask_is_drawn_when_its_token_comes_first_which_the_published_code_misses(
    loaded: tuple[Checkpoint, Any], golden: Any, volumes: Tensor, questions: list[str]
) -> None:
    checkpoint, model = loaded
    volume = volumes[1:]
    tokens, states = _answer(model, checkpoint.processor(questions[1], volume), 8, {0})
    assert tokens[0].tolist() == golden["segfirst.generated_ids"].tolist()
    # The published code looks for the token from the second one on, and so finds none.
    assert model.config.seg_token_id == tokens[0, 0]
    assert model.config.seg_token_id not in tokens[0, 1:]
    features = model.segvol.encode(volume)
    assert model.segment(features, tokens[:, 1:], states[:, 1:]) == [None]
    (mask,) = model.segment(features, tokens, states)
    assert torch.isfinite(mask).all()
    expected = model.segvol.decode(features, model.seg_projector(states[:, 0]), (32, 64, 64))
    torch.testing.assert_close(mask, expected[0])


@torch.no_grad()
def test_no_mask_is_drawn_without_its_token(
    loaded: tuple[Checkpoint, Any], golden: Any, volumes: Tensor, questions: list[str]
) -> None:
    checkpoint, model = loaded
    tokens, states = _answer(model, checkpoint.processor(questions[1], volumes[1:]), 8)
    assert tokens[0].tolist() == golden["noseg.generated_ids"].tolist()
    assert model.segment(model.segvol.encode(volumes[1:]), tokens, states) == [None]


@torch.no_grad()
def test_the_mask_head_alone_gives_the_recorded_tensors(
    loaded: tuple[Checkpoint, Any], golden: Any, volumes: Tensor
) -> None:
    head = loaded[1].segvol
    _close(head.image_encoder(volumes[1:]).normed[0], golden["segmod.image_encoder_tokens"])
    _close(head.prompt_encoder.pe_layer(head.grid), golden["segmod.dense_pe"])
    logits = head(volumes[1:], torch.from_numpy(golden["segmod.prompt"]))
    _close(logits[0, 0, ::2, ::4, ::4], golden["segmod.mask_logits_sub"])


@torch.no_grad()
def test_training_losses_are_the_recorded_ones(
    loaded: tuple[Checkpoint, Any], golden: Any, volumes: Tensor
) -> None:
    model = loaded[1]
    names = ("input_ids", "labels", "attention_mask")
    batch = {name: torch.from_numpy(golden[f"train.{name}"]) for name in names}
    output = model(**batch, pixel_values=volumes)
    assert output.loss.item() == pytest.approx(float(golden["train.lm_loss"]), abs=ATOL)
    _close(output.logits[1, :4], golden["train.logits_row1_first4"])
    d0, d1, h0, h1, w0, w1 = golden["train.seg_target_box"].tolist()
    target = torch.zeros(2, 1, 32, 64, 64)
    target[1, 0, d0:d1, h0:h1, w0:w1] = 1
    output = model(**batch, pixel_values=volumes, mask_labels=target)
    assert output.loss.item() == pytest.approx(float(golden["train.total_loss"]), abs=ATOL)


def test_training_samples_are_written_as_recorded(
    loaded: tuple[Checkpoint, Any], golden: Any
) -> None:
    processor = loaded[0].processor
    for row in range(2):
        # The published mask leaves the end token out, though it is a label.
        length = int(golden["train.attention_mask"][row].sum()) + 1
        ids, labels = golden["train.input_ids"][row][:length], golden["train.labels"][row][:length]
        asked = int((labels == -100).sum())
        question = processor.decode(ids[:asked]).strip()
        answer = processor.decode(ids[asked:], skip_special_tokens=True)
        batch = processor([f" {question}"], answers=[answer])
        np.testing.assert_array_equal(batch["input_ids"][0], ids)
        np.testing.assert_array_equal(batch["labels"][0], labels)


def test_every_published_weight_has_its_place_or_is_known_to_be_unused(
    fixtures: Path, loaded: tuple[Checkpoint, Any]
) -> None:
    from med2e3.checkpoints.m3d_lamed import native_key

    shapes = json.loads((fixtures / "m3d_lamed" / "state_dict_keys.json").read_text())
    own = {key: list(tensor.shape) for key, tensor in loaded[1].state_dict().items()}
    named = {native_key(key): shape for key, shape in shapes.items() if native_key(key)}
    assert named == own
    unused = {key for key in shapes if not native_key(key)}
    assert all("seg_module" in key for key in unused)


@torch.no_grad()
def test_without_a_start_token_no_text_is_lost_which_the_published_code_does(
    loaded: tuple[Checkpoint, Any], golden: Any, volumes: Tensor, questions: list[str]
) -> None:
    checkpoint, model = loaded
    with_start = checkpoint.processor(questions[1], volumes[1:])["input_ids"]
    without = with_start[:, 1:]
    features = model.encode_images(volumes[1:])
    count = features.shape[1]
    rows = model.splice(without, features)
    torch.testing.assert_close(rows[:, :count], features)
    text = model.get_input_embeddings()(without[:, count:])
    torch.testing.assert_close(rows[:, count:], text)
    # The published code keeps row 0 and overwrites the `count` rows after it, whatever they hold.
    embedded = model.get_input_embeddings()(without)
    published = torch.cat([embedded[:, :1], features, embedded[:, count + 1 :]], dim=1)
    assert published.shape == rows.shape
    lost = model.get_input_embeddings()(without[0, count])
    assert not (published[0] == lost).all(dim=-1).any()
    assert (rows[0] == lost).all(dim=-1).any()


@torch.no_grad()
def test_a_batch_answers_as_each_question_alone(
    loaded: tuple[Checkpoint, Any], golden: Any, volumes: Tensor, questions: list[str]
) -> None:
    checkpoint, model = loaded
    batch = checkpoint.processor(questions, volumes)
    output = model.generate(**batch, max_new_tokens=6, do_sample=False)
    for row in range(2):
        new = output[row, batch["input_ids"].shape[1] :].tolist()
        assert new == golden[f"q{row}.generated_ids"][:6].tolist()


def test_too_few_places_for_the_volume_are_refused(loaded: tuple[Checkpoint, Any]) -> None:
    checkpoint, model = loaded
    ids = checkpoint.processor("What is this?")["input_ids"][:, 2:]
    with pytest.raises(ValueError, match=r"hold \[15\] placeholders .* each needs 16"):
        model.splice(ids, torch.zeros(1, 16, 64))


TINY: dict[str, Any] = {
    "vision_config": {
        "image_size": (8, 16, 16), "patch_size": (2, 4, 4), "hidden_size": 16,
        "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
    },
    "text_config": {
        "model_type": "llama", "vocab_size": 40, "hidden_size": 16, "intermediate_size": 32,
        "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2,
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
    },
    "image_token_id": 36, "box_start_id": 37, "box_end_id": 38, "seg_token_id": 39,
}  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "tokens", "keys"),
    [
        ({"projector": "spp"}, 8, ["projector.0", "projector.2"]),
        ({"projector": "spp", "projector_layer": "linear"}, 8, ["projector.0", "projector.1"]),
        ({"projector": "spp", "projector_layers": 3}, 8, [f"projector.{k}" for k in (0, 2, 4)]),
        ({"projector": "spp", "pooling": "sequence"}, 8, ["projector.0", "projector.2"]),
        ({"projector": "linear"}, 64, [""]),
        ({"projector": "identity"}, 64, []),
    ],
)
@torch.no_grad()
def test_each_projector_has_the_published_keys_and_number_of_tokens(
    settings: dict[str, Any], tokens: int, keys: list[str]
) -> None:
    config = M3DLaMedConfig(**TINY, **settings)
    model = M3DLaMedForConditionalGeneration(config).eval()
    assert config.num_visual_tokens == tokens
    found = model.connector3d.state_dict()
    expected = {f"{key}.{part}".lstrip(".") for key in keys for part in ("weight", "bias")}
    assert set(found) == expected
    assert model.encode_images(torch.rand(2, 1, 8, 16, 16)).shape == (2, tokens, 16)


@torch.no_grad()
def test_spatial_and_sequence_pooling_average_different_neighbours() -> None:
    tokens = torch.arange(64.0)[None, :, None].expand(1, 64, 16)
    means = {}
    for pooling in ("spatial", "sequence"):
        projector = PROJECTORS["spp"](M3DLaMedConfig(**TINY, pooling=pooling))
        projector.projector = torch.nn.Identity()
        means[pooling] = projector(tokens)[0, :, 0].tolist()
    # A grid of 4 × 4 × 4 cells: the first cube holds 0, 1, 4, 5 and the same one layer below.
    assert means["spatial"][0] == np.mean([0, 1, 4, 5, 16, 17, 20, 21])
    assert means["sequence"][0] == np.mean(range(8))
    assert len(means["spatial"]) == len(means["sequence"]) == 8


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"projector": "perceiver"}, "is not one of 'spp', 'linear', 'identity'"),
        ({"pool": 3}, "no multiple of pool=3"),
        ({"seg_token_id": 40}, "outside of the vocabulary"),
        ({"segmentation": "sam"}, "is not one of"),
    ],
)
def test_a_config_that_cannot_work_says_why(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        M3DLaMedConfig(**{**TINY, **settings})


@torch.no_grad()
def test_the_llama_form_answers_draws_and_comes_back_from_disk(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = M3DLaMedForConditionalGeneration(M3DLaMedConfig(**TINY)).eval()
    volume = torch.rand(1, 1, 8, 16, 16)
    ids = torch.tensor([[1, *[36] * 8, 5, 6, 7]])
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": volume}
    tokens, states = _answer(model, batch, 6, {1})
    (mask,) = model.segment(model.segvol.encode(volume), tokens, states)
    assert mask.shape == (1, 8, 16, 16)
    # What the cache gave is what one pass over prompt and answer gives.
    whole = torch.cat([ids, tokens], dim=1)
    again = model(input_ids=whole, pixel_values=volume, output_hidden_states=True)
    torch.testing.assert_close(again.hidden_states[-1][:, 11:-1], states)
    model.save_pretrained(tmp_path)
    loaded = M3DLaMedForConditionalGeneration.from_pretrained(tmp_path).eval()
    tokens_again, states_again = _answer(loaded, batch, 6, {1})
    assert tokens_again.tolist() == tokens.tolist()
    (mask_again,) = loaded.segment(loaded.segvol.encode(volume), tokens_again, states_again)
    torch.testing.assert_close(mask_again, mask)


def test_a_model_without_mask_head_says_so() -> None:
    model = M3DLaMedForConditionalGeneration(M3DLaMedConfig(**TINY, segmentation=""))
    assert not [key for key in model.state_dict() if key.startswith("seg")]
    with pytest.raises(ValueError, match="without a mask head"):
        model.mask_prompts(torch.zeros(1, 1), torch.zeros(1, 1, 16))


def test_the_mask_loss_teaches_the_head_to_draw() -> None:
    torch.manual_seed(0)
    head = {"vision_config": {**TINY["vision_config"], "class_token": False}}
    config = M3DLaMedConfig(**TINY, segvol_config={**head, "decoder_mlp_size": 32})
    model = M3DLaMedForConditionalGeneration(config)
    volume = torch.rand(2, 1, 8, 16, 16)
    ids = torch.tensor([[1, *[36] * 8, 5, 6, 39, 2], [1, *[36] * 8, 5, 7, 39, 2]])
    labels = ids.masked_fill(torch.arange(ids.shape[1]) < 11, -100)
    target = torch.zeros(2, 1, 8, 16, 16)
    target[0, :, :, :8], target[1, :, :, 8:] = 1, 1
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(120):
        output = model(input_ids=ids, labels=labels, pixel_values=volume, mask_labels=target)
        optimiser.zero_grad()
        output.loss.backward()
        optimiser.step()
    drawn = output.mask_logits > 0
    overlap = (drawn & (target > 0)).sum() / (drawn | (target > 0)).sum()
    assert overlap.item() > 0.9


def test_prompts_follow_the_published_code() -> None:
    class Words:
        """Enough of a tokenizer to see the text."""

        def convert_ids_to_tokens(self, token: int) -> str:
            return "<im_patch>"

    processor = M3DLaMedProcessor.__new__(M3DLaMedProcessor)
    processor.tokenizer, processor.num_visual_tokens = Words(), 2
    processor.image_token_id, processor.separator = 36, None
    patches = "<im_patch><im_patch>"
    assert processor.prompt("Describe it.") == f"{patches}Describe it."
    assert processor.prompt(" Describe it.") == f"{patches} Describe it."
    closed = "Which plane? Choices: A. axial B. coronal"
    assert processor.prompt(closed) == f"{patches} {closed}"
    processor.separator = ""
    assert processor.prompt(closed) == f"{patches}{closed}"


def test_transformers_own_classes_load_a_converted_folder(fixtures: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    folder = convert(fixtures / "m3d_lamed" / "checkpoint", tmp_path / "native")
    model = AutoModelForImageTextToText.from_pretrained(folder, local_files_only=True)
    assert isinstance(model, M3DLaMedForConditionalGeneration)
    processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
    assert isinstance(processor, M3DLaMedProcessor)
    assert processor.num_visual_tokens == 16
