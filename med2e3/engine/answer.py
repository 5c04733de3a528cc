"""Streams one answer: slice scores first, then text piece by piece; any thread can stop it.

Boxes and masks that the text names in the image are known once the iteration has ended.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from med2e3.display import html_of
from med2e3.engine.backends.backend import Prompt
from med2e3.engine.decoder import Decoder, DecoderInput
from med2e3.engine.decoding import SamplingParams, TextStream, TokenSampler, probability
from med2e3.engine.finite import check_finite
from med2e3.engine.grounding import Box, Grounding, Mask
from med2e3.engine.runtime import Runtime
from med2e3.engine.scores import Scores
from med2e3.errors import Cancelled


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
        #: Why the answer may be shorter than was asked for; "" where it may not.
        self.said = decoder_input.said
        self._decoder: Decoder | None = Decoder(model, decoder_input)
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
        """Raises `Cancelled` once `cancel` was called; a callback of a `PassWatch`."""
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
        """The next token and its probability; None when the work was stopped.

        A stop is seen between tokens, and between the layers of a pass.
        """
        decoder = self._decoder
        if decoder is None:
            return None
        try:
            self.stop_if_cancelled()
            if self.token_ids:
                logits = decoder.token(self.token_ids[-1], self.stop_if_cancelled)
            else:
                logits = decoder.prompt(self.stop_if_cancelled)
            self.stop_if_cancelled()
        except Cancelled:
            return None
        check_finite(logits, "logits")
        token = self._sampler.choose(logits)
        return token, probability(logits, token)

    def _finish(self, reason: str) -> str:
        """End the answer, release keys and values, and return the text that was held back."""
        self.finish_reason = reason
        self._decoder = None
        self.seconds = None if self._began is None else time.perf_counter() - self._began
        return self._stream.flush(self.token_ids)
