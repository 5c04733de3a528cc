"""SIGTERM, as systems send it that take a computer away: noted, so that a step can be finished.

Knows nothing of what is trained.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Termination:
    """While its `with` lasts, a first SIGTERM is noted in `asked`; a second ends the process.

    Signals reach the main thread alone: in any other nothing is changed.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None
        self._installed = False

    def __enter__(self) -> Termination:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._note)
            self._installed = True
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self._restore()

    def _restore(self) -> None:
        if self._installed:
            # What no Python code installed is told as None, and cannot be installed again.
            signal.signal(signal.SIGTERM, self._before or signal.SIG_DFL)
            self._installed = False
