"""A question, its answer, the slice scores that belong to it, and what the model was shown.

Each turn keeps its own scores together with the volume they were measured on, so that none is ever
shown over another one. Knows no widgets and no model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app.imaging import windows
from app.viewmodels.core.work import Message
from med2e3.geometry import Geometry, Plane
from med2e3.volume import Volume, Window

if TYPE_CHECKING:
    from med2e3.engine import Scores
    from med2e3.engine.grounding import Box, Mask
    from med2e3.evidence.attention import Attention
    from med2e3.evidence.certainty import Certainty
    from med2e3.evidence.outcomes import Outcome
    from med2e3.preprocessing import Band


#: The reason of an answer that came to its own end.
COMPLETE = "end"


class TurnState(StrEnum):
    """Where an answer is."""

    WAITING = "waiting"
    STREAMING = "streaming"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, eq=False)
class Seen:
    """What the model was shown of a volume.

    `slices` (D, H, W) uint8 is its grid, 0..255 for 0..1. `crop_start` and `crop_shape` are in
    voxels of the volume turned into `plane`; `unread` are slices of that plane, counted along the
    stored axis that it cuts. `cautions` are sentences that belong to every answer about it.
    """

    volume: Volume
    plane: Plane
    window: Window | None
    slices: NDArray[np.uint8]
    geometry: Geometry
    crop_start: tuple[int, int, int]
    crop_shape: tuple[int, int, int]
    bands: tuple[Band, ...]
    unread: tuple[int, ...]
    cautions: tuple[str, ...] = ()

    @cached_property
    def slice_count(self) -> int:
        """Number of slices of the volume in display order of the plane."""
        return self.volume.shape[self.volume.geometry.orientation(self.plane).axes[0]]

    @cached_property
    def unread_view_slices(self) -> tuple[int, ...]:
        """The slices that no model slice reads, in display order of the plane."""
        if not self.volume.geometry.orientation(self.plane).flips[0]:
            return self.unread
        return tuple(sorted(self.slice_count - 1 - k for k in self.unread))

    @cached_property
    def edges(self) -> NDArray[np.float64]:
        """(D + 1,) where model slices meet, as fractional slices in display order of the plane.

        The resize divides the crop into D equal parts, outer voxel edges included.
        """
        parts = np.linspace(0, self.crop_shape[0], len(self.slices) + 1)
        return np.asarray(parts + self.crop_start[0] - 0.5)

    def centre_slice(self, model_slice: int) -> float:
        """Where a model slice lies, as a fractional slice in display order of the plane."""
        low, high = self.edges[model_slice : model_slice + 2]
        return float(low + high) / 2

    def describe_window(self) -> str:
        """The window that the model saw, in words."""
        if self.window is None:
            return "min–max of the volume"
        name = windows.name_of(self.window)
        return (
            f"{name} ({windows.describe(self.window)})" if name else windows.describe(self.window)
        )


@dataclass(frozen=True)
class Scored:
    """Event: the slice scores of a running answer; None if the model has none."""

    scores: Scores | None


@dataclass(frozen=True)
class Piece:
    """Event: more text of a running answer."""

    text: str


@dataclass(frozen=True)
class Finished:
    """The end of an answer: its whole text, why it ended, and all that is needed to repeat it.

    `boxes` and `masks` are what it names in the patient; only some models draw. `said` is what the
    engine says beside it: why it may be shorter than was asked for.
    """

    text: str
    reason: str
    record: dict[str, Any]
    boxes: tuple[Box, ...] = ()
    masks: tuple[Mask, ...] = ()
    certainty: Certainty | None = None
    asked: Asked | None = None
    said: str = ""


@dataclass(frozen=True)
class Request:
    """What is asked of the model; `plane` and `window` None are the model's own.

    `history` are the (question, answer) turns that it reads before the question.
    """

    volume: Volume
    question: str
    plane: Plane | None = None
    window: Window | str | None = None
    history: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, eq=False)
class Asked:
    """A complete answer, by what it can be asked again with, so that it can be tested later.

    `record` is the answer's, `plane` and `window` are those of its request, and `weights` is the
    hash of the model's. `ticket` finds the answer itself while the model still holds it.
    """

    ticket: int
    record: dict[str, Any]
    plane: Plane | None
    window: Window | str | None
    weights: str


@dataclass(eq=False)
class Turn:
    """One question and its answer, as far as it has come.

    `volume` is None while another one is open: its scores are not shown then. `plane` is the one
    whose slices the scores count, and stays without the volume.
    """

    question: str
    model: str
    volume: Volume | None
    volume_name: str = ""
    is_report: bool = False
    plane: Plane | None = None
    state: TurnState = TurnState.WAITING
    doing: str = "Waiting"
    text: str = ""
    seen: Seen | None = None
    scores: Scores | None = None
    has_scores: bool = True
    reason: str = ""
    record: dict[str, Any] = field(default_factory=dict)
    boxes: tuple[Box, ...] = ()
    masks: tuple[Mask, ...] = ()
    #: Sentences that belong to the answer, wherever it goes.
    cautions: tuple[str, ...] = ()
    #: How many turns before it the model read with the question; None where there were none.
    read_after: int | None = None
    #: How sure the model is of the answer; None while it is not complete.
    certainty: Certainty | None = None
    #: What tests of the answer need, what they found, and why the last ones failed.
    asked: Asked | None = None
    outcomes: tuple[Outcome, ...] = ()
    test_message: Message | None = None
    #: The attention of its words once it was asked for, or why it cannot be had exactly.
    attention: Attention | None = None
    attention_message: Message | None = None
    message: Message | None = None
    seconds: float = 0.0
    #: What the engine says beside the answer, as why it may be shorter; empty for nothing.
    said: str = ""

    @property
    def running(self) -> bool:
        """Whether more of the answer may still come."""
        return self.state in (TurnState.WAITING, TurnState.STREAMING)

    @property
    def complete(self) -> bool:
        """Whether the answer came to its own end: neither stopped, failed, nor cut off."""
        return self.state is TurnState.DONE and self.reason == COMPLETE

    def let_go(self) -> None:
        """Another volume is open: free the memory of this one; text, scores and record stay."""
        self.volume = self.seen = None
        self.boxes = self.masks = ()
