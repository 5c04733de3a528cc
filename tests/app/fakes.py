"""A model that follows the engine's protocol and says what a test tells it to say.

It stands in for `med2e3.engine.load` only; preprocessing, bands and the window are the real ones.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from med2e3.engine import ModelInfo, Scores, check_question
from med2e3.preprocessing import ModelInput, prepare, resolve_window
from med2e3.volume import WINDOWS, Volume

GRID = (8, 16, 16)


class Gate:
    """Lets pieces through: all of them, or while it is closed one a `step`."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._open = True
        self._steps = 0

    def set(self) -> None:
        with self._condition:
            self._open = True
            self._condition.notify_all()

    def clear(self) -> None:
        self._open = False

    def step(self) -> None:
        with self._condition:
            self._steps += 1
            self._condition.notify_all()

    def acquire(self) -> None:
        with self._condition:
            self._condition.wait_for(lambda: self._open or self._steps, timeout=20)
            self._steps = max(0, self._steps - 1)


@dataclass
class FakeAnswer:
    """Streams `pieces`; each waits for the gate, which is open unless a test closes it."""

    question: str
    scores: Scores | None
    pieces: tuple[str, ...]
    gate: Gate
    boxes: tuple[Any, ...] = ()
    masks: tuple[Any, ...] = ()
    text: str = ""
    finish_reason: str = ""
    stopped: threading.Event = field(default_factory=threading.Event)

    def __iter__(self) -> Iterator[str]:
        for piece in self.pieces:
            self.gate.acquire()
            if self.stopped.is_set():
                self.finish_reason = "cancelled"
                return
            self.text += piece
            yield piece
        self.finish_reason = "end"

    def cancel(self) -> None:
        self.stopped.set()
        self.gate.set()

    @property
    def record(self) -> dict[str, Any]:
        return {"question": self.question, "answer": self.text}


@dataclass
class FakeSession:
    model: FakeModel
    volume: Volume
    input: ModelInput
    cache: Any = ()

    @property
    def cautions(self) -> tuple[str, ...]:
        return self.model.engine.cautions

    def ask(self, question: str, *, history: tuple[tuple[str, str], ...] = ()) -> FakeAnswer:
        check_question(question)
        engine = self.model.engine
        engine.histories.append(history)
        if engine.failure is not None:
            raise engine.failure
        weights = np.full(GRID[0], 0.5 / (GRID[0] - 1), np.float32)
        weights[engine.peak] = 0.5
        scores = Scores(weights, self.input.bands) if engine.has_scores else None
        drawn = engine.draw(self.input, self.volume)
        answer = FakeAnswer(question, scores, engine.pieces, engine.gate, *drawn)
        engine.answers.append(answer)
        return answer


@dataclass
class FakeModel:
    engine: FakeEngine
    info: Any

    def read(self, volume: Volume, *, plane=None, window=None, progress=None, cancelled=None):
        self.engine.reads.append((volume, plane, window))
        chosen = resolve_window(window, volume, WINDOWS["soft tissue"])
        session = FakeSession(self, volume, prepare(volume, GRID, plane=plane, window=chosen))
        self.engine.sessions.append(session)
        return session


@dataclass
class FakeEngine:
    """What a test sets: the words, the peak, a failure, a closed gate; and what it then reads."""

    pieces: tuple[str, ...] = ("There ", "is ", "a ", "nodule.")
    peak: int = 2
    has_scores: bool = True
    is_demo: bool = False
    history_turns: int = 0
    cautions: tuple[str, ...] = ()
    histories: list[tuple[tuple[str, str], ...]] = field(default_factory=list)
    failure: Exception | None = None
    load_failure: Exception | None = None
    gate: Gate = field(default_factory=lambda: Gate())
    reads: list[Any] = field(default_factory=list)
    sessions: list[FakeSession] = field(default_factory=list)
    answers: list[FakeAnswer] = field(default_factory=list)

    #: What an answer draws, from the model's input and the volume: boxes, and masks.
    draw: Callable[[Any, Volume], tuple[Any, Any]] = lambda given, volume: ((), ())

    def step(self) -> None:
        """Let one more piece through a closed gate."""
        self.gate.step()

    def load(self, name: str, *, progress=None) -> FakeModel:
        if self.load_failure is not None:
            raise self.load_failure
        info = ModelInfo(
            name=name,
            kind="med2e3",
            is_demo=self.is_demo,
            notice="Trained on synthetic phantoms: its answers about real scans mean nothing.",
            parameters=6_200_000,
            device="cpu",
            dtype="float32",
            has_scores=self.has_scores,
            grid_shape=GRID,
            default_plane=None,
            default_window=WINDOWS["soft tissue"],
            path="",
            weights_sha256="",
            licence="",
            notes=(),
            history_turns=self.history_turns,
        )
        return FakeModel(self, info)
