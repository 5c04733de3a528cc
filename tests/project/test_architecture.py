"""The shape of the tree is a promise too: its layers, its layout, and what importing costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

ALLOWED_AT_TOP = {
    "app", "med2e3", "resources", "tests", "pyproject.toml", "build.spec", "README.md",
    "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile",
}  # fmt: skip


def tracked_files() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("needs a git checkout to know which files belong to the tree")
    return [name for name in listed.stdout.split("\0") if name]


def modules_after(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after `statement`."""
    program = f"{statement}\nimport sys\nprint(' '.join({{m.split('.')[0] for m in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("config", [(), (".importlinter-runtime",)])
def test_import_contracts_hold(config: tuple[str, ...]) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), *config],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_top_level_holds_only_what_was_agreed() -> None:
    top = {name.split("/")[0] for name in tracked_files()}
    assert {name for name in top if not name.startswith(".")} <= ALLOWED_AT_TOP


def test_no_file_is_too_long_to_read() -> None:
    long = {
        name: lines
        for name in tracked_files()
        if name.endswith(".py")
        and (ROOT / name).exists()
        and (lines := len((ROOT / name).read_text(encoding="utf-8").splitlines())) > 500
    }
    assert not long


def test_nothing_in_git_is_over_25_megabytes() -> None:
    big = [n for n in tracked_files() if (ROOT / n).exists() and (ROOT / n).stat().st_size > 25e6]
    assert not big


@pytest.mark.parametrize(
    "statement",
    [
        "import med2e3",
        "from med2e3.io import *",
        "import med2e3.phantoms",
        "import med2e3.cli",
        "import med2e3.checkpoints.store",
    ],
)
def test_importing_costs_no_torch_and_no_qt(statement: str) -> None:
    assert not modules_after(statement) & {
        "torch", "transformers", "PySide6", "vtkmodules", "matplotlib", "pyvista",
    }  # fmt: skip


def test_a_file_dialog_opens_without_the_readers() -> None:
    assert not modules_after("import med2e3.io.suffixes") & {"pydicom", "nibabel", "nrrd"}


def test_the_window_is_importable_before_torch() -> None:
    assert not modules_after("import app.main") & {"torch", "transformers"}


@pytest.mark.parametrize(
    "statement", ["import app.main", "import med2e3.figures, med2e3.surfaces, med2e3.notebook"]
)
def test_figures_and_surfaces_cost_nothing_before_one_is_drawn(statement: str) -> None:
    assert not modules_after(statement) & {"matplotlib", "pyvista"}
