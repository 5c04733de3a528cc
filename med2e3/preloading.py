"""Have the system load compiled libraries before they are imported, while Python goes on.

An import keeps the interpreter's lock while the loader reads libraries and runs their set-up: the
window then stands still for 50–350 ms. The same libraries are opened beforehand without the lock.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path

#: Libraries of torch, in the order in which it loads them itself; the first for all to see.
TORCH = ("libtorch_global_deps", "libtorch_python")


def preload_modules(package: str, modules: Sequence[str]) -> int:
    """Load compiled modules of a package, and what they need; how many were loaded.

    What could not be loaded, importing will say why.
    """
    folder = _folder(package)
    if folder is None:
        return 0
    return _open((folder / f"{name}{EXTENSION_SUFFIXES[0]}", False) for name in modules)


def preload_torch() -> int:
    """Load the libraries of torch; how many were loaded."""
    folder = _folder("torch")
    if folder is None or "torch" in sys.modules:
        return 0
    suffix = ".dylib" if sys.platform == "darwin" else ".so"
    paths = [folder / "lib" / f"{name}{suffix}" for name in TORCH]
    return _open((path, number == 0) for number, path in enumerate(paths))


def _folder(package: str) -> Path | None:
    found = find_spec(package)
    return None if found is None or found.origin is None else Path(found.origin).parent


def _open(paths: Iterable[tuple[Path, bool]]) -> int:
    """Open libraries; those marked True offer their names to all that come after them."""
    open_library = getattr(ctypes.CDLL(None), "dlopen", None) if os.name == "posix" else None
    if open_library is None:
        return 0
    open_library.restype = ctypes.c_void_p
    open_library.argtypes = [ctypes.c_char_p, ctypes.c_int]
    return sum(
        bool(open_library(os.fsencode(path), os.RTLD_NOW | (os.RTLD_GLOBAL if everywhere else 0)))
        for path, everywhere in paths
    )
