"""Teaching connectors, slice scores and language model what the frozen encoders see.

The pointing loss asks the scores to lie on the slices that hold what the question is about. Knows
nothing of how features were made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from med2e3.fields import Count, NotNegative, Share
from med2e3.model import ImageFeatures, Med2E3ForConditionalGeneration
from med2e3.model.placing import device_of
from med2e3.phantoms.language import ask
from med2e3.phantoms.questions import Question
from med2e3.training.data.features import Features
from med2e3.training.data.pool import KIND_NAMES, Example
from med2e3.training.precision import half_precision
from med2e3.training.stage_recipe import Mix, StageRecipe, check_mix
from med2e3.training.stages.answers import AnswerCollator, Opening, answer_loss
from med2e3.training.stages.base import PhantomStage, Reads, StageData
from med2e3.training.stages.pointing import pointing_loss
from med2e3.training.stages.text import TextStage, draw_topic

#: How often a question offers choices, where its topic has them.
CLOSED = 0.6

#: Parts of the model that tuning holds; the last one may stay as it is.
PARTS = (
    "connector3d", "connector2d", "positions", "scorer", "text_projection", "language_model",
)  # fmt: skip


@dataclass(frozen=True)
class TuningRecipe(StageRecipe):
    """A micro-batch has `questions` questions on the topics of `mix` about each of `volumes`.

    `language_model` says whether that learns too. `text` is the share of steps on `rows` texts
    alone; `pointing` is the weight of the pointing loss.
    """

    volumes: Count
    questions: Count
    rows: Count
    mix: Mix
    language_model: bool = True
    text: Share = 0.0
    pointing: NotNegative = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_mix(self.mix)

    def smoke(self) -> Self:
        """Three steps of two volumes."""
        return replace(super().smoke(), volumes=2, questions=3, rows=4)

    def micro_batch(self) -> str:
        """How many volumes, and how many questions about each."""
        return f"{self.volumes} volumes × {self.questions} questions"


class TuneStage(PhantomStage[TuningRecipe]):
    """Several questions of each of several volumes in one step.

    Where the language model is trained, now and then a step is on text alone, so that what it
    learned there is not forgotten; where it is not, only connectors and scores learn (alignment).
    """

    recipe_class = TuningRecipe
    reads = Reads.FEATURES
    modules = {part: part for part in PARTS}  # noqa: RUF012 - a constant of the class

    def __init__(
        self,
        recipe: TuningRecipe,
        model: Med2E3ForConditionalGeneration,
        pool: Sequence[Example],
        features: Features,
        collator: AnswerCollator,
    ) -> None:
        self.name, self.model = recipe.name, model
        self.pool, self.features, self.collator = pool, features, collator
        self.module = nn.Module()
        for name, part in self.modules.items():
            setattr(self.module, name, getattr(model, part))
        model.language_model.requires_grad_(recipe.language_model)
        self.volumes, self.questions, self.mix = recipe.volumes, recipe.questions, recipe.mix
        self.pointing, self.text_share = recipe.pointing, recipe.text
        language_model = model.language_model
        self.text = TextStage("text", language_model, collator, recipe.rows, recipe.mix)

    @classmethod
    def frozen(cls, recipe: TuningRecipe) -> tuple[str, ...]:
        """The language model, where the recipe leaves it as it is."""
        return () if recipe.language_model else ("language_model",)

    @classmethod
    def build(cls, recipe: TuningRecipe, data: StageData) -> Self:
        """All of the model but its encoders, on phantoms that these have seen."""
        collator = AnswerCollator(data.processor())
        return cls(recipe, data.model(), data.phantoms(), data.features(), collator)

    def loss(self, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        """Answer loss, plus the pointing loss where a question has something to point at."""
        if rng.random() < self.text_share:
            loss, said = self.text.loss(rng)
            return loss, {**dict.fromkeys(("answers", "pointing", "mass"), math.nan), **said}
        chosen = rng.choice(len(self.pool), min(self.volumes, len(self.pool)), replace=False)
        rows: list[tuple[int, Question]] = []
        for position, k in enumerate(chosen):
            for _ in range(self.questions):
                closed = bool(rng.random() < CLOSED)
                topic = draw_topic(self.mix, rng)
                facts = self.pool[int(k)].facts
                rows.append((position, ask(facts, topic, closed=closed, rng=rng)))
        device = device_of(self.module)
        batch = self.collator.batch([q.turns for _, q in rows], device, image=True)
        index = torch.tensor([position for position, _ in rows], device=device)
        with half_precision(device):
            three, two = self.features.take(chosen)
            features = self.model.connect_features(three.to(device), two.to(device))
            embedded, _, logits = self.model.prepare_embeddings(
                batch["input_ids"],
                features,
                (batch["question_ids"], batch["question_mask"]),
                volume_index=index,
            )
            answers, right = answer_loss(
                self.model.language_model, embedded, batch, self._opening(batch, features, index)
            )
        held = torch.stack([self._held(int(chosen[position]), q) for position, q in rows])
        points, mass = pointing_loss(logits, held.to(device))
        closed_rows = torch.tensor([q.is_closed for _, q in rows])
        numbers = {
            "answers": float(answers.detach()),
            "pointing": float(points.detach()),
            "mass": float(mass),
            "drill": math.nan,
            "right": float(right.mean()),
            "closed": float(right.cpu()[closed_rows].mean()),
        }
        return answers + self.pointing * points, numbers

    def _opening(self, batch: dict[str, Tensor], features: ImageFeatures, index: Tensor) -> Opening:
        """The text before the volume, which all prompts share, and the volume's 3D tokens."""
        visual = batch["input_ids"] == self.model.config.image_token_id
        before = int(visual[0].int().argmax())
        three = 0 if features.tokens3d is None else features.tokens3d.shape[1]
        return Opening(before + three, index)

    def _held(self, example: int, question: Question) -> Tensor:
        """(S,): slices that hold what the question is about; none where there is nothing."""
        slices = self.pool[example].slices
        kinds = [KIND_NAMES.index(name) for name in question.about]
        return torch.from_numpy(slices[kinds].any(axis=0))
