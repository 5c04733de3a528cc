"""Undo and redo of a document that is replaced whole at each step. Knows nothing of its content."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")

#: Steps kept; what was done before them stays done. A step is a tuple of references, so this is
#: for the reader's sake (nobody goes back further), not for memory's.
MOST_STEPS = 500


class History(Generic[T]):
    """A document with what it was before each named step, and what it was before going back."""

    def __init__(self, document: T) -> None:
        self.document = document
        self._past: list[tuple[str, T]] = []
        self._future: list[tuple[str, T]] = []

    @property
    def undo_name(self) -> str:
        """What `undo` would take back; empty: nothing."""
        return self._past[-1][0] if self._past else ""

    @property
    def redo_name(self) -> str:
        """What `redo` would do again; empty: nothing."""
        return self._future[-1][0] if self._future else ""

    def commit(self, name: str, document: T) -> None:
        """Take a step; what was taken back before can no longer be done again."""
        self._past.append((name, self.document))
        del self._past[:-MOST_STEPS]
        self._future.clear()
        self.document = document

    def undo(self) -> str:
        """Take the last step back; its name, or an empty string."""
        return self._swap(self._past, self._future)

    def redo(self) -> str:
        """Do again what was taken back last; its name, or an empty string."""
        return self._swap(self._future, self._past)

    def _swap(self, source: list[tuple[str, T]], target: list[tuple[str, T]]) -> str:
        if not source:
            return ""
        name, document = source.pop()
        target.append((name, self.document))
        self.document = document
        return name
