"""Med-2E3: questions about 3D medical images, answered with slice scores.

    volume = med2e3.load_volume("series/")
    model = med2e3.load("demo")
    session = model.read(volume)
    answer = session.ask("Is there an effusion?")

Importing this package is cheap: torch and the readers load when first used. transformers' Auto
classes know the models from then on, whenever transformers itself is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from med2e3.lazy import from_homes
from med2e3.registering import register_when_used

if TYPE_CHECKING:
    from med2e3.engine import Answer, Model, ModelInfo, Scores, Session, load
    from med2e3.errors import Med2E3Error
    from med2e3.geometry import Geometry, Plane
    from med2e3.io import list_series, load_volume
    from med2e3.volume import Volume, Window

__version__ = "0.1.0"

#: Where each public name lives; it is imported on first use.
_HOMES = {
    "Answer": "med2e3.engine",
    "Geometry": "med2e3.geometry",
    "Med2E3Error": "med2e3.errors",
    "Model": "med2e3.engine",
    "ModelInfo": "med2e3.engine",
    "Plane": "med2e3.geometry",
    "Scores": "med2e3.engine",
    "Session": "med2e3.engine",
    "Volume": "med2e3.volume",
    "Window": "med2e3.volume",
    "list_series": "med2e3.io",
    "load": "med2e3.engine",
    "load_volume": "med2e3.io",
}

__all__ = [
    "Answer",
    "Geometry",
    "Med2E3Error",
    "Model",
    "ModelInfo",
    "Plane",
    "Scores",
    "Session",
    "Volume",
    "Window",
    "list_series",
    "load",
    "load_volume",
]

__getattr__ = from_homes(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


register_when_used()
