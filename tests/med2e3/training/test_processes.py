"""Two processes on gloo over loopback give what one process gives; and all of them end."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from med2e3.errors import InputError
from med2e3.training import Options, train
from med2e3.training.distributed import Distributed
from med2e3.training.processes import in_processes

#: Spawned processes import what they run by name; the tests' folder is no package.
HERE = Path(__file__).parent


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The functions that the processes run."""
    monkeypatch.syspath_prepend(str(HERE))
    import two_processes

    return two_processes


def own_processes() -> set[int]:
    """Children of this process, but for multiprocessing's resource tracker, which stays."""
    children = psutil.Process().children(recursive=True)
    running = [p for p in children if p.status() != psutil.STATUS_ZOMBIE]
    return {p.pid for p in running if "resource_tracker" not in " ".join(p.cmdline())}


def logged(folder: Path) -> list[float]:
    with (folder / "finetune.csv").open(newline="", encoding="utf-8") as stream:
        return [float(row["loss"]) for row in csv.DictReader(stream)]


def test_two_processes_train_the_published_recipe_as_one_does(
    hub_folder: Path, m3d_files: Path, write_recipe: Any, finetune_text: str, tmp_path: Path
) -> None:
    """Ragged answers, augmentation and dropout on; the second process holds other samples."""
    before = own_processes()
    pieces = write_recipe(
        finetune_text.replace('model = "replaced by --start"', PIECES), max_steps=3
    )  # fmt: skip
    options = Options(cpu=True, data=m3d_files, hub=hub_folder)
    states = []
    for processes in (1, 2):
        folder = tmp_path / f"with {processes}"
        train(pieces, folder, options=options, processes=processes)
        states.append(torch.load(folder / "finetune.pt", weights_only=True)["module"])
    losses = logged(tmp_path / "with 1")
    assert len(losses) == 3
    assert logged(tmp_path / "with 2") == pytest.approx(losses, rel=2e-5)
    one, two = states
    assert one.keys() == two.keys()
    far = max(float((one[name] - two[name]).abs().max()) for name in one)
    assert far < 2e-4, "Adam's first steps are of size 2e-3 each"
    assert own_processes() == before


PIECES = """language_model = "microsoft/Phi-3-mini-128k-instruct"
vision2d = "google/siglip-large-patch16-256"
m3d_clip = "GoodBaiBai88/M3D-CLIP\""""


def test_a_parameter_may_sit_out_a_part(
    work: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As in the demo's steps on text alone: processes must not drift apart over it, nor warn."""
    alone, weights = work.train_sometimes(tmp_path / "one")
    environment = dict(os.environ)
    together, same = in_processes(2, work.train_sometimes, (tmp_path / "two",))
    assert together == pytest.approx(alone, rel=1e-5)
    assert same == pytest.approx(weights, abs=1e-5)
    rows = (tmp_path / "two" / "sometimes.csv").read_text(encoding="utf-8").split()
    assert rows == (tmp_path / "one" / "sometimes.csv").read_text(encoding="utf-8").split()
    seconds = {row.rsplit(",", 1)[1] for row in rows[1:]}
    assert seconds <= {"1.0", "nan"}
    assert "arning" not in capfd.readouterr().err
    assert dict(os.environ) == environment


def test_an_error_in_one_process_ends_all_and_comes_back_as_itself(work: Any) -> None:
    before = own_processes()
    with pytest.raises(InputError, match="no second helping"):
        in_processes(2, work.fail_in_the_second, ())
    assert own_processes() == before


def test_a_step_that_cannot_be_shared_evenly_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Distributed, "processes", property(lambda _: 2))
    with pytest.raises(InputError, match="multiple of 2"):
        Distributed().share(3, "tune")


def test_workers_end_with_a_run_that_is_killed(tmp_path: Path) -> None:
    """They would go on writing into its folder."""
    script = tmp_path / "run.py"
    script.write_text(KILLED_RUN, encoding="utf-8")
    run = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    worker = psutil.Process(int(run.stdout.readline()))
    run.kill()
    run.communicate()
    worker.wait(timeout=60)  # raises where it goes on


KILLED_RUN = """
import os, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from med2e3.training.parallel import quiet_worker

if __name__ == "__main__":
    with ProcessPoolExecutor(1, get_context("spawn"), quiet_worker) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        pool.submit(time.sleep, 600).result()
"""
