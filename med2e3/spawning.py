"""Worker processes of `multiprocessing` that import nothing from the folder that one starts in.

A spawned process begins as `python -c …`, which puts the current folder first on the import path: a
`pickle.py` that lies there would run before any code of this package.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from med2e3.search_path import trusted

#: As `python -P`, for every Python process that starts with it in its environment.
SAFE_PATH = "PYTHONSAFEPATH"


class IsolatedProcess(SpawnProcess):
    """A spawned process that starts without the current folder on its import path."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:  # noqa: N802 - multiprocessing's name
        with isolated():
            return SpawnProcess._Popen(process_obj)


class IsolatedContext(SpawnContext):
    """The start method "spawn" with isolated processes."""

    Process = IsolatedProcess


def isolated_context() -> IsolatedContext:
    """A context for pools and data loaders; the tracker of their locks is isolated too."""
    if os.name == "posix":
        with isolated():
            resource_tracker.ensure_running()
    return IsolatedContext()


@contextmanager
def isolated() -> Iterator[None]:
    """Python processes that start meanwhile are handed no import path with the current folder.

    The folder of the script that runs stays: a spawned process runs the script again.
    """
    path, safe = sys.path, os.environ.get(SAFE_PATH)
    sys.path = trusted(program=True)
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        sys.path = path
        if safe is None:
            del os.environ[SAFE_PATH]
        else:
            os.environ[SAFE_PATH] = safe
