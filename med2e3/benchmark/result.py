"""The figures of a benchmark, as a table for people and an object for machines."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from med2e3.speed_tables import Figure


@dataclass(frozen=True)
class TimedPart:
    """One part of the work: seconds, and 10⁹ floating-point operations (a multiply-add is 2).

    Products with quantised weights are not among them, nor on a CPU those of queries with keys and
    of weights with values inside torch's fused attention: its counter does not know that kernel.
    """

    name: str
    seconds: float
    gflop: float


@dataclass(frozen=True)
class TimedEvidence:
    """An answer without each of `slices` slices in turn: seconds, beside those of the answer.

    `shared_seconds` is with the volume's prefix shared and variants in batches; `alone_seconds` is
    one variant that reads the volume again, as there was nothing to share.
    """

    slices: int
    answer_seconds: float
    shared_seconds: float
    alone_seconds: float

    @property
    def times_one_answer(self) -> float:
        """All variants together, in answers."""
        return self.shared_seconds / self.answer_seconds

    @property
    def shared_per_second(self) -> float:
        """Variants a second with what they share computed once."""
        return self.slices / self.shared_seconds

    @property
    def alone_per_second(self) -> float:
        """Variants a second with nothing shared."""
        return 1 / self.alone_seconds


@dataclass(frozen=True)
class Result:
    """Medians over the repeats, in seconds; every ratio is of two figures from this run.

    "Cached" is a further question of a session; "recomputed" encodes the volume again for it.
    """

    model: str
    parameters: int
    device: str
    dtype: str
    quantize: str
    machine: str
    threads: int
    repeats: int
    read_seconds: float
    first_question_seconds: float
    second_question_seconds: float
    recomputed_seconds: float
    tokens_per_second_first: float
    tokens_per_second_second: float
    weights_bytes: int
    decode_bytes: int
    cache_bytes: int
    peak_bytes: int
    read_bytes_per_second: float
    parts: tuple[TimedPart, ...]
    leave_one_out: TimedEvidence | None = None

    @property
    def speed_up(self) -> float:
        """How many times sooner a second question's first token is there than recomputed."""
        return self.recomputed_seconds / self.second_question_seconds

    @property
    def bandwidth_share(self) -> float:
        """Decoding speed against reading once a token what it needs of the language model."""
        bound = self.read_bytes_per_second / self.decode_bytes
        return self.tokens_per_second_second / bound

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON; `ratios` are of figures from this run."""
        ratios = {
            "recomputed_over_second_question": self.speed_up,
            "decode_share_of_memory_bandwidth": self.bandwidth_share,
            "peak_memory_over_weights": self.peak_bytes / max(1, self.weights_bytes),
        }
        if self.leave_one_out is not None:
            ratios["leave_one_out_over_one_answer"] = self.leave_one_out.times_one_answer
        return dataclasses.asdict(self) | {"ratios": ratios}

    def table(self) -> str:
        """For a terminal."""
        gb = 1e9
        rows = [
            ("read a volume (prepare, encode, prefix)", f"{self.read_seconds:9.3f} s"),
            ("first question, to first token", f"{self.first_question_seconds:9.3f} s"),
            ("second question, to first token", f"{self.second_question_seconds:9.3f} s"),
            ("  the same, all recomputed", f"{self.recomputed_seconds:9.3f} s"),
            ("  recomputed / second question", f"{self.speed_up:9.1f} ×"),
            ("tokens per second, first question", f"{self.tokens_per_second_first:9.1f}"),
            ("tokens per second, second question", f"{self.tokens_per_second_second:9.1f}"),
            ("  share of the memory-bandwidth bound", f"{self.bandwidth_share:9.0%}"),
            ("weights", f"{self.weights_bytes / gb:9.3f} GB"),
            ("  read for one more token", f"{self.decode_bytes / gb:9.3f} GB"),
            ("kept of the volume", f"{self.cache_bytes / gb:9.3f} GB"),
            ("peak memory of the process", f"{self.peak_bytes / gb:9.3f} GB"),
        ]
        if (left := self.leave_one_out) is not None:
            rows += [
                (f"without each of {left.slices} slices", f"{left.shared_seconds:9.3f} s"),
                ("  by one answer", f"{left.times_one_answer:9.1f} ×"),
                ("  tests a second, prefix shared", f"{left.shared_per_second:9.1f}"),
                ("  tests a second, all recomputed", f"{left.alone_per_second:9.1f}"),
            ]
        form = f"{self.dtype}, {self.quantize}" if self.quantize else self.dtype
        lines = [
            f"{self.model}: {self.parameters / 1e6:,.1f} M parameters, {form} on "
            f"{self.device} ({self.machine}, {self.threads} threads); median of {self.repeats}",
            *(f"  {name:<44}{value}" for name, value in rows),
            f"  {'part':<44}{'seconds':>9}{'GFLOP':>12}",
            *(f"  {part.name:<44}{part.seconds:9.3f}{part.gflop:12.2f}" for part in self.parts),
        ]
        return "\n".join(lines)


#: What of a result is compared between runs: its unit, and whether more is better.
COMPARED = {
    "read_seconds": ("s", False),
    "first_question_seconds": ("s", False),
    "second_question_seconds": ("s", False),
    "recomputed_seconds": ("s", False),
    "tokens_per_second_second": ("tokens/s", True),
    "speed_up": ("×", True),
    "bandwidth_share": ("", True),
}


def figures_of(results: Sequence[Result]) -> dict[str, Figure]:
    """The figures of several results of one model."""
    return {
        name: Figure(tuple(float(getattr(result, name)) for result in results), *unit)
        for name, unit in COMPARED.items()
    }
