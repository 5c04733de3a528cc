"""Ray gives the table that processes give, also when it loses a machine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from med2e3.errors import ResourceError
from med2e3.study.folder import StudyFolder
from med2e3.study.options import Options
from med2e3.study.plan import read_plan
from med2e3.study.ray_engine import run_on_ray
from med2e3.study.worker import Worker

ROOT = Path(__file__).resolve().parents[3]


def python(*words: object) -> subprocess.CompletedProcess[str]:
    """A program of its own: Ray leaves threads behind."""
    return subprocess.run(
        [sys.executable, "-P", *map(str, words)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=1500,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def undisturbed(plan: Path, out: Path) -> Path:
    folder = StudyFolder.begin(out, read_plan(plan))
    Worker(folder).work(folder.leases())
    folder.join()
    return folder.table


def test_without_the_extra_the_sentence_says_what_to_install(
    make_plan: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = StudyFolder.begin(tmp_path / "out", read_plan(make_plan(1)))
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ResourceError, match=r"Ray.*pip install 'med2e3\[ray\]'"):
        run_on_ray(folder, folder.leases(), Options(), lambda fraction, what: None)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ray_on_one_machine_gives_the_table_of_processes_and_listens_to_no_network(
    make_plan: Callable, tmp_path: Path, compared: Callable
) -> None:
    path = make_plan(4)
    (tmp_path / "scans/ct2.nii.gz").write_bytes(b"no gzip")
    wanted = compared(undisturbed(path, tmp_path / "whole"))
    ran = python(
        "-m", "med2e3", "study", path, "--out", tmp_path / "ray", "--engine", "ray", "--json",
        "--processes", 2,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert (said["answers"], said["errors"]) == (6, 2)
    assert compared(Path(said["table"])) == wanted
    assert len(list((tmp_path / "ray/ray/done").glob("*.parquet"))) == 4, "a block for each volume"
    again = python("-m", "med2e3", "study", path, "--out", tmp_path / "ray", "--json")
    assert again.returncode == 0, again.stderr
    assert compared(Path(json.loads(again.stdout)["table"])) == wanted


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_nodes_of_which_one_is_killed_give_the_same(
    make_plan: Callable, tmp_path: Path, compared: Callable
) -> None:
    path = make_plan(12)
    wanted = compared(undisturbed(path, tmp_path / "whole"))
    ran = python(ROOT / "tests/med2e3/study/ray_nodes.py", path, tmp_path / "ray")
    assert ran.returncode == 0, ran.stderr[-3000:]
    (parts,) = re.findall(r"after (\d+) parts", ran.stdout)
    assert 0 < int(parts) < 12, "the node was lost while there was work"
    assert compared(tmp_path / "ray/table.parquet") == wanted
