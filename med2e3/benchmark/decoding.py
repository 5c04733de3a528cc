"""Times decoding beside a plain read of the weights' bytes, in turns, and a volume that is kept.

On a CPU times are processor time of this process, which other programs disturb least; on a GPU they
are wall-clock times after all work is done.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from med2e3.benchmark.measuring import QUESTIONS, decode_bytes, synthetic_volume
from med2e3.engine import Model, Session
from med2e3.engine.kept import KeptVolumes, name_of
from med2e3.engine.token_graph import TokenGraphs
from med2e3.model.packed_linear import plain_rows
from med2e3.model.placing import device_of
from med2e3.speed_tables import RUNS, Figure

#: Tokens of one measured answer, and questions that are asked at once.
TOKENS, AT_ONCE = 24, 8

#: A read as large as this lies beyond the caches of usual processors.
READ_BYTES = 500_000_000

#: Seconds after which no further run is begun: set-up and five runs then fit into six minutes.
LIMIT_S = 240.0

Progress = Callable[[float, str], None]


def measure_decode(
    model: Model, *, runs: int = RUNS, limit_s: float = LIMIT_S, progress: Progress | None = None
) -> dict[str, Figure]:
    """Figures by name; every run has each of them once, so that ratios are of one moment."""
    report = progress or (lambda fraction, what: None)
    session = model.read(synthetic_volume())
    rows: dict[str, list[float]] = {}
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        parts = _Parts(model, session, Path(folder))
        parts.run()  # warms up, and is not counted
        for number in range(runs):
            if number and time.monotonic() - began > limit_s:
                break
            report(number / runs, "Measuring")
            for name, value in parts.run().items():
                rows.setdefault(name, []).append(value)
    return {name: Figure(tuple(rows[name]), *UNITS[name]) for name in UNITS if name in rows}


#: Every figure, with its unit and whether more is better.
UNITS = {
    "prompt, to the first token": ("s", False),
    "one more token": ("s", False),
    "  the same with torch's own products of single rows": ("s", False),
    "plain read of the same bytes": ("s", False),
    "share of the bandwidth bound": ("", True),
    "  the same with torch's own products": ("", True),
    "second question, to the first token": ("s", False),
    "  recomputed / second question": ("×", True),
    "reopened, to the first token": ("s", False),
    "raw read of the kept bytes": ("s", False),
    "  reopened / (second question + raw read)": ("×", False),
    f"tokens of {AT_ONCE} questions at once / of one": ("×", True),
}


class _Parts:
    """What one run measures, with one session and a folder for what is kept."""

    def __init__(self, model: Model, session: Session, folder: Path) -> None:
        self.model, self.session = model, session
        self.device = device_of(model.backend.network)
        self.network = model.backend.network
        numbers = min(READ_BYTES, max(4, decode_bytes(self.network))) // 4
        self.numbers = torch.ones(numbers, dtype=torch.float32, device=self.device)
        # Random weights have no hash, and what has none is not kept.
        self.info = dataclasses.replace(model.info, weights_sha256="measured")
        self.kept = KeptVolumes(folder)
        self.kept.keep(name_of(self.info, session.input.grid), session.computed())
        self.kept.wait()

    def run(self) -> dict[str, float]:
        """Each figure once."""
        first, token = self._ask(self.session, TOKENS)
        read = self._took(lambda: self.numbers.sum()) / self.numbers.nbytes
        read *= decode_bytes(self.network)
        with plain_rows(self.network.language_model):
            _, plain = self._ask(self.session, TOKENS)
        recomputed, _ = self._ask(self._new, 1)
        reopened, _ = self._ask(self._reopened, 1)
        raw = self._took(self._raw)
        return {
            "prompt, to the first token": first,
            "one more token": token,
            "  the same with torch's own products of single rows": plain,
            "plain read of the same bytes": read,
            "share of the bandwidth bound": read / token,
            "  the same with torch's own products": read / plain,
            "second question, to the first token": first,
            "  recomputed / second question": recomputed / first,
            "reopened, to the first token": reopened,
            "raw read of the kept bytes": raw,
            "  reopened / (second question + raw read)": reopened / (first + raw),
            f"tokens of {AT_ONCE} questions at once / of one": self._batched(token),
        }

    def _ask(self, session: Session | Callable[[], Session], tokens: int) -> tuple[float, float]:
        """Time to the first token, and of each pass after it."""
        began = self._now()
        asked = session if isinstance(session, Session) else session()
        answer = asked.ask(QUESTIONS[1], max_new_tokens=tokens)
        pieces = iter(answer)
        next(pieces, None)
        first, had = self._now(), len(answer.token_ids)
        for _ in pieces:
            pass
        passes = len(answer.token_ids) - had + (answer.finish_reason == "end")
        return first - began, (self._now() - first) / max(1, passes)

    def _new(self) -> Session:
        """A session that reads the volume anew."""
        session = Session(self.model, self.session.volume, self.session.input)
        session.computed()
        return session

    def _reopened(self) -> Session:
        """A session whose volume comes from the kept file."""
        session = Session(self.model, self.session.volume, self.session.input)
        name = name_of(self.info, self.session.input.grid)
        session.cache = self.kept.find(name, self.model.backend)
        return session if session.cache is not None else self._new()

    def _raw(self) -> None:
        for path in self.kept.folder.glob("*.safetensors"):
            path.read_bytes()

    def _batched(self, token: float) -> float:
        """Tokens a second of questions at once, beside those of one after its prompt."""
        asked = [QUESTIONS[k % 2] for k in range(AT_ONCE)]
        one = self._took(lambda: self.session.ask_many(asked, max_new_tokens=1))
        began = self._now()
        replies = self.session.ask_many(asked, max_new_tokens=TOKENS)
        later = self._now() - began - one
        made = sum(len(r.token_ids) - 1 + (r.finish_reason == "end") for r in replies)
        return made * token / max(1e-9, later)

    def _took(self, work: Callable[[], Any]) -> float:
        began = self._now()
        with torch.inference_mode():
            work()
        return self._now() - began

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            return time.perf_counter()
        return time.process_time()


def decode_table(model: Model, figures: dict[str, Figure]) -> str:
    """For a terminal: the best and the median of the runs."""
    network = model.backend.network
    device = device_of(network)
    clock = "wall clock" if device.type == "cuda" else "processor time"
    form = ", ".join(filter(None, (model.info.dtype, model.info.quantize)))
    graphs = model.graphs
    said = graphs.said if isinstance(graphs, TokenGraphs) else ""
    lines = [
        f"{model.info.name}: {form} on {model.info.device}, {torch.get_num_threads()} threads; "
        f"{decode_bytes(network) / 1e9:.3f} GB a token; {clock}",
        f"  {'':<54}{'best':>10}{'median':>10}",
    ]
    for name, figure in figures.items():
        lines.append(f"  {name:<54}{figure.best:10.4g}{figure.median:10.4g} {figure.unit}".rstrip())
    return "\n".join([*lines, *filter(None, (said,))])
