"""Makes the models known to transformers' Auto classes, without importing transformers for it.

`import med2e3` is cheap and stays so. Whoever imports `transformers.models.auto` afterwards finds
Med-2E3, M3D-CLIP and M3D-LaMed there; who has imported it before finds them at once. Knows nothing
of models.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it imports pathlib, and the folder that one starts in may still lead the path
    from importlib.abc import Loader

#: The modules of transformers whose tables are written to. All are loaded before they are.
TABLES = tuple(
    f"transformers.models.auto.{name}"
    for name in ("configuration_auto", "modeling_auto", "processing_auto")
)

#: What registers when it is imported.
MODELS = "med2e3.model"


def register_when_used() -> None:
    """Registers the models now, where somebody uses these tables already; else when one does."""
    if any(name in sys.modules for name in TABLES):
        importlib.import_module(MODELS)
    elif not any(isinstance(finder, _Waiting) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Waiting())


class _Waiting:
    """Waits for the first import of a table, and leaves."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a table, whose loader registers afterwards; None for anything else."""
        if fullname not in TABLES:
            return None
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None and MODELS not in sys.modules:
            spec.loader = _Registering(spec.loader)  # type: ignore[assignment]
        return spec


class _Registering:
    """Loads a table as it always is, then has the models enter themselves."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the table's own loader."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """As the table's own loader; then the models register."""
        self._loader.exec_module(module)
        importlib.import_module(MODELS)
