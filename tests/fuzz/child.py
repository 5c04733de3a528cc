"""The process that stands for the window's: reads damaged files one after another.

Run as `python -m tests.fuzz.child`; prints one line of JSON before and one after each file, so that
whoever started it knows which file ended it or is held up.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
import traceback
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

from med2e3.errors import Med2E3Error
from med2e3.io.dicom import decode_pool
from tests.fuzz.cases import Originals, choices, make, subject_of
from tests.fuzz.subjects import Seen, Subject, end

#: MB that reading a file of some kB may take on top: a bound between a copy too many and a header
#: that is believed.
MOST_MB = 400

#: MB of address space beyond what the process has at its start; a claim beyond it raises.
SPACE_MB = 4000


@dataclass(frozen=True)
class Outcome:
    """What came of one file. `kind` is a column of the table."""

    number: int
    subject: str
    doing: str
    kind: str
    detail: str = ""
    mb: float = 0.0
    #: CPU time: on a busy machine the clock says nothing.
    seconds: float = 0.0
    python_warnings: tuple[str, ...] = ()


class Peak:
    """How much memory this process and the one that decodes took at most since the last reset."""

    def __init__(self) -> None:
        self._before = 0.0
        self._known: dict[int, float] = {}

    def reset(self) -> None:
        for pid in self._pids():
            try:
                Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
            except OSError:
                continue
        self._known = {pid: _status_mb(pid, "VmRSS") for pid in self._pids()}

    def mb(self) -> float:
        """The largest growth of one of the processes since `reset`."""
        grown = [_status_mb(pid, "VmHWM") - self._known.get(pid, 100) for pid in self._pids()]
        return max(0.0, *grown)

    def cpu_seconds(self) -> float:
        """CPU time of this process and of the ones that decoded for it, ended ones included."""
        ticks = 0
        for worker in decode_pool._IDLE:
            try:
                stat = Path(f"/proc/{worker.process.pid}/stat").read_text(encoding="ascii")
                ticks += sum(map(int, stat.rsplit(")", 1)[1].split()[11:13]))
            except OSError:
                continue
        times = os.times()
        ended = times.children_user + times.children_system
        return time.process_time() + ended + ticks / os.sysconf("SC_CLK_TCK")

    def _pids(self) -> list[int]:
        return [os.getpid(), *(worker.process.pid for worker in decode_pool._IDLE)]


def _status_mb(pid: int, field: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(field)), 0.0)


def judged(before: Seen, after: Seen, knowable: bool) -> tuple[str, str]:
    """Compare what is seen of a damaged file with what was seen before it was damaged."""
    if before.content == after.content:
        return "same", ""
    news = after.words - before.words
    if news:
        return "said", sorted(news)[0]
    return ("silent", "the image differs and nothing is said") if knowable else ("unknowable", "")


def tried(subject: Subject, path: Path, before: Seen, knowable: bool) -> tuple[str, str]:
    """Read a damaged file; returns the kind of the outcome and a detail."""
    try:
        return judged(before, subject.read(path), knowable)
    except Med2E3Error as error:
        return "refused", str(error)
    except MemoryError:
        return "memory", "more address space than there is was asked for"
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        return "outside", f"{type(error).__name__} at {place}: {error}"[:300]


def run_case(seed: int, number: int, only: str, originals: Originals, target: Path) -> Outcome:
    """Make, read and judge one case."""
    choose = choices(seed, number)
    subject = subject_of(choose, only)
    before = originals.seen(subject, target)
    made = make(subject, choose, originals, target)
    peak = Peak()
    peak.reset()
    start = peak.cpu_seconds()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kind, detail = tried(subject, made.path, before, made.knowable)
    seconds, mb = peak.cpu_seconds() - start, peak.mb()
    if mb > MOST_MB:
        kind, detail = "memory", f"{mb:.0f} MB; {kind}: {detail}"
    said = tuple(dict.fromkeys(f"{w.category.__name__}: {w.message}"[:150] for w in caught))
    return Outcome(number, subject.name, made.doing, kind, detail, round(mb, 1), seconds, said)


def _limit_space() -> None:
    import resource

    size = int(_status_mb(os.getpid(), "VmSize") + SPACE_MB) * 1024**2
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def main() -> int:
    """Run the cases that were asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # libraries print what they like
    originals = Originals(options.work / "originals")
    decode_pool.warm()
    if sys.platform == "linux":
        _limit_space()
    for number in range(options.first, options.first + options.count):
        print(json.dumps({"begin": number}), file=answers, flush=True)
        outcome = run_case(options.seed, number, options.only, originals, options.work / "case")
        print(json.dumps({"end": asdict(outcome)}), file=answers, flush=True)
        if number % 200 == 0:
            gc.collect()
    end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
