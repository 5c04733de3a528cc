"""Tests of an answer: which can be run, the one that is running, and what they found.

What they found is kept with the answer. Knows no widgets, threads or torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from app.viewmodels.assistant.answers import Asked, Turn, TurnState
from app.viewmodels.assistant.assistant import Assistant
from app.viewmodels.assistant.marks import Marks, hit_rates, marked_slices, marks_line
from app.viewmodels.core.latest import LatestJob
from app.viewmodels.core.signal import Signal
from app.viewmodels.core.tasks import Tasks
from app.viewmodels.core.work import Failed, Job, Listener, Message, Progress
from med2e3.volume import Volume

if TYPE_CHECKING:
    from med2e3.evidence.outcomes import Outcome

#: Bands of highest weight that are left out where none are chosen.
TOP_BANDS = 3


@dataclass(frozen=True)
class TestRow:
    """A test as the window offers it; `name` is that of `med2e3.evidence`."""

    name: str
    label: str
    tip: str
    needs_scores: bool = False
    needs_other: bool = False
    __test__ = False  # no test case of pytest


#: The tests in the order of their buttons.
TESTS = (
    TestRow(
        "leave-out",
        "Leave slices out",
        "The slices of highest weight, or those that you chose, get no weight. The 3D features "
        "still hold them.",
        needs_scores=True,
    ),
    TestRow(
        "blank-bands",
        "Black them out",
        "The voxels of these slices are black for all of the model.",
    ),
    TestRow(
        "random-bands",
        "Random slices",
        "The control: as many other slices, drawn 20 times, get no weight.",
        needs_scores=True,
    ),
    TestRow("blank", "Empty volume", "What does the model say when there is nothing to see?"),
    TestRow("shuffled", "Shuffled slices", "The same slices in random order."),
    TestRow("mirrored", "Mirrored", "Right and left exchanged: do sides in the answer follow?"),
    TestRow("rewordings", "Other words", "The same question in other words, below."),
    TestRow(
        "other-volume",
        "Series beside",
        "The same question about the series that is compared with this one.",
        needs_other=True,
    ),
)


@dataclass(frozen=True)
class Choice:
    """What the reader chose: which slices to leave out, and how to ask in other words.

    `bands` are 0-based model slices; empty: the `top_k` of highest weight. `rewordings` empty: the
    model's own.
    """

    top_k: int = TOP_BANDS
    bands: tuple[int, ...] = ()
    rewordings: tuple[str, ...] = ()


@dataclass(frozen=True)
class TestRequest:
    """What is to be tested: the answer, and what the tests need.

    `volume` is the one that was asked about, `other` the one beside it.
    """

    asked: Asked
    volume: Volume
    names: tuple[str, ...]
    choice: Choice
    other: Volume | None = None
    __test__ = False


@dataclass(frozen=True)
class Found:
    """Event: what one test found."""

    outcomes: tuple[Outcome, ...]


class Tester(Protocol):
    """Where tests run."""

    def test(self, request: TestRequest, listener: Listener) -> Job[None]:
        """Run tests; events: `Progress`, and `Found` after each."""
        ...


class Evidence:
    """The tests of the answer that is shown.

    One run of tests is on its way at most. It ends when another question is asked, another volume
    is opened, or somebody stops it; what was found until then stays.
    """

    def __init__(
        self,
        assistant: Assistant,
        tester: Tester,
        tasks: Tasks,
        explain: Callable[[BaseException], Message],
        other_volume: Callable[[], Volume | None] = lambda: None,
        marks: Marks | None = None,
    ) -> None:
        self._assistant = assistant
        self._tester = tester
        self._tasks = tasks
        self._explain = explain
        self._other_volume = other_volume
        self._marks = marks
        self._job: LatestJob[None] = LatestJob()
        #: The answer under test; None while no test runs.
        self.tested: Turn | None = None
        self.progress = Progress(-1, "")
        self.changed: Signal[[]] = Signal()
        assistant.chosen_changed.connect(self.changed.emit)
        assistant.turn_changed.connect(self._turn_changed)
        assistant.model_changed.connect(self.changed.emit)
        assistant.volume_entered.connect(lambda _: self.stop())

    @property
    def turn(self) -> Turn | None:
        """The answer whose tests are shown: the one whose scores are."""
        return self._assistant.shown

    def marks_line(self, k: int) -> str:
        """How the weights lie on the marked slices, the top `k` among them; "" without scores."""
        turn = self.turn
        if turn is None or turn.seen is None or turn.scores is None or self._marks is None:
            return ""
        marked = marked_slices(turn.seen, self._marks.planes)
        return marks_line(marked, hit_rates(turn, marked, k))

    def mark_slice(self) -> None:
        """Mark the slice that the model's plane is at as one that matters, or unmark it."""
        turn = self.turn
        if turn is not None and turn.seen is not None and self._marks is not None:
            self._marks.toggle(turn.seen.plane)

    @property
    def why_not(self) -> str:
        """Why nothing can be tested now, as a sentence; "" where something can."""
        turn, model = self.turn, self._assistant.model
        if turn is None:
            return "Ask about this series, or click an answer above: then it can be tested."
        if turn.state is not TurnState.DONE or turn.asked is None:
            return "This answer did not come to its end, so it cannot be tested. Ask again."
        if model is None or model.weights_sha256 != turn.asked.weights:
            return f"This answer is of another model ({turn.model}). Load that one to test it."
        return ""

    def can_run(self, row: TestRow) -> bool:
        """Whether a test can be started now."""
        turn = self.turn
        if self.why_not or turn is None or self.tested is not None:
            return False
        if self._assistant.running is not None:
            return False
        if row.needs_other and self._other_volume() is None:
            return False
        return turn.scores is not None or not row.needs_scores

    def run(self, names: Sequence[str], choice: Choice | None = None) -> None:
        """Start tests of the answer that is shown; those that cannot be run are left out."""
        turn = self.turn
        able = tuple(row.name for row in TESTS if row.name in names and self.can_run(row))
        if turn is None or turn.asked is None or turn.volume is None or not able:
            return
        request = TestRequest(
            turn.asked,
            turn.volume,
            able,
            choice=choice or Choice(),
            other=self._other_volume(),
        )
        self.tested, turn.test_message = turn, None
        turn.outcomes = tuple(one for one in turn.outcomes if one.test not in able)
        self.progress = Progress(0, "Starting")
        job = self._job.start(self._tester.test, request, lambda event: self._event(turn, event))
        self.changed.emit()
        self._tasks.start(self._follow(turn, job))

    def run_all(self, choice: Choice | None = None) -> None:
        """Start every test that can be run."""
        self.run([row.name for row in TESTS], choice)

    def stop(self) -> None:
        """Stop the tests on their way; what they have found stays."""
        if self.tested is not None:
            self._job.cancel()
            self.tested = None
            self.changed.emit()

    def _event(self, turn: Turn, event: object) -> None:
        if isinstance(event, Progress):
            self.progress = event
        elif isinstance(event, Found):
            turn.outcomes += event.outcomes
        self.changed.emit()

    async def _follow(self, turn: Turn, job: Job[None]) -> None:
        outcome = await self._job.result(job)
        if outcome is None:  # stopped, or others were started
            return
        self.tested = None
        if isinstance(outcome, Failed):
            turn.test_message = self._explain(outcome.error)
        self.changed.emit()

    def _turn_changed(self, turn: Turn) -> None:
        if self._assistant.running is not None:
            self.stop()
        if turn is self._assistant.chosen:
            self.changed.emit()


def parse_slices(text: str, count: int) -> tuple[int, ...]:
    """0-based model slices of "3, 5-7", which counts from 1; () for an empty text.

    Raises `ValueError` with a sentence for what is no list of slices between 1 and `count`.
    """
    found: set[int] = set()
    for part in filter(None, (p.strip() for p in text.replace("–", "-").split(","))):
        first, dash, last = part.partition("-")
        ends = (first.strip(), last.strip()) if dash else (first.strip(), first.strip())
        if not all(end.isdecimal() and end.isascii() for end in ends):
            raise ValueError(f"“{part}” is no slice. Write numbers and ranges, as 3, 5-7.")
        low, high = map(int, ends)
        if not 1 <= low <= high <= count:
            raise ValueError(f"“{part}” is outside the model's slices, 1 to {count}.")
        found.update(range(low - 1, high))
    if len(found) == count:
        raise ValueError(f"All {count} slices are left out. Keep at least one.")
    return tuple(sorted(found))
