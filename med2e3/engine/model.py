"""A loaded model: reads volumes into sessions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from med2e3.engine.backends.backend import NO_SCORES
from med2e3.engine.forcing import forward_of
from med2e3.engine.info import Progress
from med2e3.engine.inputs import prepare_input
from med2e3.engine.interruption import StopCheck, stop_if
from med2e3.engine.runtime import Runtime
from med2e3.engine.scores import Scores
from med2e3.engine.session import Session
from med2e3.errors import QuestionError
from med2e3.geometry import Plane
from med2e3.volume import Volume, Window


class Model(Runtime):
    """Made by `med2e3.load`; `info` says what was loaded."""

    def read(
        self,
        volume: Volume | NDArray[np.generic],
        *,
        plane: Plane | str | None = None,
        window: Window | str | None = None,
        crop: bool = True,
        progress: Progress | None = None,
        cancelled: StopCheck | None = None,
    ) -> Session:
        """Bring a volume onto the model's grid and encode it once.

        `plane` and `window` None are the model's own; volumes that are not called CT and hold 0..1
        or 8-bit values are scaled by these instead. `crop` cuts to the box of what is brighter than
        black. An array must hold 0..1 (8-bit ones are divided by 255); it is cropped and resized
        like a volume, but one of zeros alone stays whole. Raises `PreprocessingError`, `Cancelled`.
        """
        if progress is not None:
            progress(0.0, "Preparing the volume")
        stop_if(cancelled)
        given, prepared = prepare_input(self.info, volume, plane, window, crop=crop)
        session = Session(self, given, prepared)
        session.computed(progress, cancelled)
        return session

    def explain(
        self, volume: Volume | NDArray[np.generic], question: str, **reading: Any
    ) -> tuple[Scores, Callable[[Tensor], Tensor]]:
        """The slice scores of a question, and its answer as a function of slice weights.

        The function takes weights (B, S) or (B, 1, S) and gives the log-probability (B, 1) of the
        answer that the model gives as it is asked; gradients reach the weights, so that libraries
        of attribution such as captum and Quantus can be used. `reading` are options of `read`.
        Raises `QuestionError` for a model without slice scores, or an answer without a word.
        """
        session = self.read(volume, **reading)
        answer = session.ask(question)
        answer.complete()
        if answer.scores is None:
            raise QuestionError(NO_SCORES)
        if not answer.token_ids:
            raise QuestionError(
                f"The answer to “{question}” has no word, so there is nothing to explain. "
                "Ask another question."
            )
        forward = forward_of(self, session.computed(), answer.prompt, answer.token_ids)
        return answer.scores, forward
