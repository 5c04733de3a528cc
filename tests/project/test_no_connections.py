"""Traced by the system: no connection is opened, and no file outside what was named is read."""

from __future__ import annotations

import json
import os
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


def traced(
    arguments: list[str], home: Path, allowed: list[Path], *, code: int = 0, cwd: Path | None = None
) -> str:
    """Run Python with a home folder of its own; returns the trace after checking it."""
    log, place = home.parent / "trace", cwd or home
    environment = {
        "HOME": str(home), "PATH": "/usr/bin:/bin", "TMPDIR": str(home), "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT), "QT_QPA_PLATFORM": "offscreen", "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    ran = subprocess.run(
        ["strace", "-f", "-qq", "-e", "trace=connect,sendto,open,openat", "-o", str(log),
         sys.executable, *arguments],
        cwd=place, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "ptrace" in ran.stderr and "not permitted" in ran.stderr:
        pytest.skip("tracing is not permitted here")
    assert ran.returncode == code, ran.stderr
    assert "Traceback" not in ran.stderr
    trace = log.read_text("utf-8", "replace")
    assert not re.findall(r"(?:connect|sendto)\(.*AF_INET.*", trace)
    assert not outside(trace, place, [home, *allowed])
    return trace


def outside(trace: str, cwd: Path, allowed: list[Path]) -> set[str]:
    """The files that were opened beyond the system's, the libraries' and the allowed folders."""
    paths = sysconfig.get_paths()
    libraries = {ROOT, Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).parent}
    libraries |= {Path(entry) for entry in sys.path if entry}
    libraries |= {Path(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    tops = {os.path.normpath(p) for p in libraries} | {str(p.resolve()) for p in libraries}
    inside = tuple(f"{top}/" for top in tops | {str(p.resolve()) for p in allowed})
    named = re.findall(r'(?:open\(|openat\(AT_FDCWD, )"([^"]+)"[^)]*\)\s+= \d', trace)
    opened = {os.path.normpath(cwd / name) for name in named}
    return {
        path for path in opened if not f"{path}/".startswith((*SYSTEM, *inside)) and path != "/"
    }


def test_what_is_opened_outside_is_found_however_it_is_named(tmp_path: Path) -> None:
    lines = (
        '1 openat(AT_FDCWD, "{0}/study/a.dcm", O_RDONLY) = 3',
        '1 openat(AT_FDCWD, "a.dcm", O_RDONLY|O_CLOEXEC) = 3',
        '1 openat(AT_FDCWD, "../secret", O_RDONLY) = 3',
        '1 open("{0}/study/../other", O_RDONLY) = 4',
        '1 openat(AT_FDCWD, "{0}/study2/b.dcm", O_RDONLY) = 5',
        '1 openat(AT_FDCWD, "{0}/missing", O_RDONLY) = -1 ENOENT (No such file or directory)',
    )
    trace = "\n".join(lines).format(tmp_path)
    found = outside(trace, tmp_path / "study", [tmp_path / "study"])
    assert found == {str(tmp_path / name) for name in ("secret", "other", "study2/b.dcm")}


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


#: Modules that Python, its worker processes and our libraries import; some before any code of ours.
TRAPS = ("pickle", "multiprocessing", "signal", "numpy", "torch", "pydicom", "PIL", "qasync")


@pytest.fixture
def hostile(study: Path, tiny: Path, tmp_path: Path) -> Path:
    """A folder to start in: modules that leave a file behind, files that name files outside.

    It has a study, a model whose index names a file outside, one that brings code and asks for a
    kernel of a hub, and lists of volumes and of images.
    """
    import numpy as np
    from PIL import Image

    place = tmp_path / "hostile"
    shutil.copytree(study, place)
    secret = tmp_path / "secret.npy"
    np.save(secret, np.zeros((1, 4, 4, 4), np.float32))
    for name in TRAPS:
        (place / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write({name!r})")
    (place / "a.mhd").write_text(
        "ObjectType = Image\nNDims = 3\nDimSize = 4 4 4\nElementType = MET_SHORT\n"
        f"ElementDataFile = {secret}\n"
    )
    shutil.copytree(tiny, place / "outside")
    next((place / "outside").glob("*.safetensors")).unlink()
    index = {"metadata": {}, "weight_map": {"w": "../../secret.npy"}}
    (place / "outside" / "model.safetensors.index.json").write_text(json.dumps(index))
    shutil.copytree(tiny, place / "code")
    config = json.loads((place / "code" / "config.json").read_text())
    config |= {"auto_map": {"AutoModel": "org/code--code.Model"}, "attn_implementation": "org/code"}
    (place / "code" / "config.json").write_text(json.dumps(config))
    (place / "cap.json").write_text(
        json.dumps({"test": [{"image": "../secret.npy", "text": "../secret.npy"}]})
    )
    for number in (1, 2):
        folder = place / "cases" / f"{number}" / "series"
        folder.mkdir(parents=True)
        (folder.parent / "text.txt").write_text("A text.")
        for k in range(1, 5):
            Image.fromarray(np.full((8, 8), 40 * k, np.uint8)).save(folder / f"{k}.png")
    return place


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["ask", ".", "Is there a nodule?", "--model", "MODEL", "--max-new-tokens", "2"], 0),
        (["ask", "a.mhd", "Is there a nodule?", "--model", "MODEL"], 1),
        (["ask", ".", "Is there a nodule?", "--model", "outside"], 1),
        (["ask", ".", "Is there a nodule?", "--model", "code"], 1),
        (["evaluate", "MODEL", "--m3d-cap", "cap.json"], 1),
        (["evaluate", "code", "--phantoms", "1"], 1),
        (["evaluate", "MODEL", "--phantoms", "2", "--workers", "2"], 0),
        (["data", "prepare", "cases", "prepared", "--grid", "4", "8", "8", "--processes", "2"], 0),
        (["train", "finetune", "--start", "code", "--data", ".", "--cpu", "--out", "run"], 1),
        (["train", "demo", "--dry-run"], 0),
    ],
    ids=lambda given: " ".join(given[:1] + given[-2:]) if isinstance(given, list) else None,
)
def test_hostile_input_opens_nothing_outside_and_runs_nothing(
    command: list[str], code: int, home: Path, hostile: Path, tiny: Path
) -> None:
    words = [str(tiny) if word == "MODEL" else word for word in command]
    trace = traced(["-m", "med2e3", *words], home, [hostile, tiny], code=code, cwd=hostile)
    assert "secret.npy" not in trace
    assert not (hostile.parent / "ran").exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_viewer_opens_a_hostile_folder(home: Path, hostile: Path) -> None:
    traced(["-m", "app", "--screenshot", str(home / "demo.png"), str(hostile)], home, [hostile],
           cwd=hostile)  # fmt: skip
    assert not (hostile.parent / "ran").exists()
