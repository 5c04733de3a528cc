"""Finds the files that ship with the product: the demo model, the demo study, icons.

They lie in `resources/` at the top of the source tree, in the package `med2e3/_resources` of an
installed wheel, and beside the program in a bundle. Knows nothing of what is in them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from med2e3.errors import Med2E3Error


def resources_root() -> Path:
    """The folder that holds the shipped files.

    Raises `Med2E3Error` when the installation is incomplete.
    """
    package = Path(__file__).resolve().parent
    bundle = getattr(sys, "_MEIPASS", None)
    candidates = [package / "_resources", package.parent / "resources"]
    if bundle is not None:
        candidates.insert(0, Path(bundle) / "resources")
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise Med2E3Error(
        f"The shipped files were not found in {', '.join(map(str, candidates))}: the installation "
        "is incomplete. Install the package again."
    )


def resource_path(name: str) -> Path:
    """The path of one shipped file or folder, e.g. "demo-model".

    Raises `Med2E3Error` when it is not there.
    """
    path = resources_root() / name
    if not path.exists():
        raise Med2E3Error(
            f"“{name}” is not among the shipped files in {path.parent}: the installation is "
            "incomplete. Install the package again."
        )
    return path
