"""The stages of a training run on phantoms, by their names in a recipe; the published two apart.

A new stage is a module here and a row in `STAGES`.
"""

from __future__ import annotations

from typing import Any

from med2e3.training.stages.base import PhantomStage
from med2e3.training.stages.encoders import Encoder2DStage, Encoder3DStage
from med2e3.training.stages.text import TextStage
from med2e3.training.stages.tuning import TuneStage

#: In the order in which they run; of the first three, which need no other, the longest one first.
STAGES: dict[str, type[PhantomStage[Any]]] = {
    "encoder3d": Encoder3DStage,
    "encoder2d": Encoder2DStage,
    "text": TextStage,
    "align": TuneStage,
    "tune": TuneStage,
}
