"""How fast a study is beside single runs of `ask`, and Ray beside processes, in one run.

`throughput.py FOLDER [VOLUMES]` makes phantoms there, asks the demo model, and prints for each way
the answers a minute and the processor seconds an answer, start-up included. Ratios of one run are
what counts: on a busy machine those of processor time alone.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from med2e3.io import write_nifti
from med2e3.phantoms import make_phantom

ROOT = Path(__file__).resolve().parents[3]
ASKED = (
    "Is there a pleural effusion?", "Is there a liver lesion?", "What is the plane of this image?",
    "What is the phase of this CT scan?", "Which organ is shown in this CT scan?",
    "Please write a report of the findings in this scan.",
)  # fmt: skip

#: Runs of `ask` that stand for all: they are alike.
SINGLE = 3


def timed(*words: object) -> tuple[float, float]:
    """Wall-clock and processor seconds of a command of ours and of all that it starts."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(
        [sys.executable, "-P", "-m", "med2e3", *map(str, words)],
        check=True, cwd=ROOT, capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - began, spent


def main(folder: Path, count: int) -> None:
    scans = folder / "scans"
    scans.mkdir(parents=True, exist_ok=True)
    for k in range(count):
        write_nifti(make_phantom(41_000 + k).volume, scans / f"p{k:02d}.nii.gz")
    plan = folder / "plan.yaml"
    asked = "\n".join(f"  - {question}" for question in ASKED)
    plan.write_text(f"volumes: [scans/*.nii.gz]\nquestions:\n{asked}\n")
    answers = count * len(ASKED)
    single = [timed("ask", scans / "p00.nii.gz", question) for question in ASKED[:SINGLE]]
    wall, spent = (sum(part) / SINGLE for part in zip(*single, strict=True))
    first = _say("ask, one run an answer", wall, spent, 1, None)
    ways: dict[str, tuple[object, ...]] = {
        "study, 1 process": ("--processes", 1),
        "study, 2 processes": ("--processes", 2),
        "study, Ray, 2 actors": ("--processes", 2, "--engine", "ray"),
    }
    for number, (name, words) in enumerate(ways.items()):
        wall, spent = timed("study", plan, "--out", folder / f"out{number}", *words)
        _say(name, wall, spent, answers, first)


def _say(
    name: str, wall: float, spent: float, answers: int, first: tuple[float, float] | None
) -> tuple[float, float]:
    each = wall / answers, spent / answers
    beside = (
        ""
        if first is None
        else f"; ask takes {first[0] / each[0]:.1f} × and {first[1] / each[1]:.1f} ×"
    )
    print(
        f"{name}: {60 / each[0]:.1f} answers a minute, {each[1]:.2f} s of processor{beside}",
        flush=True,
    )
    return each


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 12)
