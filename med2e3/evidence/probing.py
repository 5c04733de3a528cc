"""One answer asked again under other conditions, and how probable the first answer is there.

What the tests of an answer and the measures of faithfulness share. A condition is another set of
slice weights, another grid or another question; the first answer's tokens are then fed to the model
(`med2e3.engine.forcing`). Knows nothing of how results are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from med2e3.engine import Answer, Session
from med2e3.engine.backends.backend import NO_SCORES, Prompt
from med2e3.engine.forcing import Forced, force_tokens, force_weights
from med2e3.engine.interruption import StopCheck
from med2e3.errors import QuestionError
from med2e3.model.placing import device_of

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Repeated:
    """The first answer's tokens under a condition, and what a greedy answer would be.

    `probabilities` (T,) are those of the first answer's tokens. `same` says whether the likeliest
    token is the first answer's own at every place, its end included. `scores` (S,) are the slice
    scores where the condition has scored the slices anew.
    """

    probabilities: Float
    same: bool
    scores: Float | None = None

    @property
    def probability(self) -> float:
        """Of all tokens together."""
        return float(np.prod(self.probabilities))


class Probe:
    """An answer that has come to its end, and the session that gave it.

    Raises `QuestionError` for an answer that was stopped, has not begun, or has no word.
    """

    def __init__(self, session: Session, answer: Answer) -> None:
        if answer.finish_reason not in ("end", "length"):
            raise QuestionError(
                f"The answer to “{answer.prompt.question}” is not complete "
                f"({answer.finish_reason or 'not begun'}), so it cannot be tested. "
                "Let it come to its end first."
            )
        if not answer.token_ids:
            raise QuestionError(
                f"The answer to “{answer.prompt.question}” has no word, so there is nothing to "
                "test. Ask another question."
            )
        self.session = session
        self.answer = answer
        self.tokens = list(answer.token_ids)
        ended = answer.finish_reason == "end"
        #: Slices that the question itself left out; tests leave them out too.
        self.left_out = tuple(int(k) for k in answer.record["left_out"])
        #: The tokens to feed: the end counts for whether the answer is the same.
        self.targets = [*self.tokens, session.model.end_token] if ended else self.tokens

    @property
    def weights(self) -> Float:
        """The slice weights (S,) of the answer. Raises `QuestionError` for a model without any."""
        if self.answer.scores is None:
            raise QuestionError(NO_SCORES)
        return self.answer.scores.values.astype(np.float64)

    def without(self, left_out: Sequence[int]) -> Float:
        """The weights (S,) with more slices left out: zero there, and the rest sums to 1 again.

        They are the softmax of the other slices' logits. Raises `QuestionError` where no slice, or
        one that is not there, would be left.
        """
        count = len(self.weights)
        gone = sorted({*self.left_out, *(int(k) for k in left_out)})
        wrong = [k for k in gone if not 0 <= k < count]
        if wrong:
            raise QuestionError(
                f"Slices {wrong} cannot be left out: the model's slices are 0 to {count - 1}."
            )
        if len(gone) == count:
            raise QuestionError(f"All {count} slices are left out; keep at least one.")
        scores = self.answer.scores
        if scores is None or scores.logits is None:
            raise QuestionError(NO_SCORES)
        logits = scores.logits.astype(np.float64)
        logits[gone] = -np.inf
        return np.asarray(softmax(logits), np.float64)

    @property
    def first(self) -> Repeated:
        """The answer as it was given."""
        return Repeated(np.asarray(self.answer.token_probabilities, np.float64), same=True)

    def under_weights(
        self, weights: NDArray[np.floating], cancelled: StopCheck | None = None
    ) -> list[Repeated]:
        """Under other slice weights (B, S); only the prompt's suffix and the answer are run."""
        if self.answer.scores is None:
            raise QuestionError(NO_SCORES)
        cache = self.session.computed()
        rows = torch.as_tensor(np.asarray(weights, np.float32))
        forced = force_weights(
            self.session.model, cache, self.answer.prompt, rows, self.targets, cancelled
        )
        return self._repeated(forced)

    def elsewhere(self, session: Session, prompt: Prompt | None = None) -> Repeated:
        """In another session, or asked with another prompt; its slices are scored anew."""
        cache = session.computed()
        model = session.model
        asked = prompt or self.answer.prompt
        with model.lock, torch.inference_mode():
            seed = self.answer.sampling.seed or 0
            keep = keep_mask(session, self.left_out) if self.left_out else None
            suffix = model.backend.suffix(cache.features, asked, keep, seed)
            forced = force_tokens(model, cache, suffix.rows, self.targets)
        scores = None if suffix.scores is None else suffix.scores.astype(np.float64)
        return replace(self._repeated(forced)[0], scores=scores)

    def ask_again(
        self,
        session: Session | None = None,
        question: str | None = None,
        leave_out: Sequence[int] = (),
    ) -> Answer:
        """The complete answer under a condition, with the same decoding as the first."""
        prompt, sampling = self.answer.prompt, self.answer.sampling
        again = (session or self.session).ask(
            prompt.question if question is None else question,
            history=[(q, str(a)) for q, a in prompt.turns[:-1]],
            max_new_tokens=sampling.max_new_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=sampling.seed,
            leave_out=sorted({*self.left_out, *leave_out}),
            scored_by=prompt.scored_by if question is None else "",
        )
        again.complete()
        return again

    def _repeated(self, forced: Forced) -> list[Repeated]:
        wanted = torch.tensor(self.targets, device=forced.likeliest.device)
        same = (forced.likeliest == wanted).all(dim=1).tolist()
        kept = forced.log_probabilities[:, : len(self.tokens)].double().exp().cpu().numpy()
        return [Repeated(row, bool(s)) for row, s in zip(kept, same, strict=True)]


def with_grid(session: Session, grid: torch.Tensor) -> Session:
    """A session with the same model that is shown another grid (1, S, H, W) in 0..1.

    It is encoded when it is first asked. Bands and geometry are those of the given session.
    """
    return Session(session.model, session.volume, replace(session.input, grid=grid))


def grid_of(session: Session) -> torch.Tensor:
    """A copy of the grid (1, S, H, W) that the model was shown."""
    return session.input.grid.clone()


def slices_of(session: Session) -> int:
    """How many slices the model sees."""
    return int(session.input.grid.shape[1])


def keep_mask(session: Session, left_out: Sequence[int]) -> torch.Tensor:
    """(S,) True where a slice keeps its weight."""
    keep = torch.ones(slices_of(session), dtype=torch.bool)
    keep[list(left_out)] = False
    return keep.to(device_of(session.model.backend.network))
