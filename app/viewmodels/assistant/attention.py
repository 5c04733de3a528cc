"""Where the model attends to while it says a word, as maps over the images. Attention, not proof.

Off until the reader asks for it, and shown of one word of one answer at a time. Where it cannot be
had exactly it is not offered, or the reason is said. Knows no widgets, threads or torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from app.viewmodels.assistant.answers import Asked, Turn
from app.viewmodels.assistant.assistant import Assistant
from app.viewmodels.core.latest import LatestJob
from app.viewmodels.core.signal import Signal
from app.viewmodels.core.tasks import Tasks
from app.viewmodels.core.work import Done, Failed, Job, Listener, Message
from med2e3.geometry import Geometry
from med2e3.volume import Volume

if TYPE_CHECKING:
    from med2e3.evidence.attention import Attention

#: What stands beside every map.
NOTE = "attention, not proof"


class Part(StrEnum):
    """Which tokens of the volume a map is of."""

    SLICES = "slices"
    VOLUME = "volume"


@dataclass(frozen=True)
class AttentionRequest:
    """The answer whose words are asked about, and its volume."""

    asked: Asked
    volume: Volume


@dataclass(frozen=True, eq=False)
class WordMap:
    """The attention of a word: `cells` (slices, rows, columns) on a grid of their own in LPS mm."""

    name: str
    cells: NDArray[np.float32]
    grid: Geometry


class AttentionReader(Protocol):
    """Where attention is computed."""

    def attend(self, request: AttentionRequest, listener: Listener) -> Job[Attention]:
        """Compute the attention of an answer's words; events: `Progress`."""
        ...


class WordMaps:
    """The map that lies over the images: of which answer, which word, which tokens; none at first.

    It goes away with the answer: when another one is shown, another is asked, another volume is
    opened.
    """

    def __init__(
        self,
        assistant: Assistant,
        reader: AttentionReader,
        tasks: Tasks,
        explain: Callable[[BaseException], Message],
    ) -> None:
        self._assistant = assistant
        self._reader = reader
        self._tasks = tasks
        self._explain = explain
        self._job: LatestJob[Attention] = LatestJob()
        #: The answer whose attention is shown or awaited.
        self.turn: Turn | None = None
        self.word = 0
        self.part = Part.SLICES
        self.changed: Signal[[]] = Signal()
        #: The map to lay over the images; None: none.
        self.shown: Signal[[WordMap | None]] = Signal()
        assistant.chosen_changed.connect(self._leave)

    def offered(self, turn: Turn) -> bool:
        """Whether the attention of an answer can be asked for now."""
        model, asked = self._assistant.model, turn.asked
        if model is None or asked is None or turn.attention_message is not None:
            return False
        exact = not model.quantize and model.weights_sha256 == asked.weights
        return exact and self._assistant.about_open_volume(turn)

    def toggle(self, turn: Turn) -> None:
        """Show the attention of an answer, or show it no more."""
        if turn is self.turn:
            self.hide()
            return
        if not self.offered(turn) or turn.asked is None or turn.volume is None:
            return
        self._assistant.choose(turn)
        self.turn = turn
        if turn.attention is not None:
            self._begin(turn.attention)
            return
        request = AttentionRequest(turn.asked, turn.volume)
        job = self._job.start(self._reader.attend, request, lambda _: None)
        self.changed.emit()
        self._tasks.start(self._follow(turn, job))

    def hide(self) -> None:
        """Show no attention, and await none."""
        if self.turn is not None:
            self._job.cancel()
            self.turn = None
            self.changed.emit()
            self.shown.emit(None)

    def choose_word(self, word: int) -> None:
        """Show the map of another word of the answer."""
        found = self.found
        if found is not None and 0 <= word < len(found.words):
            self.word = word
            self._show()

    def choose_part(self, part: Part) -> None:
        """Show the other tokens' map, where the model has them."""
        if part in self.parts:
            self.part = part
            self._show()

    @property
    def found(self) -> Attention | None:
        """The attention that is shown."""
        return None if self.turn is None else self.turn.attention

    @property
    def parts(self) -> tuple[Part, ...]:
        """The tokens that there are maps of."""
        found = self.found
        if found is None:
            return ()
        has = {Part.SLICES: found.to_slices, Part.VOLUME: found.to_volume}
        return tuple(part for part, cells in has.items() if cells is not None)

    @property
    def line(self) -> str:
        """How much of the word's attention goes where, in words."""
        found = self.found
        if found is None:
            return "" if self.turn is None else "Computing the attention of each word …"
        shares = dict(zip(Part, found.shares(self.word), strict=True))
        told = [f"{100 * shares[part]:.0f} % to the {part}" for part in self.parts]
        rest = 1 - sum(shares.values())
        return f"“{found.words[self.word]}”: {', '.join(told)}, {100 * rest:.0f} % to text. "

    async def _follow(self, turn: Turn, job: Job[Attention]) -> None:
        outcome = await self._job.result(job)
        if outcome is None or turn is not self.turn:
            return
        if isinstance(outcome, Done):
            turn.attention = outcome.value
            self._begin(outcome.value)
        elif isinstance(outcome, Failed):
            turn.attention_message = self._explain(outcome.error)
            self.hide()
        else:
            self.hide()

    def _begin(self, found: Attention) -> None:
        """Begin with the word that attends to the volume the most."""
        self.word = int(np.argmax([sum(found.shares(k)) for k in range(len(found.words))]))
        if self.part not in self.parts:
            self.part = self.parts[0] if self.parts else self.part
        self._show()

    def _show(self) -> None:
        self.changed.emit()
        self.shown.emit(self._map())

    def _map(self) -> WordMap | None:
        found = self.found
        if found is None or self.part not in self.parts:
            return None
        slices = self.part is Part.SLICES
        cells = found.slices(self.word) if slices else found.volume(self.word)
        grid = found.slices_grid if slices else found.volume_grid
        if cells is None or grid is None:
            return None
        return WordMap(f"“{found.words[self.word]}” ({self.part})", cells, grid)

    def _leave(self) -> None:
        if self.turn is not None and self._assistant.shown is not self.turn:
            self.hide()
