"""Answers questions about one volume, which is encoded once. Knows nothing of files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from med2e3.engine.answer import Answer
from med2e3.engine.backends.backend import NO_SCORES, Prompt
from med2e3.engine.batch import Reply, answer_all
from med2e3.engine.decoder import DecoderInput
from med2e3.engine.decoding import SamplingParams
from med2e3.engine.encoding import encode_volume
from med2e3.engine.grounding import Grounding
from med2e3.engine.info import Progress
from med2e3.engine.interruption import StopCheck, interruptible
from med2e3.engine.record import make_record
from med2e3.engine.room import fitting_tokens, shortened
from med2e3.engine.runtime import Runtime
from med2e3.engine.scores import ScoredBand, scores_of
from med2e3.engine.volume_cache import VolumeCache
from med2e3.engine.without import Without, model_slice
from med2e3.errors import QuestionError
from med2e3.model.placing import device_of
from med2e3.model.prompts import IMAGE_PLACEHOLDER, Turn
from med2e3.preprocessing import Band, ModelInput
from med2e3.volume import Volume

#: No language model in use reads this many letters at once; longer text is refused unread.
LONGEST_QUESTION = 20_000


class Session:
    """Made by `Model.read`; `input` is what the model was given of `volume`.

    `cache` is what was computed of the volume. The model sets it to None when its limit of memory
    is passed and other sessions were used since; the next question computes it again.
    """

    def __init__(self, model: Runtime, volume: Volume, model_input: ModelInput) -> None:
        self.model = model
        self.volume = volume
        self.input = model_input
        self.cache: VolumeCache | None = None

    def computed(
        self, progress: Progress | None = None, cancelled: StopCheck | None = None
    ) -> VolumeCache:
        """The volume's cache; where there is none, the one kept on disk, or computed now.

        Raises `Cancelled`.
        """
        with self.model.lock:
            if self.cache is None:
                self.cache = self._kept() or self._encoded(progress, cancelled)
            self.model.mark_used(self)
            return self.cache

    def _kept(self) -> VolumeCache | None:
        model = self.model
        if model.kept is None:
            return None
        return model.kept.find(model.info, model.backend, self.input.grid)

    def _encoded(self, progress: Progress | None, cancelled: StopCheck | None) -> VolumeCache:
        model, grid = self.model, self.input.grid
        cache = encode_volume(model.backend, model.watch, grid, progress, cancelled)
        if model.kept is not None:
            model.kept.keep(model.info, grid, cache)
        return cache

    def ask(
        self,
        question: str,
        *,
        history: Sequence[tuple[str, str]] = (),
        max_new_tokens: int | None = None,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        leave_out: Sequence[int] = (),
        scored_by: str = "",
    ) -> Answer:
        """An answer whose slice scores are known now, and whose text comes by iterating over it.

        `history` are earlier (question, answer) turns. `leave_out` are model slices whose 2D
        features get no weight; the 3D tokens still hold them. `scored_by` is what the slice scores
        follow in place of the question: conversations of the published form state it apart. Raises
        `QuestionError`.
        """
        sampling = SamplingParams(max_new_tokens, temperature, top_p, seed).seeded()
        prompt = self._checked(question, history, scored_by)
        keep = self._keep(leave_out)
        cache = self.computed()
        with self.model.lock, torch.inference_mode():
            suffix = self.model.backend.suffix(cache.features, prompt, keep, sampling.seed or 0)
        scores = None
        if suffix.scores is not None:
            plane = self.input.plane
            scores = scores_of(
                suffix.scores, self.input.bands, suffix.logits, plane, prompt.question
            )
        left_out = sorted({int(k) for k in leave_out})
        decoder_input = self._decoder_input(cache, prompt, suffix.rows, max_new_tokens)

        def describe(answer: Answer) -> dict[str, Any]:
            return make_record(self.model.info, self.volume, self.input, answer, left_out)

        return Answer(
            self.model,
            prompt,
            sampling,
            decoder_input,
            scores=scores,
            describe=describe,
            ground=self._ground,
        )

    def without(self, bands: Iterable[int | Band | ScoredBand]) -> Without:
        """The same session, whose questions give no weight to the 2D features of these bands.

        A band is a number of a model slice, or what an answer's scores name. Nothing is computed
        again; the 3D features still hold the bands. Raises `QuestionError` for a band that the
        model has not, for all of them, and for a model without slice scores.
        """
        left_out = frozenset(map(model_slice, bands))
        self._keep(sorted(left_out))
        return Without(self, left_out)

    def ask_many(
        self,
        questions: Sequence[str],
        *,
        max_new_tokens: int | None = None,
        scored_by: Sequence[str] | None = None,
        spaced: Sequence[bool] | None = None,
    ) -> list[Reply]:
        """The greedy answers of `ask`, computed in batches, without streaming, boxes or masks.

        `scored_by` has a text for each question. `spaced` says which questions are of M3D-VQA:
        M3D-LaMed learned those after a space. Raises `QuestionError`.
        """
        SamplingParams(max_new_tokens)
        guides = scored_by or [""] * len(questions)
        rows = zip(questions, guides, spaced or [False] * len(questions), strict=True)
        prompts = [self._checked(question, (), guide, space) for question, guide, space in rows]
        cache = self.computed()
        with self.model.lock:
            return answer_all(self.model, cache, prompts, max_new_tokens)

    def mask_logits(
        self, question: str, token_ids: Sequence[int], *, spaced: bool = False
    ) -> torch.Tensor | None:
        """The mask that an answer of these tokens draws: logits (1, S, H, W) on the model's grid.

        For evaluation: an `Answer` has masks on the volume's own grid. None where the model draws
        none, or the answer asks for none. Raises `QuestionError`.
        """
        draw = getattr(self.model.backend, "mask_logits", None)
        if draw is None:
            return None
        prompt, cache = self._checked(question, (), "", spaced), self.computed()
        with self.model.lock, torch.inference_mode():
            logits: torch.Tensor | None = draw(cache, prompt, token_ids, self.input)
        return logits

    def _ground(self, answer: Answer) -> Grounding:
        """Boxes and masks that a complete answer names. Raises `Cancelled` when it is stopped."""
        backend, cache = self.model.backend, self.computed()
        with (
            self.model.lock,
            torch.inference_mode(),
            interruptible(backend.drawing_blocks(), answer.stop_if_cancelled),
        ):
            return backend.ground(cache, answer.prompt, answer.token_ids, self.input, self.volume)

    def _decoder_input(
        self, cache: VolumeCache, prompt: Prompt, rows: torch.Tensor, max_new_tokens: int | None
    ) -> DecoderInput:
        """The prompt's keys, values and rows, with room for the answer.

        The context's length bounds the answer's tokens, and so does the memory for their keys and
        values, which is then said. Raises `ResourceError` where not one token fits.
        """
        room = self.model.backend.context_length - prompt.rows
        asked = min(room, max_new_tokens or room)
        new = fitting_tokens(cache, rows.shape[1], asked)
        said = "" if new == asked else shortened(new, asked)
        return DecoderInput(cache.copy_prefix(rows.shape[1] + new - 1), rows, new, said)

    def _checked(
        self,
        question: str,
        history: Sequence[tuple[str, str]],
        scored_by: str,
        spaced: bool = False,
    ) -> Prompt:
        """The tokenised question; raises `QuestionError` when it is empty or does not fit."""
        check_question(question)
        turns: list[Turn] = [(_bare(q), answer) for q, answer in history]
        prompt = self.model.backend.tokenise([*turns, (_bare(question), None)], spaced=spaced)
        limit = self.model.backend.context_length
        if prompt.rows >= limit:
            rest = prompt.rows - prompt.question_tokens
            raise QuestionError(
                f"The question takes {prompt.question_tokens} tokens, but the model reads {limit} "
                f"in all, of which volume, prompt and earlier turns take {rest}: "
                f"{max(0, limit - rest - 1)} are left. Ask in fewer words."
            )
        prompt = dataclasses.replace(prompt, scored_by=_bare(scored_by))
        self._check_guide(prompt)
        return prompt

    def _check_guide(self, prompt: Prompt) -> None:
        """Raises `QuestionError` where the text encoder of the scores cannot read their text."""
        backend = self.model.backend
        encoder = getattr(backend.network.config, "text_encoder_config", None)
        if encoder is None:
            return
        tokens = backend.tokenise([(prompt.guide, None)]).question_tokens
        if tokens > encoder.max_position_embeddings:
            raise QuestionError(
                f"The question takes {tokens} tokens of the text encoder, which reads at most "
                f"{encoder.max_position_embeddings}. Ask in fewer words."
            )

    def _keep(self, leave_out: Sequence[int]) -> torch.Tensor | None:
        """Which slices have weight: (S,), False for those left out; None where all stay."""
        if not len(leave_out):
            return None
        slices = self.model.info.grid_shape[0]
        wrong = sorted({int(k) for k in leave_out if not 0 <= int(k) < slices})
        if wrong:
            raise QuestionError(
                f"Slices {wrong} cannot be left out: the model's slices are 0 to {slices - 1}."
            )
        if not self.model.backend.has_scores:
            raise QuestionError(NO_SCORES)
        keep = torch.ones(slices, dtype=torch.bool)
        keep[list(leave_out)] = False
        if not keep.any():
            raise QuestionError(f"All {slices} slices are left out; keep at least one.")
        return keep.to(device_of(self.model.backend.network))


def check_question(question: str) -> None:
    """Raises `QuestionError` for a question that is empty, far too long, or no text."""
    if not _bare(question):
        raise QuestionError("The question is empty. Type what you want to know about the scan.")
    try:
        question.encode()
    except UnicodeEncodeError as error:
        raise QuestionError(
            f"The question holds bytes that are no text at character {error.start + 1}: it is not "
            "in UTF-8. Type it again."
        ) from error
    if len(question) > LONGEST_QUESTION:
        raise QuestionError(
            f"The question has {len(question):,} characters; no model here reads more than "
            f"{LONGEST_QUESTION:,}. Ask in fewer words."
        )


def _bare(question: str) -> str:
    """The question without the volume's placeholder, which the prompt's template has already."""
    return question.replace(IMAGE_PLACEHOLDER, " ").strip()
