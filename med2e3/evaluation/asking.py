"""Many questions at once: what `Session.ask` gives, for a batch, without streaming.

Greedy decoding on features that were computed once; a test holds it against the engine. Knows
nothing of phantoms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from med2e3.model import Med2E3ForConditionalGeneration, Med2E3Processor
from med2e3.model.modeling import ImageFeatures


@dataclass(frozen=True)
class Reply:
    """An answer, and the weight of every model slice (empty where the model has no scores)."""

    text: str
    scores: tuple[float, ...]


def ask_all(
    model: Med2E3ForConditionalGeneration,
    processor: Med2E3Processor,
    features: ImageFeatures,
    questions: Sequence[tuple[int, str]],
    max_new_tokens: int,
) -> list[Reply]:
    """Answers to (volume number, question); all in one batch."""
    index = [volume for volume, _ in questions]
    batch = processor([q for _, q in questions], volume_index=index).to(model.device)
    with torch.inference_mode():
        made = model.generate(
            **batch,
            image_features=features,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=processor.tokenizer.eos_token_id,
            pad_token_id=processor.tokenizer.pad_token_id,
        )
        fresh = made[:, batch["input_ids"].shape[1] :]
    texts = [processor.decode(row).strip() for row in fresh.tolist()]
    scores = score_all(model, processor, features, questions)
    return [Reply(text, row) for text, row in zip(texts, scores, strict=True)]


def score_all(
    model: Med2E3ForConditionalGeneration,
    processor: Med2E3Processor,
    features: ImageFeatures,
    questions: Sequence[tuple[int, str]],
) -> list[tuple[float, ...]]:
    """The slice scores alone; empty rows where the model has none."""
    if model.scorer is None or features.keys is None:
        return [()] * len(questions)
    index = torch.tensor([volume for volume, _ in questions], device=model.device)
    batch = processor([q for _, q in questions], volume_index=index.tolist()).to(model.device)
    with torch.inference_mode():
        text = model.encode_question(batch["question_ids"], batch["question_mask"])
        scores = model.score(features.keys[index], text)
    return [tuple(row) for row in scores.float().tolist()]


def stack_grids(
    grids: Sequence[torch.Tensor], like: Med2E3ForConditionalGeneration
) -> torch.Tensor:
    """Model grids (1, S, H, W) as a batch in the model's type and place."""
    return torch.stack(list(grids)).to(like.device, next(like.parameters()).dtype)
