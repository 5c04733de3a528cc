"""One answer: scores at once, then text piece by piece; stopped at any moment, from any thread.

What the text names in the image, boxes and masks, is known when the iteration has come to its end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from med2e3.engine.backends.backend import Grounding, Prompt, advance, language_blocks
from med2e3.engine.decoding import Chooser, SamplingParams, TextStream, probability
from med2e3.engine.grounding import Box, Mask
from med2e3.engine.scores import Scores
from med2e3.engine.watching import interruptible
from med2e3.errors import Cancelled
from med2e3.model.placing import device_of

if TYPE_CHECKING:
    from med2e3.engine.model import Model


@dataclass(frozen=True, eq=False)
class Start:
    """What decoding begins with: the prefix's cache (its own copy), the rows after it, a bound."""

    cache: Any
    rows: Tensor
    max_new_tokens: int


class Answer:
    """Iterate for text pieces; leaving the loop stops the work. Work happens while iterating.

    `token_probabilities` are the model's own (temperature 1), one for each of `token_ids`.
    """

    def __init__(
        self,
        model: Model,
        asked: Prompt,
        decoding: SamplingParams,
        start: Start,
        *,
        scores: Scores | None,
        describe: Callable[[Answer], dict[str, Any]],
        ground: Callable[[Answer], Grounding],
    ) -> None:
        self.asked = asked
        self.decoding = decoding
        self.scores = scores
        self.token_ids: list[int] = []
        self.token_probabilities: list[float] = []
        self.finish_reason = ""
        self.seconds_to_first_token: float | None = None
        self.seconds: float | None = None
        self.max_new_tokens = start.max_new_tokens
        self._model = model
        self._start: Start | None = start
        self._chooser = Chooser(decoding)
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

    def look(self, _fraction: float) -> None:
        """Raises `Cancelled` once the work was stopped; called between blocks of a network."""
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
        start = self._start
        if start is None or self._stopped.is_set():
            return None
        network = self._model.backend.model
        with self._model.lock:
            rows = start.rows if not self.token_ids else self._embed(self.token_ids[-1])
            try:
                with interruptible(language_blocks(network), self.look):
                    logits = advance(network, rows, start.cache)
            except Cancelled:
                return None
        token = self._chooser.choose(logits)
        return token, probability(logits, token)

    def _embed(self, token: int) -> Tensor:
        network = self._model.backend.model
        ids = torch.tensor([[token]], device=device_of(network))
        with torch.inference_mode():
            rows: Tensor = network.get_input_embeddings()(ids)
        return rows

    def _finish(self, reason: str) -> str:
        """End; lets go of the cache, and gives the text that was held back."""
        self.finish_reason = reason
        self._start = None
        self.seconds = None if self._began is None else time.perf_counter() - self._began
        return self._stream.flush(self.token_ids)
