"""The message shown in the window's bar: at most one, the latest. Knows no exceptions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.viewmodels.core.signal import Signal
from app.viewmodels.core.work import Message


@dataclass(frozen=True)
class Remedy:
    """Something the user can do about a message, on a button."""

    label: str
    act: Callable[[], object]


class Notices:
    """The latest message, until the user dismisses it or a study opens."""

    def __init__(self) -> None:
        self.message: Message | None = None
        self.remedy: Remedy | None = None
        self.changed: Signal[[]] = Signal()

    def show(self, message: Message, remedy: Remedy | None = None) -> None:
        """Show a message in place of the last one."""
        self.message, self.remedy = message, remedy
        self.changed.emit()

    def dismiss(self) -> None:
        """Show no message."""
        if self.message is not None:
            self.message = self.remedy = None
            self.changed.emit()
