"""What a view-model knows of work done elsewhere: its events, its end, and how to stop it.

The end of a job is a value (`Outcome`), never an exception: a failure reaches the window as a
sentence. Knows no threads.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class Done(Generic[T_co]):
    """The work was finished; this is its result."""

    value: T_co


@dataclass(frozen=True)
class Failed:
    """The work ended with an error."""

    error: BaseException


@dataclass(frozen=True)
class Stopped:
    """Somebody stopped the work."""


Outcome = Done[T_co] | Failed | Stopped


@dataclass(frozen=True)
class Progress:
    """How far a job is: a fraction 0..1 (below 0: unknown), and what it is doing."""

    fraction: float
    doing: str


@dataclass(frozen=True)
class Message:
    """What a user is told: a sentence, and technical details (may be empty).

    `is_good`: it says that something was done, and is not shown as a failure.
    """

    sentence: str
    details: str = ""
    is_good: bool = False


class Job(Protocol[T_co]):
    """Work going on elsewhere. Awaiting it gives its `Outcome`."""

    def cancel(self) -> None:
        """Stop as soon as possible; no event arrives after this. The outcome is `Stopped`."""
        ...

    def __await__(self) -> Generator[object, None, Outcome[T_co]]: ...


#: Receives the events of a job, in order, on the thread of the window.
Listener = Callable[[object], None]
