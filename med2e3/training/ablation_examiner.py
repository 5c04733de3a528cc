"""What a variant of the ablations gets right of held-out phantoms.

Knows nothing of how variants differ or are trained.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from med2e3.evaluation.metrics import bleu1, closed_right_strict, same_words, says_yes
from med2e3.model import Med2E3ForConditionalGeneration, Med2E3Processor
from med2e3.phantoms.facts import findings_in
from med2e3.phantoms.questions import Question, all_questions, location
from med2e3.training.data.features import Features
from med2e3.training.data.pool import KIND_NAMES, Example

#: Longest answer and longest report in tokens, and phantoms asked at a time.
ANSWER_TOKENS, REPORT_TOKENS, BATCH = 20, 140, 5


def examine(
    model: Med2E3ForConditionalGeneration,
    processor: Med2E3Processor,
    examples: Sequence[Example],
    features: Features,
) -> list[dict[str, float]]:
    """What the model gets right of each held-out phantom: a mean for every figure that applies."""
    rows: list[dict[str, float]] = []
    for start in range(0, len(examples), BATCH):
        part = list(range(start, min(start + BATCH, len(examples))))
        rows += _examine_part(model, processor, [examples[k] for k in part], features.take(part))
    return rows


@torch.inference_mode()
def _examine_part(
    model: Med2E3ForConditionalGeneration,
    processor: Med2E3Processor,
    examples: Sequence[Example],
    encoded: tuple[torch.Tensor, torch.Tensor],
) -> list[dict[str, float]]:
    features = model.connect_features(*encoded)
    asked = [(k, q) for k, e in enumerate(examples) for q in all_questions(e.facts, e.seed)]
    short = [(k, q) for k, q in asked if q.topic != "report"]
    long = [(k, q) for k, q in asked if q.topic == "report"]
    found: list[dict[str, list[float]]] = [{} for _ in examples]
    for rows, tokens in ((short, ANSWER_TOKENS), (long, REPORT_TOKENS)):
        batch = processor([q.prompt for _, q in rows], volume_index=[k for k, _ in rows])
        made = model.generate(
            **batch, image_features=features, max_new_tokens=tokens, do_sample=False,
            eos_token_id=processor.tokenizer.eos_token_id,
            pad_token_id=processor.tokenizer.pad_token_id,
        )[:, batch["input_ids"].shape[1] :]  # fmt: skip
        for (k, question), answer in zip(rows, made.tolist(), strict=True):
            for name, value in _judge(question, processor.decode(answer).strip()).items():
                found[k].setdefault(name, []).append(value)
    if model.scorer is not None and features.keys is not None:
        for k, example in enumerate(examples):
            for name, values in _pointing(model, processor, example, features.keys[k]).items():
                found[k].setdefault(name, []).extend(values)
    return [{name: float(np.mean(v)) for name, v in each.items()} for each in found]


def _judge(question: Question, answer: str) -> dict[str, float]:
    if question.is_closed:
        return {"closed": float(closed_right_strict(answer, question.letter))}
    if question.topic == "presence":
        there = question.is_present
        return {"yes" if there else "no": float(says_yes(answer) is there)}
    if question.topic == "report":
        claimed, true = findings_in(answer), findings_in(question.answer_text)
        return {
            "BLEU-1": bleu1(answer, question.answer_text),
            "claimed": float(len(claimed)), "true": float(len(true)),
            "hit": float(len(claimed & true)),
        }  # fmt: skip
    return {"open": float(same_words(answer, question.answer))}


def _pointing(
    model: Med2E3ForConditionalGeneration,
    processor: Med2E3Processor,
    example: Example,
    keys: torch.Tensor,
) -> dict[str, list[float]]:
    """Per finding: does the highest score lie on its slices, and how much of the mass."""
    names = sorted(example.facts.names)
    if not names:
        return {}
    rng = np.random.default_rng(example.seed)
    prompts = [location(example.facts, name, False, rng).prompt for name in names]
    batch = processor(prompts, volume_index=[0] * len(prompts))
    text = model.encode_question(batch["question_ids"], batch["question_mask"])
    scores = model.score(keys.expand(len(prompts), -1, -1), text).float().numpy()
    held = example.slices[[KIND_NAMES.index(name) for name in names]]
    return {
        "pointing": [float(h[int(s.argmax())]) for s, h in zip(scores, held, strict=True)],
        "mass": [float(s[h].sum()) for s, h in zip(scores, held, strict=True)],
        "chance": [float(h.mean()) for h in held],
    }
