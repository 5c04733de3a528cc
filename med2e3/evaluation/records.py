"""What was asked of one phantom and what came back: the raw material of every figure.

Kept apart from the figures, so that predictions can be saved, read again and recounted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Asked:
    """One question with its answer.

    `blank` says that the model saw an empty grid in place of the phantom. `letter` is the right
    choice of a closed question. `truth` is the full answer wanted.
    """

    topic: str
    prompt: str
    truth: str
    letter: str
    answer: str
    blank: bool = False


@dataclass(frozen=True)
class Pointed:
    """Scores for a question about one finding, and the model slices that hold it."""

    finding: str
    prompt: str
    scores: tuple[float, ...]
    held: tuple[int, ...]

    @property
    def hit(self) -> bool:
        """Whether the highest score lies on a slice that holds the finding."""
        return max(range(len(self.scores)), key=self.scores.__getitem__) in self.held

    @property
    def mass(self) -> float:
        """Score mass on the slices that hold the finding."""
        return sum(self.scores[k] for k in self.held)

    def mass_on(self, slices: tuple[int, ...]) -> float:
        """Score mass on other slices."""
        return sum(self.scores[k] for k in slices)

    @property
    def chance(self) -> float:
        """How often a random slice would hold it."""
        return len(self.held) / len(self.scores)


@dataclass(frozen=True)
class Examined:
    """One phantom: its truth, what was asked, where the scores lay."""

    seed: int
    plane: str
    phase: str
    region: str
    findings: tuple[str, ...]
    report: str
    asked: tuple[Asked, ...]
    pointed: tuple[Pointed, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """For one line of JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, said: dict[str, Any]) -> Examined:
        """Back from JSON."""
        asked = tuple(Asked(**a) for a in said["asked"])
        pointed = tuple(
            Pointed(p["finding"], p["prompt"], tuple(p["scores"]), tuple(p["held"]))
            for p in said["pointed"]
        )
        rest = {**said, "findings": tuple(said["findings"]), "asked": asked, "pointed": pointed}
        return cls(**rest)
