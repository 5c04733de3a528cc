"""Ctrl-C while a program still loads its libraries: one line and exit code 130, no traceback.

Imports little, so that it is there before anything else. Knows no commands.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

#: The exit code of a program that was interrupted, as shells count it.
INTERRUPTED = 130


def end_quietly(program: str) -> None:
    """Let Ctrl-C end this process at once: nothing is begun that would have to be undone."""

    def end(number: int, frame: FrameType | None) -> None:
        os.write(2, f"{program}: Interrupted.\n".encode())
        os._exit(INTERRUPTED)

    signal.signal(signal.SIGINT, end)


def as_exception() -> None:
    """Let Ctrl-C raise `KeyboardInterrupt` again, which running work cleans up after."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def ignore() -> None:
    """Let nothing interrupt the end of the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
