"""The small tokenizer of a model trained from nothing: byte-level BPE of the phantoms' language.

Every byte is a token of last resort, so any text a user types can be written. Knows nothing of
models.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from med2e3.model.prompts import TEMPLATES
from med2e3.phantoms.facts import draw_facts, report
from med2e3.phantoms.language import EVERY_TOPIC, ask

PAD, END = "<|pad|>", "<|endoftext|>"


def texts(count: int, seed: int) -> Iterator[str]:
    """Prompts, answers and reports as training will see them."""
    rng = np.random.default_rng(seed)
    template = TEMPLATES["short"]
    for _ in range(count):
        facts = draw_facts(rng)
        yield report(facts)
        topic = EVERY_TOPIC[int(rng.integers(len(EVERY_TOPIC)))]
        question = ask(facts, topic, closed=bool(rng.random() < 0.5), rng=rng)
        turns = [f"{template.user.format(q)}{template.assistant} {a}" for q, a in question.turns]
        yield "".join(turns)


def train_tokenizer(count: int, size: int, seed: int) -> Any:
    """A transformers tokenizer learned from `count` phantoms, with at most `size` tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[PAD, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(count, seed), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, model_max_length=512
    )
