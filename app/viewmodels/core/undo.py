"""Undo and redo of everything a reader changes on a series, in the order in which it was done.

Who changes something pushes a named step with its way back. Knows no viewer, overlays or
annotations: only that steps belong to a subject, which is open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from app.viewmodels.core.signal import Signal

#: Steps kept; what was done before them stays done. A step is a few references, so this is for the
#: reader's sake (nobody goes back further), not for memory's.
MOST_STEPS = 500


@dataclass(frozen=True)
class Step:
    """Something done, and how to take it back.

    Steps in a row with one `key` are one step, as all movements of a slider. A step with a name in
    `lasts_with` outlives its subject: it is there again after `resume` of that name.
    """

    name: str
    undo: Callable[[], object]
    redo: Callable[[], object]
    key: object = None
    lasts_with: str = ""


@dataclass
class _Timeline:
    """Steps that were done, and steps that were taken back, the nearest to now last."""

    past: list[Step] = field(default_factory=list)
    future: list[Step] = field(default_factory=list)

    def lasting(self, name: str) -> _Timeline:
        """The steps of one name alone."""
        past, future = ([s for s in x if s.lasts_with == name] for x in (self.past, self.future))
        return _Timeline(past, future)


class UndoStack:
    """What was done on the open subject, and what was taken back of it."""

    def __init__(self) -> None:
        self._open = _Timeline()
        self._lasting: dict[str, _Timeline] = {}
        self._subject: object = None
        self._blocked = False
        self._going = False
        self.changed: Signal[[]] = Signal()

    @property
    def undo_name(self) -> str:
        """What `undo` would take back; empty: nothing, as while another subject opens."""
        return self._open.past[-1].name if self._open.past and not self._blocked else ""

    @property
    def redo_name(self) -> str:
        """What `redo` would do again; empty: nothing, as while another subject opens."""
        return self._open.future[-1].name if self._open.future and not self._blocked else ""

    def push(self, step: Step) -> None:
        """Keep what was just done; what was taken back before can no longer be done again.

        No step is what follows from going back, or what is done while another subject opens.
        """
        if self._going or self._blocked:
            return
        past = self._open.past
        if step.key is not None and past and past[-1].key == step.key:
            first = past.pop()
            step = Step(step.name, first.undo, step.redo, step.key, step.lasts_with)
        past.append(step)
        del past[:-MOST_STEPS]
        self._open.future.clear()
        self.changed.emit()

    def undo(self) -> None:
        """Take the last step back."""
        if self.undo_name:
            step = self._open.past.pop()
            self._open.future.append(step)
            self._go(step.undo)

    def redo(self) -> None:
        """Do again what was taken back last."""
        if self.redo_name:
            step = self._open.future.pop()
            self._open.past.append(step)
            self._go(step.redo)

    # --- subjects --------------------------------------------------------------------------

    def enter(self, subject: object, *, opening: bool = False) -> None:
        """Begin anew where another subject is open; steps that last are laid aside.

        `opening`: another subject is on its way, and may not arrive. Until `enter` says which one
        is open, nothing can be undone, and the steps stay.
        """
        self._blocked = opening
        if opening or subject is self._subject:
            return
        for name in {step.lasts_with for step in (*self._open.past, *self._open.future)} - {""}:
            self._lasting[name] = self._open.lasting(name)
        self._subject, self._open = subject, _Timeline()
        self.changed.emit()

    def lay_aside(self, name: str) -> None:
        """Take the steps that last with `name` out, until `resume`: their subject is closed."""
        line = self._open
        if not line.lasting(name).past and not line.lasting(name).future:
            return
        self._lasting[name] = line.lasting(name)
        for steps in (line.past, line.future):
            steps[:] = [step for step in steps if step.lasts_with != name]
        self.changed.emit()

    def resume(self, name: str) -> None:
        """Bring the steps that last with `name` back, before those that were done since."""
        kept = self._lasting.pop(name, None)
        if kept is None:
            return
        line = self._open
        if not (line.past or line.future):
            line.future[:] = kept.future
        line.past[:0] = kept.past
        self.changed.emit()

    def _go(self, act: Callable[[], object]) -> None:
        self._going = True
        try:
            act()
        finally:
            self._going = False
        self.changed.emit()
