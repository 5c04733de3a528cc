"""Runs the cases in child processes with bounds, and collects what came of them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

#: Seconds of CPU time that one file may take, and seconds by the clock without an answer.
MOST_SECONDS, NO_ANSWER = 10, 90

#: Seconds for a child's start and for the undamaged files, which are made and read in it first.
START_SECONDS = 240

#: Cases of one child: what a library keeps for ever does not add up. Each loads torch once.
BATCH = 4000

#: Outcomes that are right, and those that are faults.
RIGHT = ("same", "said", "refused", "unknowable")
FAULTS = ("silent", "outside", "memory", "hang", "crash")

Tell = Callable[[str], None]


@dataclass
class Tally:
    """What came of all cases."""

    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    faults: list[dict[str, Any]] = field(default_factory=list)
    warned: list[dict[str, Any]] = field(default_factory=list)

    def add(self, outcome: dict[str, Any]) -> None:
        self.counts[outcome["subject"]][outcome["kind"]] += 1
        if outcome["kind"] in FAULTS:
            self.faults.append(outcome)
        if outcome.get("python_warnings"):
            self.warned.append(outcome)

    def total(self, kind: str) -> int:
        return sum(count[kind] for count in self.counts.values())

    @property
    def cases(self) -> int:
        return sum(sum(count.values()) for count in self.counts.values())

    def groups(self) -> list[list[dict[str, Any]]]:
        """Faults that look alike, together; the most frequent first."""
        found: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
        for fault in self.faults:
            detail = re.sub(r"/\S+|\d+", "…", fault["detail"])[:60]
            damage = re.sub(r"\d+|\[.*?\]", "…", fault["doing"].split(": ", 1)[-1])[:40]
            silent = damage if fault["kind"] == "silent" else detail
            found[fault["kind"], fault["subject"], silent].append(fault)
        return sorted(found.values(), key=len, reverse=True)


@dataclass
class Fuzz:
    """One run: `count` cases of a seed, beginning with the case `first`."""

    seed: int
    count: int
    first: int = 0
    only: str = ""
    most_seconds: float = MOST_SECONDS
    keep: Path | None = None

    def run(
        self, tell: Tell = lambda line: None, hear: Callable[[dict[str, Any]], object] = bool
    ) -> Tally:
        """All cases; `tell` hears how far the run is, and `hear` each outcome.

        Ends early, with what there is, when it is interrupted.
        """
        tally = Tally()
        try:
            self._run(tally, tell, hear)
        except KeyboardInterrupt:
            tell("interrupted")
        return tally

    def _run(self, tally: Tally, tell: Tell, hear: Callable[[dict[str, Any]], object]) -> None:
        number = self.first
        while number < self.first + self.count:
            last = min(number + BATCH, self.first + self.count)
            for outcome in self._batch(number, last):
                number = outcome["number"] + 1
                if outcome["kind"] == "hang":  # on a busy machine all is slow: once more, alone
                    (outcome,) = self._batch(outcome["number"], number)
                tally.add(outcome)
                hear(outcome)
            faults = ", ".join(f"{tally.total(kind)} {kind}" for kind in FAULTS)
            tell(f"{tally.cases} files: {faults}")

    def _batch(self, first: int, last: int) -> Iterator[dict[str, Any]]:
        """The outcomes of one child, which ends with the first case that ends or holds it up."""
        work = self.keep or Path(tempfile.mkdtemp(prefix="fuzz-"))
        child = self._start(first, last - first, work)
        try:
            yield from self._followed(child, first, last, work / "tmp" / "stderr")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            if child.stdout is not None:
                child.stdout.close()
            if self.keep is None:
                shutil.rmtree(work, ignore_errors=True)

    def _start(self, first: int, count: int, work: Path) -> subprocess.Popen[bytes]:
        numbers = {"seed": self.seed, "first": first, "count": count}
        options = [word for name, n in numbers.items() for word in (f"--{name}", str(n))]
        own = work / "tmp"
        own.mkdir(parents=True, exist_ok=True)
        paths = filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))
        environment = {
            **os.environ,
            "TMPDIR": str(own),
            "XDG_CACHE_HOME": str(own / "cache"),
            "QT_QPA_PLATFORM": "offscreen",
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(paths),
        }
        command = [sys.executable, "-m", "tests.fuzz.child", *options]
        with (own / "stderr").open("ab") as said:
            return subprocess.Popen(
                [*command, "--only", self.only, "--work", str(work)],
                stdout=subprocess.PIPE,
                stderr=said,
                cwd=ROOT,
                env=environment,
                start_new_session=True,
            )

    def _followed(
        self, child: subprocess.Popen[bytes], first: int, last: int, said: Path
    ) -> Iterator[dict[str, Any]]:
        running, patience = first, float(START_SECONDS)
        lines = _Lines(child)
        while running < last:
            line = lines.next(patience)
            if line is None:
                yield self._ended(child, running, lines.held_up, said)
                return
            # The first file of a kind waits for its undamaged one, which may load torch.
            patience = START_SECONDS if "begin" in line else NO_ANSWER
            if "end" in line:
                outcome = line["end"]
                if outcome["seconds"] > self.most_seconds:
                    outcome |= {"kind": "hang", "detail": f"{outcome['seconds']:.1f} s"}
                yield outcome
                running = outcome["number"] + 1

    def _ended(
        self, child: subprocess.Popen[bytes], number: int, held_up: bool, said: Path
    ) -> dict[str, Any]:
        from tests.fuzz.cases import choices, subject_of

        subject = subject_of(choices(self.seed, number), self.only).name
        kind, detail = "hang", f"no answer within {NO_ANSWER} s"
        if not held_up:
            last = said.read_text("utf-8", "replace").strip().splitlines()[-1:]
            kind, detail = "crash", f"the process ended with {child.wait()}: {''.join(last)}"
        return {"number": number, "subject": subject, "doing": "?", "kind": kind, "detail": detail}


class _Lines:
    """The lines of a child, each waited for."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdout is not None
        self._pipe = child.stdout.fileno()
        self._rest = b""
        self.held_up = False

    def next(self, seconds: float) -> dict[str, Any] | None:
        """The next line; None where the child has ended, or says nothing for so long."""
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self._pipe], [], [], seconds)
            if not ready:
                self.held_up = True
                return None
            more = os.read(self._pipe, 1 << 16)
            if not more:
                return None
            self._rest += more
        line, self._rest = self._rest.split(b"\n", 1)
        return dict(json.loads(line))
