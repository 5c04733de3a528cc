"""The optional packages of a study, and the sentence where one is missing."""

from __future__ import annotations

import importlib
from typing import Any

from med2e3.errors import ResourceError

#: Modules by the name of the package that has them and of the extra that installs it.
PACKAGES = {
    "yaml": ("PyYAML", "study"),
    "pyarrow": ("pyarrow", "study"),
    "pyarrow.parquet": ("pyarrow", "study"),
    "ray": ("Ray", "ray"),
    "ray.data": ("Ray Data", "ray"),
}


def optional(module: str) -> Any:
    """A module of `PACKAGES`. Raises `ResourceError`, which names the extra that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package, extra = PACKAGES[module]
        raise ResourceError(
            f"A study needs the package {package}, which cannot be used here ({error}). "
            f"Install it with `pip install 'med2e3[{extra}]'`."
        ) from error


def check_packages() -> None:
    """Raises `ResourceError` before anything is read where a package of every study is missing."""
    for module in ("yaml", "pyarrow.parquet"):
        optional(module)
