"""One answer: scores at once, then text piece by piece; stopped at any moment, from any thread.

What the text names in the image, boxes and masks, is known when the iteration has come to its end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from med2e3.engine.backends.backend import Prompt, advance, language_blocks
from med2e3.engine.decoding import SamplingParams, TextStream, TokenSampler, probability
from med2e3.engine.grounding import Box, Grounding, Mask
from med2e3.engine.interruption import interruptible
from med2e3.engine.runtime import Runtime
from med2e3.engine.scores import Scores
from med2e3.errors import Cancelled
from med2e3.model.placing import device_of


@dataclass(frozen=True, eq=False)
class DecoderInput:
    """What decoding begins with: `cache` of the prefix, and the prompt's other rows (1, T, D).

    `cache` grows with every token, so each answer has a copy of its own.
    """

    cache: Any
    rows: Tensor
    max_new_tokens: int


class Answer:
    """Iterate for text pieces; leaving the loop stops the work. Work happens while iterating.

    `token_probabilities` are the model's own (temperature 1), one for each of `token_ids`.
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
        """What has arrived so far."""
        return self._stream.text

    @property
    def boxes(self) -> tuple[Box, ...]:
        """What the complete text names, in mm; empty until then and after a stop."""
        return () if self._grounding is None else self._grounding.boxes

    @property
    def masks(self) -> tuple[Mask, ...]:
        """What was drawn for the complete text, on the volume's own grid; empty as `boxes` is."""
        return () if self._grounding is None else self._grounding.masks

    @property
    def record(self) -> dict[str, Any]:
        """Everything needed to repeat and check the answer, for JSON; complete once it ended."""
        return self._describe(self)

    def cancel(self) -> None:
        """Stop; may be called from any thread. What has arrived stays."""
        self._stopped.set()

    def complete(self) -> str:
        """Run to the end; the whole text."""
        for _ in self:
            pass
        return self.text

    def __iter__(self) -> Iterator[str]:
        try:
            while not self.finish_reason:
                piece = self._next_piece()
                if piece:
                    yield piece
            self._find_named()
        finally:
            if not self.finish_reason:
                self._finish("cancelled")

    def _find_named(self) -> None:
        """Boxes and masks, once, of an answer that came to its end."""
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
        """One token's work, and the text that it adds."""
        self._began = self._began if self._began is not None else time.perf_counter()
        step = self._step()
        if step is None:
            return self._finish("cancelled")
        token, share = step
        if self.seconds_to_first_token is None:
            self.seconds_to_first_token = time.perf_counter() - self._began
        if token == self._model.end_token:
            return self._finish("end")
        self.token_ids.append(token)
        self.token_probabilities.append(share)
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
        token = self._sampler.choose(logits)
        return token, probability(logits, token)

    def _logits(self, decoder_input: DecoderInput) -> Tensor:
        """What follows the last token, or the prompt: (V,). Raises `Cancelled`.

        The prompt is one long pass, stopped between blocks; a token's pass is short and ends first.
        """
        network = self._model.backend.network
        self.stop_if_cancelled()
        with self._model.lock:
            if self.token_ids:
                rows = self._embed(self.token_ids[-1])
                logits = advance(network, rows, decoder_input.cache)
            else:
                with interruptible(language_blocks(network), self.stop_if_cancelled):
                    logits = advance(network, decoder_input.rows, decoder_input.cache)
        self.stop_if_cancelled()
        return logits

    def _embed(self, token: int) -> Tensor:
        """The row (1, 1, D) of a token."""
        ids = torch.tensor([[token]], device=self._device)
        with torch.inference_mode():
            rows: Tensor = self._model.backend.network.get_input_embeddings()(ids)
        return rows

    def _finish(self, reason: str) -> str:
        """End; lets go of the cache, and gives the text that was held back."""
        self.finish_reason = reason
        self._decoder_input = None
        self.seconds = None if self._began is None else time.perf_counter() - self._began
        return self._stream.flush(self.token_ids)
