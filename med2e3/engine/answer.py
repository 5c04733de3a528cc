"""Streams one answer: slice scores first, then text piece by piece; any thread can stop it.

Boxes and masks that the text names in the image are known once the iteration has ended.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from med2e3.display import html_of
from med2e3.engine.backends.backend import Prompt, advance, language_blocks
from med2e3.engine.decoding import SamplingParams, TextStream, TokenSampler, probability
from med2e3.engine.finite import check_finite
from med2e3.engine.grounding import Box, Grounding, Mask
from med2e3.engine.interruption import interruptible
from med2e3.engine.runtime import Runtime
from med2e3.engine.scores import Scores
from med2e3.errors import Cancelled
from med2e3.model.placing import device_of, is_streamed


@dataclass(frozen=True, eq=False)
class DecoderInput:
    """What decoding begins with: `cache` of the prefix, and the prompt's other rows (1, T, D).

    `cache` grows with every token, so each answer has a copy of its own.
    """

    cache: Any
    rows: Tensor
    max_new_tokens: int


class Answer:
    """An answer, computed while one iterates over its pieces of text; leaving the loop stops it.

    `finish_reason` is "end", "length" or "cancelled", and "" before. `token_probabilities` are the
    model's own (temperature 1), one for each of `token_ids`.
    """

    def __init__(
        self,
        model: Runtime,
        prompt: Prompt,
        sampling: SamplingParams,
        decoder_input: DecoderInput,
        *,
        scores: Scores | None,
        describe: Callable[[Answer], dict[str, Any]],
        ground: Callable[[Answer], Grounding],
    ) -> None:
        self.prompt = prompt
        self.sampling = sampling
        self.scores = scores
        self.token_ids: list[int] = []
        self.token_probabilities: list[float] = []
        self.finish_reason = ""
        self.seconds_to_first_token: float | None = None
        self.seconds: float | None = None
        self.max_new_tokens = decoder_input.max_new_tokens
        self._model = model
        self._device = device_of(model.backend.network)
        # A token's pass is short, and hooks would cost it a part of its speed; seconds may go by
        # while layers come from disk.
        self._token_is_long = is_streamed(model.backend.network)
        self._decoder_input: DecoderInput | None = decoder_input
        self._sampler = TokenSampler(sampling)
        self._stream = TextStream(model.backend.processor.decode)
        self._stopped = threading.Event()
        self._describe = describe
        self._ground = ground
        self._grounding: Grounding | None = None
        self._began: float | None = None

    @property
    def text(self) -> str:
        """The text so far."""
        return self._stream.text

    @property
    def boxes(self) -> tuple[Box, ...]:
        """Boxes that the whole text names, in mm; none before its end or after a stop."""
        return () if self._grounding is None else self._grounding.boxes

    @property
    def masks(self) -> tuple[Mask, ...]:
        """Masks for the whole text, on the volume's grid; none before its end or after a stop."""
        return () if self._grounding is None else self._grounding.masks

    @property
    def record(self) -> dict[str, Any]:
        """Plain values to repeat and check the answer by, for JSON; complete once it has ended."""
        return self._describe(self)

    def _repr_html_(self) -> str:
        """For notebooks: question, text so far, how probable the model finds it, slice scores."""
        lines = [self.text or "Not computed yet: iterate over the answer, or call complete()."]
        if self.token_ids:
            sure = math.prod(self.token_probabilities)
            lines.append(f"probability of these words {sure:.3f}, {self.finish_reason or 'so far'}")
        lines += [f"mask of {mask.millilitres:.1f} ml" for mask in self.masks]
        figure = None if self.scores is None or self.scores.plane is None else self.scores.plot()
        return html_of(self.prompt.question, lines, figure, notes=[self._model.info.notice])

    def cancel(self) -> None:
        """Stop the answer, from any thread; the text so far stays."""
        self._stopped.set()

    def complete(self) -> str:
        """Run to the end and return the whole text."""
        for _ in self:
            pass
        return self.text

    def __iter__(self) -> Iterator[str]:
        try:
            while not self.finish_reason:
                piece = self._next_piece()
                if piece:
                    yield piece
            self._find_grounding()
        finally:
            if not self.finish_reason:
                self._finish("cancelled")

    def _find_grounding(self) -> None:
        """Find boxes and masks, once, for an answer that has come to its end."""
        if self._grounding is None and self.finish_reason != "cancelled":
            try:
                self._grounding = self._ground(self)
            except Cancelled:
                self.finish_reason = "cancelled"

    def stop_if_cancelled(self, _fraction: float = 0.0) -> None:
        """Raises `Cancelled` once `cancel` was called; a callback of `interruptible`."""
        if self._stopped.is_set():
            raise Cancelled("The answer was stopped.")

    def _next_piece(self) -> str:
        """Compute one token and return the text that it adds."""
        self._began = self._began if self._began is not None else time.perf_counter()
        step = self._step()
        if step is None:
            return self._finish("cancelled")
        token, token_probability = step
        if self.seconds_to_first_token is None:
            self.seconds_to_first_token = time.perf_counter() - self._began
        if token == self._model.end_token:
            return self._finish("end")
        self.token_ids.append(token)
        self.token_probabilities.append(token_probability)
        if len(self.token_ids) >= self.max_new_tokens:
            return self._stream.push(self.token_ids) + self._finish("length")
        return self._stream.push(self.token_ids)

    def _step(self) -> tuple[int, float] | None:
        """The next token and its probability; None when the work was stopped."""
        decoder_input = self._decoder_input
        if decoder_input is None:
            return None
        try:
            logits = self._logits(decoder_input)
        except Cancelled:
            return None
        check_finite(logits, "logits")
        token = self._sampler.choose(logits)
        return token, probability(logits, token)

    def _logits(self, decoder_input: DecoderInput) -> Tensor:
        """Logits (V,) of the next token, after the prompt or the last token. Raises `Cancelled`.

        A stop ends a long pass between blocks, the short one of a token after it.
        """
        network = self._model.backend.network
        self.stop_if_cancelled()
        with self._model.lock:
            first = not self.token_ids
            rows = decoder_input.rows if first else self._embed(self.token_ids[-1])
            blocks = language_blocks(network) if first or self._token_is_long else ()
            with interruptible(blocks, self.stop_if_cancelled):
                logits = advance(network, rows, decoder_input.cache)
        self.stop_if_cancelled()
        return logits

    def _embed(self, token: int) -> Tensor:
        """The row (1, 1, D) of a token."""
        ids = torch.tensor([[token]], device=self._device)
        with torch.inference_mode():
            rows: Tensor = self._model.backend.network.get_input_embeddings()(ids)
        return rows

    def _finish(self, reason: str) -> str:
        """End the answer, release keys and values, and return the text that was held back."""
        self.finish_reason = reason
        self._decoder_input = None
        self.seconds = None if self._began is None else time.perf_counter() - self._began
        return self._stream.flush(self.token_ids)
