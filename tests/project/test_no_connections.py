"""Traced by the system: no connection is opened, and no file outside what was named is read."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from med2e3.io import write_dicom_series
from tests.app.bodies import phantom

ROOT = Path(__file__).resolve().parents[2]

#: Folders of the system and of libraries, which every program reads.
SYSTEM = ("/proc/", "/sys/", "/dev/", "/etc/", "/usr/", "/lib", "/bin/", "/run/", "/var/", "/opt/")

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


def traced(arguments: list[str], home: Path, allowed: list[Path], *, code: int = 0) -> str:
    """Run Python with a home folder of its own; returns the trace after checking it."""
    log = home.parent / "trace"
    environment = {
        "HOME": str(home), "PATH": "/usr/bin:/bin", "TMPDIR": str(home), "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT), "QT_QPA_PLATFORM": "offscreen", "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    ran = subprocess.run(
        ["strace", "-f", "-qq", "-e", "trace=connect,open,openat", "-o", str(log),
         sys.executable, *arguments],
        cwd=home, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "ptrace" in ran.stderr and "not permitted" in ran.stderr:
        pytest.skip("tracing is not permitted here")
    assert ran.returncode == code, ran.stderr
    trace = log.read_text("utf-8", "replace")
    assert not re.findall(r"connect\(.*AF_INET.*", trace)
    paths = sysconfig.get_paths()
    libraries = {ROOT, Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).parent}
    libraries |= {Path(entry) for entry in sys.path if entry}
    libraries |= {Path(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    inside = [str(p.resolve()) for p in (*libraries, home, *allowed)] + [str(p) for p in libraries]
    opened = set(re.findall(r'open(?:at)?\([^"]*"([^"]+)"[^)]*\)\s+= \d', trace))
    odd = {
        path
        for path in opened
        if path.startswith("/") and not path.startswith((*SYSTEM, *inside)) and path != "/"
    }
    assert not odd
    return trace


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def study(tmp_path: Path) -> Path:
    write_dicom_series(phantom(), tmp_path / "study", seed="traced")
    return tmp_path / "study"


def test_info_of_a_hostile_folder_reads_that_folder_alone(
    home: Path, study: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.raw"
    secret.write_bytes(bytes(1000))
    (study / "pydicom.py").write_text("raise SystemExit('code of a study was run')")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "a.mhd").write_text(
        "ObjectType = Image\nNDims = 3\nDimSize = 10 10 5\nElementType = MET_SHORT\n"
        f"ElementDataFile = {secret}\n"
    )
    traced(["-m", "med2e3", "info", str(study)], home, [study])
    trace = traced(["-m", "med2e3", "info", str(tmp_path / "odd" / "a.mhd")], home,
                   [tmp_path / "odd"], code=1)  # fmt: skip
    assert "secret.raw" not in trace


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["ask", "STUDY", "Is there a nodule?", "--model", "MODEL", "--max-new-tokens", "2"],
        ["evaluate", "demo", "--phantoms", "1"],
        ["train", "demo", "--dry-run"],
        ["train", "demo", "--smoke", "--cpu", "--out", "run"],
    ],
    ids=lambda command: " ".join(command[:1] + command[2:3]),
)
@pytest.mark.timeout(1800)
def test_the_engine_opens_no_connection(
    command: list[str], home: Path, study: Path, tiny: Path
) -> None:
    places = {"STUDY": str(study), "MODEL": str(tiny)}
    traced(["-m", "med2e3", *(places.get(word, word) for word in command)], home, [study, tiny])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_viewer_opens_no_connection(home: Path, study: Path) -> None:
    traced(["-m", "app", "--screenshot", str(home / "demo.png"), str(study)], home, [study])


@pytest.fixture
def tiny(tmp_path: Path, fixtures: Path) -> Path:
    from med2e3.checkpoints import convert

    return convert(
        fixtures / "med2e3" / "checkpoint", tmp_path / "model", hub=fixtures / "med2e3" / "hub"
    )
