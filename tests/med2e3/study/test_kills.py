"""A study that is killed at any moment and started again ends with the table of another one."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from med2e3.cli import main
from med2e3.phantoms import make_phantom
from med2e3.study.folder import StudyFolder
from med2e3.study.leases import Leases
from med2e3.study.options import Options
from med2e3.study.plan import read_plan
from med2e3.study.team import run_in_processes
from med2e3.study.worker import Worker

ROOT = Path(__file__).resolve().parents[3]

#: Kills of the long form. Before each a run finishes none to `MOST_PARTS` units, by chance, and
#: then goes on for a random part of the time that a unit takes: none is killed at its start alone.
KILLS, MOST_PARTS = 10, 4
ASKED = (
    "Is there a pleural effusion?", "Is there a liver lesion?", "What is the plane of this image?",
    "What is the phase of this CT scan?", "Which organ is shown in this CT scan?",
    "Please write a report of the findings in this scan.",
)  # fmt: skip


def start(*words: object) -> subprocess.Popen[bytes]:
    """A process group of its own, so that a kill takes its workers with it."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", *map(str, words)],
        cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def kill(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def parts(out: Path) -> int:
    """How many units are finished."""
    return len(list((out / "parts").glob("*.parquet")))


def undisturbed(plan: Path, out: Path) -> Path:
    """The table of a run by one worker in this process."""
    folder = StudyFolder.begin(out, read_plan(plan))
    Worker(folder).work(folder.leases())
    folder.join()
    return folder.table


@pytest.mark.parametrize("worst", [(1,), pytest.param((0, 1, 2), marks=pytest.mark.slow)])
def test_killed_at_the_worst_moments_and_resumed_by_two_processes(
    worst: tuple[int, ...],
    make_plan: Callable,
    tmp_path: Path,
    compared: Callable,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = make_plan(6)
    wanted = compared(undisturbed(path, tmp_path / "whole"))
    folder = StudyFolder.begin(tmp_path / "killed", read_plan(path))
    moments: tuple[Callable[[], bool], ...] = (
        lambda: any(folder.units.glob("*.json")),  # a unit was claimed
        lambda: any(folder.parts.glob(".*.part")) or len(list(folder.parts.glob("*.parquet"))) > 1,
        lambda: len(list(folder.parts.glob("*.parquet"))) > 3,
    )
    for moment in (moments[k] for k in worst):
        process = start("med2e3.study.worker", folder.path, 0, os.getpid(), 300)
        while not moment():
            assert process.poll() is None or moment(), "ended before the moment came"
            time.sleep(0.005)  # its worker needs the processor
        kill(process)
    code = main(
        ["study", str(path), "--out", str(tmp_path / "killed"), "--processes", "2", "--json"]
    )
    out, err = capsys.readouterr()
    assert code == 0, err
    said = json.loads(out)
    assert compared(Path(said["table"])) == wanted
    assert (said["volumes"], said["answers"], said["errors"]) == (6, 12, 0)
    assert "6 of 6 volumes" in err


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_fifty_phantoms_killed_ten_times_at_random(tmp_path: Path, compared: Callable) -> None:
    from med2e3.io import write_nifti

    (tmp_path / "scans").mkdir()
    for k in range(50):
        write_nifti(make_phantom(41_000 + k).volume, tmp_path / f"scans/p{k:02d}.nii.gz")
    asked = "\n".join(f"  - {question}" for question in ASKED)
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"volumes: [scans/*.nii.gz]\nquestions:\n{asked}\n")
    began = time.monotonic()
    assert start("med2e3", "study", plan, "--out", tmp_path / "whole").wait() == 0
    whole = time.monotonic() - began
    rng, at = random.Random(11), [0]
    for _ in range(KILLS):
        process = start("med2e3", "study", plan, "--out", tmp_path / "killed", "--processes", 2)
        wanted_parts = at[-1] + rng.randrange(MOST_PARTS + 1)
        while parts(tmp_path / "killed") < wanted_parts and process.poll() is None:
            time.sleep(0.01)  # its workers need the processor
        with suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0, whole / 50))
        assert process.poll() is None, "the study ended before the last kill"
        kill(process)
        at.append(parts(tmp_path / "killed"))
    last = start("med2e3", "study", plan, "--out", tmp_path / "killed", "--processes", 2)
    assert last.wait() == 0
    print(f"one process: {whole:.0f} s; parts at the {KILLS} kills: {at[1:]}")
    wanted = compared(tmp_path / "whole/table.parquet")
    assert len(wanted) == 300
    assert compared(tmp_path / "killed/table.parquet") == wanted


#: A worker without a model: it records a reason for each unit, and dies at the second volume.
DEADLY = """
import os, signal, sys
from pathlib import Path
from med2e3.study.folder import StudyFolder
from med2e3.study.giving_up import give_up
folder = StudyFolder.open(Path(sys.argv[1]))
leases = folder.leases()
while leases.open and (unit := leases.claim()):
    if unit.endswith("1"):
        os.kill(os.getpid(), signal.SIGKILL)
    leases.finish(unit, give_up(folder, unit, "made by the test"))
"""


def test_a_volume_at_which_workers_die_is_given_up_and_the_rest_goes_on(
    make_plan: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = StudyFolder.begin(tmp_path / "out", read_plan(make_plan(3)))
    monkeypatch.setattr("med2e3.study.team.WORKER", ("-c", DEADLY))
    run_in_processes(folder, folder.leases(), Options(processes=2), lambda fraction, what: None)
    errors = folder.join()["error"].to_pylist()
    assert errors[0] == errors[5] == "made by the test"
    assert errors[2] == errors[3]
    assert errors[2].startswith("3 workers ended while they were at this volume (exit code -9)")


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (
            'print(\'{"error": "CheckpointError", "sentence": "No model here."}\'); exit(3)',
            "^No mo",
        ),
        ("exit('broken at the start')", "3 workers ended before they had begun.*broken at the st"),
    ],
)
def test_workers_that_cannot_begin_end_the_study_with_their_sentence(
    make_plan: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, words: str
) -> None:
    folder = StudyFolder.begin(tmp_path / "out", read_plan(make_plan(1)))
    monkeypatch.setattr("med2e3.study.team.WORKER", ("-c", program))
    with pytest.raises(Exception, match=words):
        run_in_processes(folder, folder.leases(), Options(), lambda fraction, what: None)


def test_a_worker_ends_with_the_process_that_started_it(
    make_plan: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = StudyFolder.begin(tmp_path / "out", read_plan(make_plan(2)))
    monkeypatch.setattr("med2e3.study.worker.BEAT_SECONDS", 0.0)
    wanted = [True, True, False]
    worker = Worker(folder, is_wanted=lambda: wanted.pop(0) if len(wanted) > 1 else wanted[0])
    leases = folder.leases()
    worker.work(leases)
    assert len(leases.open) == 2
    assert not list(folder.parts.iterdir())
    assert not list(folder.units.glob("*.json")), "what it held is free"


def test_a_unit_that_was_taken_over_is_left_to_its_new_owner(
    make_plan: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = StudyFolder.begin(tmp_path / "out", read_plan(make_plan(1)))
    monkeypatch.setattr("med2e3.study.worker.BEAT_SECONDS", 0.0)
    stolen = []

    def steal(self: Leases, unit: str) -> bool:
        stolen.append(unit)
        return len(stolen) > 1

    monkeypatch.setattr(Leases, "beat", steal)
    Worker(folder).work(folder.leases())
    assert len(set(stolen)) == 1
    assert folder.join().num_rows == 2, "it was free again, and then answered"
