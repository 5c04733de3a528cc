"""What the model promises, at sizes of a few thousand parameters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from med2e3.model import Med2E3Config, Med2E3ForConditionalGeneration, Med2E3Processor
from med2e3.model.tgis import slice_keys

STEM2D = [
    {"channels": 8, "stride": [2, 2]},
    {"channels": 16, "stride": [2, 2], "dilations": [1, 2]},
]
STEM3D = [
    {"channels": 8, "stride": [1, 2, 2]},
    {"channels": 16, "stride": [2, 2, 2], "dilations": [1]},
]
SMALL_MODEL_CHOICES: dict[str, Any] = {
    "vision2d_stem": STEM2D,
    "vision3d_config": {"stem": STEM3D, "class_token": False},
    "vision2d_feature": "normed",
    "vision3d_feature": "normed",
    "score_norm": "layer_norm",
    "text_projection": "linear",
    "learnable_temperature": True,
    "score_temperature": 0.3,
    "position_embeddings": "tokens+slices",
}
TEXT_ENCODER: dict[str, Any] = {
    "text_source": "text_encoder",
    "text_projection": "linear",
    "text_encoder_config": {
        "vocab_size": 50,
        "hidden_size": 12,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 24,
    },
}

Make = Callable[..., Any]


@pytest.fixture
def volumes() -> torch.Tensor:
    return torch.rand((2, 1, 8, 32, 32), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def batch(tiny_config: Make, tiny_tokenizer: Any) -> Make:
    def make(config: Med2E3Config, **given: Any) -> Any:
        processor = Med2E3Processor.for_model(config, tiny_tokenizer, template="short")
        given.setdefault("answers", ["axial .", "yes"])
        return processor(["what plane ?", "is there a nodule in the left lung ?"], **given)

    return make


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"aggregation": "mean"},
        {"aggregation": "max"},
        {"aggregation": "random"},
        {"encoders": "3d"},
        {"encoders": "2d", "local_features": "2d"},
        {"local_features": "3d"},
        {"text_source": "none", "local_features": "3d"},
        {"local_features": "2d"},
        TEXT_ENCODER,
        SMALL_MODEL_CHOICES,
        {"position_embeddings": "tokens"},
        {"text_config": {"model_type": "llama"}},
        {"text_config": {"tie_word_embeddings": True}},
    ],
    ids=lambda c: ",".join(f"{k}={v}" if isinstance(v, str) else k for k, v in c.items())[:60],
)
def test_every_choice_learns_saves_and_loads(
    choices: dict[str, Any], tiny_model: Make, batch: Make, volumes: torch.Tensor, tmp_path: Path
) -> None:
    model = tiny_model(**choices)
    inputs = batch(model.config, volumes=volumes)
    torch.manual_seed(5)
    output = model.train()(**inputs)
    output.loss.backward()
    idle = [n for n, p in model.named_parameters() if p.grad is None]
    assert idle == []
    model.eval().save_pretrained(tmp_path)
    again, info = Med2E3ForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    with torch.no_grad():
        torch.manual_seed(7)
        expected = model(**inputs)
        torch.manual_seed(7)
        torch.testing.assert_close(again(**inputs).logits, expected.logits)


def test_scores_sum_to_one_and_follow_the_question(
    tiny_model: Make, batch: Make, volumes: torch.Tensor
) -> None:
    model = tiny_model(**SMALL_MODEL_CHOICES)
    with torch.no_grad():
        scores = model(**batch(model.config, volumes=volumes[:1].repeat(2, 1, 1, 1, 1))).scores
    assert scores.shape == (2, 8)
    torch.testing.assert_close(scores.sum(1), torch.ones(2))
    assert (scores[0] - scores[1]).abs().max() > 1e-4


def test_scores_are_the_papers_equations(tiny_model: Make, volumes: torch.Tensor) -> None:
    """Equations (4)-(8) and algorithm 1 written out with loops, against the model's products."""
    model = tiny_model(score_temperature=1.0)
    ids, mask = torch.tensor([[5, 9, 3], [7, 4, 1]]), torch.tensor([[1, 1, 1], [1, 1, 0]])
    with torch.no_grad():
        features = model.encode_images(volumes)
        text = model.encode_question(ids, mask)
        scores = model.score(features.keys, text)
        visual = model.visual_tokens(features, scores)
        embedding = model.get_input_embeddings().weight
        for b in range(2):
            words = [embedding[i] for i, m in zip(ids[b], mask[b], strict=True) if m]
            question = torch.stack(words).mean(0)
            layers = features.tokens3d[b].view(2, 4, -1)  # 4 slice patches pooled by 2; 2 × 2 cells
            products = []
            for j in range(8):
                local = torch.cat([layers[j // 4], features.tokens2d[b, j]])
                products.append(local.mean(0) @ question)
            expected = torch.stack(products).softmax(0)
            torch.testing.assert_close(scores[b], expected)
            mixed = sum(expected[j] * features.tokens2d[b, j] for j in range(8))
            torch.testing.assert_close(visual[b, :8], features.tokens3d[b])
            torch.testing.assert_close(visual[b, 8:], mixed)


def test_neighbouring_slices_share_the_layer_of_3d_tokens_that_holds_them() -> None:
    """Algorithm 1 of the paper: layer d of D belongs to the slices from d S / D on."""
    layers = torch.tensor([10.0, 20.0, 30.0])
    tokens3d = layers.repeat_interleave(4).view(1, 12, 1)  # 3 layers of 4 tokens
    tokens2d = torch.arange(6.0).view(1, 6, 1, 1).expand(1, 6, 4, 1)  # 6 slices of 4 patches
    keys = slice_keys(tokens3d, tokens2d, depth=3)
    assert keys.flatten().tolist() == [5.0, 5.5, 11.0, 11.5, 17.0, 17.5]


def test_left_out_slices_weigh_nothing_and_the_rest_is_renormalised(
    tiny_model: Make, volumes: torch.Tensor
) -> None:
    model = tiny_model()
    keep = torch.ones(1, 8, dtype=torch.bool)
    keep[0, [2, 5]] = False
    with torch.no_grad():
        features = model.encode_images(volumes[:1])
        text = model.encode_question(torch.tensor([[4, 5]]), torch.tensor([[1, 1]]))
        full, partial = model.score(features.keys, text), model.score(features.keys, text, keep)
    assert partial[0, [2, 5]].tolist() == [0.0, 0.0]
    torch.testing.assert_close(partial[keep], full[keep] / full[keep].sum())


@pytest.mark.parametrize("aggregation", ["tgis", "mean", "max"])
def test_many_questions_share_one_volumes_features(
    aggregation: str, tiny_model: Make, batch: Make, volumes: torch.Tensor
) -> None:
    model = tiny_model(aggregation=aggregation)
    with torch.no_grad():
        plain = model(**batch(model.config, volumes=volumes[[1, 0]]))
        index = torch.tensor([1, 0])
        features = model.encode_images(volumes)
        shared = model(**batch(model.config), image_features=features, volume_index=index)
    torch.testing.assert_close(shared.logits, plain.logits)
    if plain.scores is not None:
        torch.testing.assert_close(shared.scores, plain.scores)


def test_a_pointing_loss_reaches_encoders_and_question(
    tiny_model: Make, batch: Make, volumes: torch.Tensor
) -> None:
    model = tiny_model(**SMALL_MODEL_CHOICES)
    output = model(**batch(model.config, volumes=volumes))
    mass = output.score_logits.log_softmax(1)[:, :2].logsumexp(1)
    (-mass.mean()).backward()
    for part in (model.vision2d, model.vision3d, model.text_projection, model.scorer):
        gradients = [p.grad.abs().sum() for p in part.parameters() if p.grad is not None]
        assert float(sum(gradients)) > 0


def test_bf16_autocast_trains_on_the_cpu(
    tiny_model: Make, batch: Make, volumes: torch.Tensor
) -> None:
    model = tiny_model(**SMALL_MODEL_CHOICES).train()
    with torch.autocast("cpu", torch.bfloat16):
        output = model(**batch(model.config, volumes=volumes))
    output.loss.backward()
    assert torch.isfinite(output.loss)
    assert output.scores.dtype == torch.float32
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_bf16_weights_run_on_the_cpu(tiny_model: Make, batch: Make, volumes: torch.Tensor) -> None:
    model = tiny_model().to(torch.bfloat16)
    with torch.no_grad():
        assert torch.isfinite(model(**batch(model.config, volumes=volumes)).loss)


def test_labels_of_questions_do_not_count(
    tiny_model: Make, batch: Make, volumes: torch.Tensor
) -> None:
    model = tiny_model()
    inputs = batch(model.config, volumes=volumes)
    with torch.no_grad():
        output = model(**inputs)
        logits = output.logits[:, :-1].flatten(0, 1)
        targets = inputs["labels"][:, 1:].flatten()
        expected = torch.nn.functional.cross_entropy(
            logits[targets != -100], targets[targets != -100]
        )
    torch.testing.assert_close(output.loss, expected)


def test_generate_continues_with_cache_as_without(
    tiny_model: Make, batch: Make, volumes: torch.Tensor
) -> None:
    model = tiny_model()
    inputs = batch(model.config, volumes=volumes, answers=None)
    settings = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None}
    cached = model.generate(**inputs, **settings)
    assert cached.shape[1] == inputs["input_ids"].shape[1] + 6
    assert torch.equal(cached, model.generate(**inputs, **settings, use_cache=False))


def test_padding_does_not_change_an_answer(
    tiny_model: Make, batch: Make, tiny_tokenizer: Any, volumes: torch.Tensor
) -> None:
    model = tiny_model()
    processor = Med2E3Processor.for_model(model.config, tiny_tokenizer, template="short")
    both = batch(model.config, volumes=volumes, answers=None)
    alone = processor("what plane ?", volumes[:1])
    settings = {"max_new_tokens": 5, "do_sample": False, "eos_token_id": None}
    padded = model.generate(**both, **settings)[0, -5:]
    assert padded.tolist() == model.generate(**alone, **settings)[0, -5:].tolist()


def test_text_alone_needs_no_volume(tiny_model: Make, tiny_tokenizer: Any) -> None:
    model = tiny_model()
    processor = Med2E3Processor.for_model(model.config, tiny_tokenizer, template="short")
    inputs = processor(["what organ ?"], answers=["liver"], image=False)
    with torch.no_grad():
        output = model(**inputs)
    assert output.scores is None
    assert torch.isfinite(output.loss)


def test_a_prompt_without_its_volume_is_refused(tiny_model: Make, batch: Make) -> None:
    model = tiny_model()
    with pytest.raises(ValueError, match="placeholders for visual tokens"):
        model(**batch(model.config))


def test_a_stem_sees_one_bright_voxel(tiny_model: Make, volumes: torch.Tensor) -> None:
    """Max-pooling keeps a lesion of one voxel: its patch changes most."""
    model = tiny_model(vision2d_stem=STEM2D)
    marked = volumes[:1].clone()
    marked[0, 0, 3, 20, 4] += 5
    with torch.no_grad():
        stem = model.vision2d.siglip.embeddings
        change = (stem(marked[0, 0, 3][None, None]) - stem(volumes[0, 0, 3][None, None])).abs()
    assert change.sum(-1)[0].argmax() == 2  # row 20, column 4: the lower left of 2 × 2 patches


def test_transformers_own_auto_classes_find_the_model(tiny_folder: Make) -> None:
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

    folder = tiny_folder()
    assert isinstance(AutoConfig.from_pretrained(folder), Med2E3Config)
    model = AutoModelForImageTextToText.from_pretrained(folder, device_map={"": "cpu"})
    assert isinstance(model, Med2E3ForConditionalGeneration)
    assert isinstance(AutoProcessor.from_pretrained(folder), Med2E3Processor)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_attention_kernels_agree(
    attention: str, tiny_model: Make, batch: Make, volumes: torch.Tensor, tmp_path: Path
) -> None:
    model = tiny_model(**SMALL_MODEL_CHOICES)
    model.save_pretrained(tmp_path)
    other = Med2E3ForConditionalGeneration.from_pretrained(tmp_path, attn_implementation=attention)
    assert other.vision3d.blocks[0].attn.eager == (attention == "eager")
    inputs = batch(model.config, volumes=volumes)
    with torch.no_grad():
        torch.testing.assert_close(other(**inputs).logits, model(**inputs).logits)


def test_activation_checkpointing_changes_no_gradient(
    tiny_model: Make, batch: Make, volumes: torch.Tensor
) -> None:
    gradients = []
    for checkpointing in (False, True):
        model = tiny_model(**SMALL_MODEL_CHOICES).train()
        if checkpointing:
            model.activation_checkpointing_enable()
        model(**batch(model.config, volumes=volumes)).loss.backward()
        gradients.append(model.vision3d.blocks[0].attn.qkv.weight.grad)
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"aggregation": "attention"}, "aggregation='attention' is not one of"),
        ({"text_source": "text_encoder"}, "needs a text_encoder_config"),
        ({"encoders": "2d"}, "leaves local_features='2d'"),
        ({"text_source": "none", "text_projection": "linear"}, "leaves text_projection='none'"),
        ({"text_config": {"model_type": "gpt2"}}, "'gpt2' is not one of"),
        ({"vision2d_config": {"image_size": 64}}, "of 64 squared"),
        ({"pool3d": 3}, "no multiple of pool3d=3"),
        ({"vision3d_config": {"patch_size": [3, 8, 8]}}, "no multiple of the patch"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_configs_that_cannot_work_say_why(
    choices: dict[str, Any], message: str, tiny_config: Make
) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_config(**choices)


def test_a_stem_whose_strides_do_not_fit_is_refused(tiny_model: Make) -> None:
    with pytest.raises(ValueError, match="strides of 3 do not divide a patch of 16"):
        tiny_model(vision2d_stem=[{"channels": 8, "stride": [3, 3]}])
