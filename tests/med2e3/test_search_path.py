"""Nothing is imported from the folder that one starts in, nor from a study's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import RLELossless

from med2e3.geometry import Geometry
from med2e3.io import load_volume, write_dicom_series
from med2e3.io.dicom.decode_pool import FEWEST_FOR_WORKERS
from med2e3.search_path import ROOT, leave_start_folder, trusted
from med2e3.volume import SeriesInfo, Volume

#: Modules that a decoding worker, the command line and the window import.
NAMES = ("pydicom", "numpy", "gdcm", "openjpeg", "med2e3", "pathlib", "qasync", "tokenize")


def trap(folder: Path, names: tuple[str, ...] = NAMES) -> Path:
    """Put modules into `folder` that leave a file behind when they run; the path of that file."""
    ran = folder / "ran"
    for name in names:
        body = f"open({str(ran)!r}, 'a').write({name!r})\n"
        if name == "med2e3":
            (folder / name).mkdir()
            (folder / name / "__init__.py").write_text(body, encoding="utf-8")
        else:
            (folder / f"{name}.py").write_text(body, encoding="utf-8")
    return ran


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """As many compressed slices as workers decode, in a folder with modules beside them."""
    shape = (FEWEST_FOR_WORKERS, 8, 8)
    geometry = Geometry.from_spacing(shape, (1.0, 1.0, 1.0))
    volume = Volume(np.zeros(shape, np.int16), geometry, SeriesInfo(modality="CT"))
    for path in write_dicom_series(volume, tmp_path, seed="trap"):
        dataset = pydicom.dcmread(path)
        dataset.compress(RLELossless, generate_instance_uid=False)
        dataset.save_as(path)
    return tmp_path


def test_workers_import_nothing_from_the_folder_of_the_study(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = trap(study)
    monkeypatch.chdir(study)
    monkeypatch.setattr(sys, "path", ["", str(study), *sys.path])
    assert load_volume(".").shape == (FEWEST_FOR_WORKERS, 8, 8)
    assert not ran.exists()


@pytest.mark.parametrize("module", ["med2e3", "med2e3.cli", "app"])
def test_entry_points_import_nothing_from_the_folder_one_starts_in(
    tmp_path: Path, module: str
) -> None:
    # `python -m med2e3` runs the first `med2e3` that Python finds, before any code of this one.
    ran = trap(tmp_path, tuple(n for n in NAMES if module == "app" or n != "med2e3"))
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), ROOT)))
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert not ran.exists(), ran.read_text(encoding="utf-8")


def test_the_path_handed_on_has_this_package_and_no_folder_in_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, study, library = tmp_path / "here", tmp_path / "study", tmp_path / "library"
    for folder in (here, study, library):
        folder.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", ["", "relative", str(here), str(study), str(library)])
    assert trusted([str(study)]) == [ROOT, str(library)]
    leave_start_folder()
    assert sys.path == ["relative", str(study), str(library)]


def test_a_checkout_that_one_starts_in_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", [ROOT])
    leave_start_folder()
    assert sys.path == [ROOT]
    assert trusted([ROOT]) == [ROOT]


#: What a spawned process and the tracker of its locks import before any code of ours.
EARLY = ("multiprocessing", "pickle", "socket", "signal", "tempfile", "med2e3", "numpy", "torch")

SPAWNING = """
import sys, os
from concurrent.futures import ProcessPoolExecutor
from med2e3.spawning import isolated_context

if __name__ == "__main__":
    os.chdir(sys.argv[1])
    sys.path.insert(0, "")
    with ProcessPoolExecutor(1, isolated_context()) as pool:
        print(pool.submit(os.getcwd).result())
    print(sys.path[0] == "", "PYTHONSAFEPATH" in os.environ)
"""


def test_spawned_workers_import_nothing_from_the_folder_one_starts_in(tmp_path: Path) -> None:
    script, hostile = tmp_path / "program" / "script.py", tmp_path / "hostile"
    for folder in (script.parent, hostile):
        folder.mkdir()
    ran = trap(hostile, EARLY)
    # The worker runs the script again, and what lies beside a script is the user's own.
    (script.parent / "beside.py").write_text("", encoding="utf-8")
    script.write_text("import beside\n" + SPAWNING, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script), str(hostile)],
        env={**os.environ, "PYTHONPATH": ROOT}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(hostile), "True", "False"]
    assert not ran.exists(), ran.read_text(encoding="utf-8")


def test_every_spawned_process_of_the_package_is_isolated() -> None:
    """No module asks `multiprocessing` for processes by itself."""
    for path in Path(ROOT, "med2e3").rglob("*.py"):
        if path.name != "spawning.py":
            text = path.read_text("utf-8")
            assert 'get_context("spawn")' not in text, path
            assert 'multiprocessing_context="spawn"' not in text, path
