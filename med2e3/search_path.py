"""Keep the folder that a program starts in, and folders of studies, off the import path.

`python -m` puts the current folder first on `sys.path`: a `pydicom.py` that lies beside a study
would run. Imports nothing but what the interpreter has loaded at its start. Knows no files.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

#: The folder that holds this package, which is trusted wherever it lies.
ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120


def leave_start_folder() -> None:
    """Take the current folder off `sys.path`, unless the package itself was found there."""
    sys.path[:] = [
        entry
        for entry in sys.path
        if _absolute(entry) == ROOT or _absolute(entry) != os.getcwd()  # noqa: PTH109
    ]


def trusted(besides: Iterable[str] = (), *, program: bool = False) -> list[str]:
    """The entries of `sys.path` from which another process may import.

    Left out are relative entries, the current folder, the folder of the script that runs, and the
    folders `besides`; the folder of this package always stays. `program`: the other process runs
    the script again, whose folder stays then.
    """
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    own = {os.path.dirname(_absolute(script))} if script else set()  # noqa: PTH120
    shunned = {os.getcwd(), *map(_absolute, besides)}  # noqa: PTH109
    shunned = shunned - own if program else shunned | own
    kept = [p for p in sys.path if os.path.isabs(p) and _absolute(p) not in shunned - {ROOT}]  # noqa: PTH117
    return kept if ROOT in map(_absolute, kept) else [ROOT, *kept]


def _absolute(path: str) -> str:
    return os.path.realpath(path)
