"""Runs the model on its worker thread: loads it, reads volumes, streams answers. Knows no widgets.

torch is imported here, on the worker's thread, so that the window is on the screen before. All
attributes with an underscore are touched on that thread only.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from app.services.answer_tests import AnswerTests, certainty_of
from app.services.jobs import Context, Jobs, Lane
from app.viewmodels.assistant.answers import Finished, Piece, Request, Scored, Seen
from app.viewmodels.assistant.attention import AttentionRequest
from app.viewmodels.assistant.evidence import TestRequest
from app.viewmodels.core.work import Job, Listener
from med2e3.errors import Cancelled, CheckpointError
from med2e3.preloading import preload_torch
from med2e3.volume import Volume

if TYPE_CHECKING:
    from med2e3.engine import Answer, Model, ModelInfo, Session
    from med2e3.evidence.attention import Attention
    from med2e3.preprocessing import ModelInput

LoadModel = Callable[..., "Model"]

#: Parameters of a model that stays in memory while the next one loads: half a gigabyte of floats.
BESIDE = 125_000_000


class ModelHost:
    """The loaded model, and its sessions with the volume that was asked about last.

    A plane and window have a session of their own, so that going back to them reads nothing again.
    How many keep their features is for the model to decide, by its limit of memory.
    """

    def __init__(
        self,
        jobs: Jobs,
        load: LoadModel | None = None,
        kept_at: Path | None = None,
        wants_kept: Callable[[], bool] = lambda: True,
    ) -> None:
        """`load` takes a name and `progress`, as `med2e3.engine.load` does.

        What the model computes of volumes is kept in the folder `kept_at`, if any, while
        `wants_kept` says so; when it no longer does, the files are removed.
        """
        self._jobs = jobs
        self._kept_at, self._wants_kept = kept_at, wants_kept
        self._load_model = load or _load_with_engine
        self._model: Model | None = None
        self._name = ""
        self._sessions: dict[tuple[Any, ...], Session] = {}
        self._tests = AnswerTests()

    def load(self, name: str, listener: Listener) -> Job[ModelInfo]:
        """Load a model in place of the one loaded, which stays where the new one fails."""
        return self._jobs.start(Lane.MODEL, lambda context: self._load(name, context), listener)

    def ask(self, request: Request, listener: Listener) -> Job[Finished]:
        """Answer; events: `Progress`, `Seen`, `Scored`, then `Piece` by `Piece`."""
        return self._jobs.start(Lane.MODEL, lambda context: self._ask(request, context), listener)

    def test(self, request: TestRequest, listener: Listener) -> Job[None]:
        """Run tests of an answer; events: `Progress`, and `Found` after each."""
        return self._jobs.start(Lane.MODEL, lambda context: self._test(request, context), listener)

    def attend(self, request: AttentionRequest, listener: Listener) -> Job[Attention]:
        """Compute the attention of an answer's words; events: `Progress`."""
        return self._jobs.start(
            Lane.MODEL,
            lambda context: self._tests.attend(request, self._session, context),
            listener,
        )

    def _load(self, name: str, context: Context) -> ModelInfo:
        context.progress(-1, "Loading the model")
        large = self._model is not None and self._model.info.parameters > BESIDE
        if large:  # frees its memory before the next one needs it
            self._model = None
            self._let_go_of_all()
        try:
            loaded = self._load_model(name, progress=context.progress)
        except Exception:
            if large:
                context.progress(-1, "Loading the last model again")
                self._model = self._load_model(self._name, progress=context.progress)
            raise
        self._model, self._name = loaded, name
        self._let_go_of_all()
        return loaded.info

    def _ask(self, request: Request, context: Context) -> Finished:
        session = self._session(request, context)
        context.emit(_seen(request, session.input, getattr(session, "cautions", ())))
        context.progress(-1, "Reading the question")
        answer = session.ask(request.question, history=request.history)
        context.on_cancel(answer.cancel)
        context.emit(Scored(answer.scores))
        finished = _stream(answer, context)
        return replace(
            finished,
            certainty=certainty_of(session, answer),
            asked=self._tests.remember(session, answer, request),
            said=getattr(answer, "said", ""),
        )

    def _test(self, request: TestRequest, context: Context) -> None:
        self._tests.run(request, self._session, context)

    def _session(self, request: Request, context: Context) -> Session:
        if self._model is None:
            raise CheckpointError("No model is loaded. Load one in the assistant, then ask again.")
        self._let_go_of_sessions(request.volume)
        key = (request.plane, request.window)
        if key not in self._sessions:
            context.progress(-1, "Reading the volume")
            self._choose_kept(self._model)
            self._sessions[key] = self._model.read(
                request.volume,
                plane=request.plane,
                window=request.window,
                progress=context.progress,
                cancelled=context.cancelled,
            )
        return self._sessions[key]

    def _let_go_of_all(self) -> None:
        """Forget sessions and answers of a model that is left."""
        self._sessions.clear()
        self._tests.let_go(lambda session: False)

    def _choose_kept(self, model: Model) -> None:
        """Give the model the files of volumes it has read before, or remove them."""
        if self._kept_at is None:
            return
        from med2e3.engine.kept import KeptVolumes

        kept = model.kept or KeptVolumes(self._kept_at)
        model.kept = kept if self._wants_kept() else None
        if model.kept is None:
            with suppress(OSError):  # what cannot be removed is not read either
                kept.clear()

    def _let_go_of_sessions(self, volume: Volume) -> None:
        """Forget sessions with another volume, and those whose features the model has dropped."""
        self._sessions = {
            key: session
            for key, session in self._sessions.items()
            if session.volume is volume and session.cache is not None
        }
        self._tests.let_go(lambda session: session.volume is volume)


def _load_with_engine(name: str, **options: Any) -> Model:
    preload_torch()
    from med2e3 import engine

    return engine.load(name, **options)


def _stream(answer: Answer, context: Context) -> Finished:
    for piece in answer:
        if context.cancelled():
            raise Cancelled("The answer was stopped.")
        context.emit(Piece(piece))
    named = (answer.boxes, answer.masks)
    return Finished(answer.text, answer.finish_reason, answer.record, *named)


def _seen(request: Request, given: ModelInput, cautions: tuple[str, ...]) -> Seen:
    grid = given.grid[0].cpu().numpy()  # (D, H, W) in 0..1
    return Seen(
        volume=request.volume,
        plane=given.plane,
        window=given.window,
        slices=np.rint(grid * 255).astype(np.uint8),
        geometry=given.geometry,
        crop_start=given.crop_start,
        crop_shape=given.crop_shape,
        bands=given.bands,
        unread=given.unread_slices,
        cautions=cautions,
    )
