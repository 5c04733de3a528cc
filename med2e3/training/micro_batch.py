"""One share of a step's batch. Knows nothing of what it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class MicroBatch:
    """What the loss takes, and over how many things it is a mean."""

    content: Any
    count: float = 1.0
