"""Teaching the language model on text alone: the true report stands in place of the scan.

Knows nothing of images.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from med2e3.fields import Count
from med2e3.files import write_whole
from med2e3.model.placing import device_of
from med2e3.model.prompts import IGNORE
from med2e3.phantoms.facts import draw_facts, report
from med2e3.phantoms.language import ask
from med2e3.phantoms.questions import LETTERS, TOPICS, Question, draw_question
from med2e3.training.precision import half_precision
from med2e3.training.stage_recipe import Mix, StageRecipe, check_mix
from med2e3.training.stages.answers import AnswerCollator, Conversation, answer_loss, first_of
from med2e3.training.stages.base import PhantomStage, Reads, StageData
from med2e3.training.stages.words import WORDS_FILE, about_report, words_right

#: Beside the stage's checkpoint: the share of right letters of each topic.
LETTERS_FILE = "text-letters.json"

#: Questions of each topic that are judged at the end, and at most as many as a step has texts.
JUDGED = 24

#: How often a question offers choices, where its topic has them. More often than in tuning: this is
#: where answering by letter is learned.
CLOSED = 0.8

#: Share of text batches that are letter drills, with a loss on letters alone: finding the letter of
#: a given text is a skill of its own; without drills letters stayed at chance for 1000 steps.
DRILL = 0.4

#: Topics of letter drills, all alike whatever the mix: which letter stands before a word has to be
#: learned for every topic's words.
DRILLED: dict[str, float] = dict.fromkeys(TOPICS, 1.0)

#: How often the report in a text question leaves out what is normal: half the length to read.
BRIEF = 0.7


def draw_topic(mix: Mix, rng: np.random.Generator) -> str:
    """A topic as often as the mix says."""
    names = list(mix)
    shares = np.array([mix[name] for name in names])
    return names[int(rng.choice(len(names), p=shares / shares.sum()))]


def letter_drill(question: Question, rng: np.random.Generator) -> Conversation:
    """The question's choices, and as the answer each of them in random order with its letter."""
    listed = " ".join(f"{a}. {c}" for a, c in zip(LETTERS, question.choices, strict=False))
    order = [int(k) for k in rng.permutation(len(question.choices))]
    said = "; ".join(f"{question.choices[k]}: {LETTERS[k]}" for k in order)
    return ((f"Choices: {listed}", said),)


@dataclass(frozen=True)
class TextRecipe(StageRecipe):
    """A micro-batch has `rows` texts, with questions on the topics of `mix`."""

    rows: Count
    mix: Mix

    def __post_init__(self) -> None:
        super().__post_init__()
        check_mix(self.mix)

    def smoke(self) -> Self:
        """Three steps of four texts."""
        return replace(super().smoke(), rows=4)

    def micro_batch(self) -> str:
        """How many texts."""
        return f"{self.rows} texts"


class TextStage(PhantomStage[TextRecipe]):
    """Questions about a report that is given in words."""

    recipe_class = TextRecipe
    reads = Reads.TEXTS
    modules = {"": "language_model"}  # noqa: RUF012 - a constant of the class

    def __init__(
        self, name: str, language_model: nn.Module, collator: AnswerCollator, rows: int, mix: Mix
    ) -> None:
        self.name, self.module = name, language_model
        self.collator, self.rows, self.mix = collator, rows, mix
        words = collator.processor.tokenizer
        self.letters = torch.tensor(
            [words(f" {a}", add_special_tokens=False)["input_ids"][0] for a in LETTERS]
        )

    @classmethod
    def build(cls, recipe: TextRecipe, data: StageData) -> Self:
        """The language model and the tokenizer; the texts are made up at each step."""
        collator = AnswerCollator(data.processor())
        return cls(recipe.name, data.model().language_model, collator, recipe.rows, recipe.mix)

    def loss(self, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """Answer loss of a batch of made-up facts."""
        drill = bool(rng.random() < DRILL)
        rows: list[Conversation] = []
        closed: list[bool] = []
        while len(rows) < self.rows:
            facts = draw_facts(rng)
            topic = draw_topic(DRILLED if drill else self.mix, rng)
            offered = drill or bool(rng.random() < CLOSED)
            question = ask(facts, topic, closed=offered, rng=rng)
            if drill and question.is_closed:
                rows.append(letter_drill(question, rng))
            elif not drill:
                said = report(facts, brief=bool(rng.random() < BRIEF))
                rows.append(about_report(said, question))
                closed.append(question.is_closed)
        device = device_of(self.module)
        batch = self.collator.batch(rows, device, image=False)
        if drill:
            letters = torch.isin(batch["labels"], self.letters.to(device))
            batch["labels"][~letters] = IGNORE
            batch["weights"] = letters.float() / letters.sum(dim=1, keepdim=True)
        with half_precision(device):
            embedded = self.module.get_input_embeddings()(batch["input_ids"])  # type: ignore[operator]
            loss, right = answer_loss(self.module, embedded, batch)
        if drill:
            return loss, {"drill": float(right.mean()), "right": math.nan, "closed": math.nan}
        share = float(right.cpu()[torch.tensor(closed)].mean())
        return loss, {"drill": math.nan, "right": float(right.mean()), "closed": share}

    def finish(self, folder: Path) -> None:
        """Writes the share of right letters of each topic, and of right answers in free words."""
        shares = letters_right(self.module, self.collator)
        write_whole(folder / LETTERS_FILE, json.dumps(shares))
        words = words_right(self.module, self.collator, min(self.rows, JUDGED))
        write_whole(folder / WORDS_FILE, json.dumps(words, indent=1) + "\n")


@torch.inference_mode()
def letters_right(
    language_model: nn.Module, collator: AnswerCollator, questions: int = 64
) -> dict[str, float]:
    """Of each topic, the share of closed questions about a report in words (always the same ones)
    whose letter is the most likely first word of the answer.

    What is at chance here stays there: tuning repairs no letters, however well the scan is seen.
    """
    device = device_of(language_model)
    model: Any = language_model
    was_training = model.training
    model.eval()
    shares = {}
    for topic in TOPICS:
        rng = np.random.default_rng(0)
        rows: list[Conversation] = []
        while len(rows) < questions:
            facts = draw_facts(rng)
            question = draw_question(facts, topic, closed=True, rng=rng)
            if question.is_closed:
                rows.append(about_report(report(facts, brief=True), question))
        batch = collator.batch(rows, device, image=False)
        target = batch["labels"][:, 1:]
        first = first_of(target != IGNORE)
        with half_precision(device):
            hidden = model.model(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                use_cache=False,
            ).last_hidden_state
            said = model.lm_head(hidden[:, :-1][first]).argmax(-1)
        shares[topic] = round(float((said == target[first]).float().mean()), 3)
    model.train(was_training)
    return shares
