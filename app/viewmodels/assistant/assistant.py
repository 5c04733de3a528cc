"""The conversation with the model about the open volume. Knows no widgets, threads or torch.

The rule about scores: `chosen` is the turn whose scores are shown, and only while the volume it was
asked about is the one on the screen.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from app.viewmodels.assistant.answers import (
    Finished,
    Piece,
    Request,
    Scored,
    Seen,
    Turn,
    TurnState,
)
from app.viewmodels.assistant.recall import PastAnswers
from app.viewmodels.core.latest import LatestJob
from app.viewmodels.core.signal import Signal
from app.viewmodels.core.tasks import Tasks
from app.viewmodels.core.work import Done, Failed, Job, Listener, Message, Outcome, Progress
from app.viewmodels.images.viewer import Viewer
from med2e3.geometry import Plane
from med2e3.phantoms.maker import NO_PHANTOM, made_as_phantom
from med2e3.volume import WINDOWS, Volume, Window

if TYPE_CHECKING:
    from med2e3.engine import ModelInfo
    from med2e3.engine.grounding import Box, Mask

#: Choices of what the model is given, besides the presets of `WINDOWS`.
MODEL_DEFAULT, FULL_RANGE, AS_DISPLAYED = "model default", "full range", "as displayed"
WINDOW_CHOICES = (MODEL_DEFAULT, *WINDOWS, FULL_RANGE, AS_DISPLAYED)


class ModelState(StrEnum):
    """Where the model is."""

    NONE = "none"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


class Host(Protocol):
    """Where models run."""

    def load(self, name: str, listener: Listener) -> Job[ModelInfo]:
        """Load a model by name or folder; events: `Progress`."""
        ...

    def ask(self, request: Request, listener: Listener) -> Job[Finished]:
        """Answer; events: `Progress`, then `Seen`, `Scored`, and `Piece` by `Piece`."""
        ...


class Assistant:
    """The loaded model, the questions asked, and what the model is given of the volume."""

    def __init__(
        self,
        viewer: Viewer,
        host: Host,
        tasks: Tasks,
        explain: Callable[[BaseException], Message],
    ) -> None:
        self._viewer = viewer
        self._host = host
        self._tasks = tasks
        self._explain = explain
        self._past = PastAnswers()
        self._drafts_meant: Volume | None = None
        self._job: Job[Finished] | None = None
        self._loading: LatestJob[ModelInfo] = LatestJob()
        self.model: ModelInfo | None = None
        self.model_state = ModelState.NONE
        self.model_progress = Progress(-1, "")
        self.model_message: Message | None = None
        self.volume: Volume | None = None
        self.turns: list[Turn] = []
        self.running: Turn | None = None
        #: Questions that wait for the running answer, in their order.
        self.waiting: list[str] = []
        self.chosen: Turn | None = None
        self.plane: Plane | None = None
        self.window_choice = MODEL_DEFAULT
        self.model_changed: Signal[[]] = Signal()
        self.turns_changed: Signal[[]] = Signal()
        self.turn_changed: Signal[[Turn]] = Signal()
        self.text_changed: Signal[[Turn]] = Signal()
        self.chosen_changed: Signal[[]] = Signal()
        self.input_changed: Signal[[]] = Signal()
        self.volume_entered: Signal[[Volume | None]] = Signal()
        #: The question whose answer is shown, and the boxes and masks that the answer drew.
        self.drawn: Signal[[str, tuple[Box, ...], tuple[Mask, ...]]] = Signal()
        self.chosen_changed.connect(self._tell_drawn)
        self.turn_changed.connect(lambda _: self._tell_drawn())
        viewer.volume_changed.connect(self.chosen_changed.emit)

    # --- the model -------------------------------------------------------------------------

    async def load_model(self, name: str) -> bool:
        """Load a model in place of the one that is loaded, which stays where this one fails.

        Returns whether it is loaded now.
        """
        self.stop()
        self._loading.cancel()
        self.model_message = None
        self.model_state = ModelState.LOADING
        self.model_progress = Progress(-1, "Starting")
        job = self._loading.start(self._host.load, name, self._model_event)
        self.model_changed.emit()
        outcome = await self._loading.result(job)
        if outcome is not None:
            self._model_loaded(outcome)
        return isinstance(outcome, Done)

    def _model_event(self, event: object) -> None:
        if isinstance(event, Progress):
            self.model_progress = event
            self.model_changed.emit()

    def _model_loaded(self, outcome: Outcome[ModelInfo]) -> None:
        if isinstance(outcome, Done):
            self.model, self.model_state = outcome.value, ModelState.READY
        elif isinstance(outcome, Failed):
            self.model_message = self._explain(outcome.error)
            self.model_state = ModelState.FAILED if self.model is None else ModelState.READY
        else:
            self.model_state = ModelState.NONE if self.model is None else ModelState.READY
        self.model_changed.emit()

    # --- the volume ------------------------------------------------------------------------

    def enter(self, volume: Volume | None) -> None:
        """Talk about another volume from now on; the answer about the last one is stopped.

        Answers about the same series, if it was open before, belong to it again.
        """
        self.stop()
        if self.volume is not None:
            self._past.put_away(self.volume, self.turns, self.chosen)
        for turn in self.turns:
            turn.let_go()
        self.volume = volume
        chosen = None if volume is None else self._past.bring_back(volume)
        self.volume_entered.emit(volume)
        self.choose(chosen)
        self.turns_changed.emit()

    def about_open_volume(self, turn: Turn) -> bool:
        """Whether a turn was asked about the volume that is on the screen."""
        same = turn.volume is not None and turn.volume is self.volume
        return same and self.volume is self._viewer.volume

    @property
    def shown(self) -> Turn | None:
        """The turn whose scores may be shown now."""
        turn = self.chosen
        return turn if turn is not None and self.about_open_volume(turn) else None

    @property
    def strip_plane(self) -> Plane | None:
        """The plane whose view has the strip of scores beside it: the one the model was given."""
        if self.shown is not None and self.shown.seen is not None:
            return self.shown.seen.plane
        if self.model is None or self.volume is None or self.volume is not self._viewer.volume:
            return None
        return self.plane or self.model.default_plane or self.volume.geometry.plane

    # --- asking ----------------------------------------------------------------------------

    @property
    def can_ask(self) -> bool:
        """Whether a question can be asked now."""
        ready = self.model_state is ModelState.READY and self.running is None
        return ready and self.volume is not None and self.volume is self._viewer.volume

    def ask(
        self, question: str, *, is_report: bool = False, alone: bool = False
    ) -> Turn | None:  # fmt: skip
        """Ask about the open volume; None if that is not possible now.

        A model that was trained on conversations reads the last turns with it, unless the question
        is to stand `alone`.
        """
        if not self.can_ask or self.volume is None or self.model is None:
            return None
        before = self._before(self.volume)
        history = () if alone else before[max(0, len(before) - self.model.history_turns) :]
        request = Request(self.volume, question, self.plane, self._window(), history)
        turn = Turn(
            question,
            self.model.name,
            self.volume,
            self.volume.name,
            is_report,
            has_scores=self.model.has_scores,
            read_after=len(history) if before else None,
        )
        self.turns.append(turn)
        self.running = turn
        self._job = self._host.ask(request, lambda event: self._answer_event(turn, event))
        self.turns_changed.emit()
        self.choose(turn)
        self._tasks.start(self._follow(turn, self._job))
        return turn

    def _before(self, volume: Volume) -> tuple[tuple[str, str], ...]:
        """The complete turns about a volume with this model, reports aside."""
        model = "" if self.model is None else self.model.name
        return tuple(
            (turn.question, turn.text)
            for turn in self.turns
            if turn.volume is volume and turn.complete and turn.model == model
            and not turn.is_report
        )  # fmt: skip

    @property
    def draft_doubt(self) -> str:
        """What to ask before a report of the open volume is drafted; "" for nothing.

        A model of phantoms drafts of another volume only where its reader means it, once a volume.
        """
        model, volume = self.model, self.volume
        if model is None or volume is None or not model.is_demo or volume is self._drafts_meant:
            return ""
        said = made_as_phantom(volume)
        if said is None:  # the model may have seen by now what it is
            said = any(
                turn.volume is volume and turn.seen is not None and NO_PHANTOM not in turn.cautions
                for turn in self.turns
            )
        return "" if said else f"{NO_PHANTOM} Draft a report of this series all the same?"

    def mean_draft(self) -> None:
        """The reader means drafts of the open volume, whatever it is."""
        self._drafts_meant = self.volume

    def ask_next(self, question: str) -> Turn | None:
        """Ask now, or after the running answer and what waits already; its turn, if it began."""
        if self.running is None:
            return self.ask(question)
        if question.strip():
            self.waiting.append(question)
            self.turns_changed.emit()
        return None

    def forget_waiting(self) -> None:
        """Ask none of the questions that wait."""
        self.waiting.clear()
        self.turns_changed.emit()

    def stop(self) -> None:
        """Stop the running answer, and ask nothing that waits; what has arrived of it stays."""
        self.waiting.clear()
        turn, job = self.running, self._job
        if turn is None or job is None:
            return
        job.cancel()
        self._end(turn, TurnState.STOPPED)

    def choose(self, turn: Turn | None) -> None:
        """Show the scores of another turn."""
        self.chosen = turn
        self.chosen_changed.emit()

    def _tell_drawn(self) -> None:
        turn = self.shown
        if turn is None:
            self.drawn.emit("", (), ())
        else:
            self.drawn.emit(turn.question, turn.boxes, turn.masks)

    def give(self, plane: Plane | None, window_choice: str) -> None:
        """Say what the model is given; `plane` None is the model's own."""
        self.plane, self.window_choice = plane, window_choice
        self.input_changed.emit()
        self.chosen_changed.emit()

    async def _follow(self, turn: Turn, job: Job[Finished]) -> None:
        started = time.monotonic()
        outcome = await job
        turn.seconds = time.monotonic() - started
        if turn is not self.running:  # stopped meanwhile
            return
        if isinstance(outcome, Done):
            finished = outcome.value
            turn.text, turn.reason, turn.record = finished.text, finished.reason, finished.record
            turn.boxes, turn.masks = finished.boxes, finished.masks
            turn.certainty, turn.asked = finished.certainty, finished.asked
            turn.said = finished.said
            self._end(turn, TurnState.DONE)
        elif isinstance(outcome, Failed):
            turn.message = self._explain(outcome.error)
            self._end(turn, TurnState.FAILED)
        else:
            self._end(turn, TurnState.STOPPED)

    def _answer_event(self, turn: Turn, event: object) -> None:
        if isinstance(event, Progress):
            turn.doing = event.doing
        elif isinstance(event, Seen):
            turn.seen, turn.plane, turn.cautions = event, event.plane, event.cautions
        elif isinstance(event, Scored):
            turn.scores, turn.has_scores = event.scores, event.scores is not None
        elif isinstance(event, Piece):
            self._more_text(turn, event.text)
            return
        self.turn_changed.emit(turn)
        if turn is self.chosen and isinstance(event, Seen | Scored):
            self.chosen_changed.emit()

    def _more_text(self, turn: Turn, text: str) -> None:
        # Views repaint only the text for each piece: dozens of them arrive in a second.
        began = turn.state is not TurnState.STREAMING
        turn.state = TurnState.STREAMING
        turn.text += text
        (self.turn_changed if began else self.text_changed).emit(turn)

    def _end(self, turn: Turn, state: TurnState) -> None:
        turn.state = state
        self.running = self._job = None
        self.turn_changed.emit(turn)
        self.turns_changed.emit()
        if self.waiting and self.can_ask:
            self.ask(self.waiting.pop(0))

    def is_trained_window(self, choice: str) -> bool:
        """Whether the model was trained in the window of this choice; True while none is loaded."""
        if self.model is None or choice == MODEL_DEFAULT:
            return True
        given = self._viewer.window if choice == AS_DISPLAYED else WINDOWS.get(choice)
        return given == self.model.default_window

    def _window(self) -> Window | str | None:
        if self.window_choice == MODEL_DEFAULT:
            return None
        return self._viewer.window if self.window_choice == AS_DISPLAYED else self.window_choice
