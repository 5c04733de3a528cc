"""What was asked and what came back: the raw material of every figure, and one line of a file each.

Kept apart from the figures, so that predictions can be saved, read again and counted again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

#: Why a question was asked: to be judged, of an empty volume, again in other words, in words that
#: no training has, or of the volume in another window.
ANSWER, BLANK, REWORDED, FREE, WINDOW = "answer", "blank", "reworded", "free", "window"


@dataclass(frozen=True)
class Prediction:
    """One question with the answer that the model gave, and the answer wanted.

    `truth` is the full answer wanted, `letter` the right one of `choices` choices (both empty for
    an open question). `use` says why it was asked; a reworded one names the question that it
    repeats in `repeats`, a follow-up the questions before it. `confidence` is the probability of
    the answer's first word (`med2e3.evidence.answer_words.confidence`), in free words of the whole;
    `probabilities` those of its tokens. `scores` (S,) are the slice scores, `held` the model slices
    that hold what is asked about.
    """

    topic: str
    prompt: str
    truth: str
    letter: str
    answer: str
    use: str = ANSWER
    choices: int = 0
    repeats: str = ""
    confidence: float = 0.0
    probabilities: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    held: tuple[int, ...] = ()

    @property
    def is_closed(self) -> bool:
        """Whether it offered choices."""
        return bool(self.letter)

    @property
    def is_present(self) -> bool:
        """Whether the finding of a presence question is there: its wanted answer begins with yes.

        A file of predictions holds no other word of it.
        """
        return self.truth.startswith("Yes")

    @property
    def chance(self) -> float | None:
        """How often a guess among its choices is right; None for an open question."""
        return 1 / self.choices if self.choices else None

    @classmethod
    def from_dict(cls, said: dict[str, Any]) -> Prediction:
        """Back from JSON."""
        values: dict[str, Any] = {k: said[k] for k in cls.__dataclass_fields__}
        for name in ("probabilities", "scores", "held"):
            values[name] = tuple(values[name])
        return cls(**values)


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
        return self.mass_on(self.held)

    def mass_on(self, slices: tuple[int, ...]) -> float:
        """Score mass on these slices."""
        return sum(self.scores[k] for k in slices)

    @property
    def chance(self) -> float:
        """How often a random slice would hold it: also the mass of uniform scores on them."""
        return len(self.held) / len(self.scores)


@dataclass(frozen=True)
class Examined:
    """One phantom: its truth, what was asked, where the scores lay."""

    seed: int
    plane: str
    phase: str
    region: str
    findings: tuple[str, ...]
    asked: tuple[Prediction, ...]
    pointed: tuple[Pointed, ...] = field(default=())

    def of_use(self, use: str, topic: str = "", closed: bool | None = None) -> list[Prediction]:
        """The questions of one use, and where named of one topic and form."""
        return [
            a
            for a in self.asked
            if a.use == use
            and (not topic or a.topic == topic)
            and (closed is None or a.is_closed is closed)
        ]

    def lines(self) -> list[dict[str, Any]]:
        """One dict for every prediction; `asked` and `pointed` ones differ in `record`."""
        of = {
            "phantom": self.seed, "plane": self.plane, "phase": self.phase, "region": self.region,
            "findings": list(self.findings),
        }  # fmt: skip
        return [
            *({"record": "asked", **of, **asdict(a)} for a in self.asked),
            *({"record": "pointed", **of, **asdict(p)} for p in self.pointed),
        ]

    @classmethod
    def from_lines(cls, lines: list[dict[str, Any]]) -> Examined:
        """Back from the lines of one phantom."""
        first = lines[0]
        asked = [Prediction.from_dict(line) for line in lines if line["record"] == "asked"]
        pointed = [
            Pointed(p["finding"], p["prompt"], tuple(p["scores"]), tuple(p["held"]))
            for p in lines
            if p["record"] == "pointed"
        ]
        return cls(
            first["phantom"], first["plane"], first["phase"], first["region"],
            tuple(first["findings"]), tuple(asked), tuple(pointed),
        )  # fmt: skip
