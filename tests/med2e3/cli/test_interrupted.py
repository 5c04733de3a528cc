"""Ctrl-C at any moment of the command line, its first second included: one line, exit code 130."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

#: Starts the command line and presses Ctrl-C when so many modules have been looked for.
PROGRAM = """
import os, signal, sys
class Interrupting:
    left = int(sys.argv.pop(1))
    def find_spec(self, name, path=None, target=None):
        Interrupting.left -= 1
        if not Interrupting.left:
            os.kill(os.getpid(), signal.SIGINT)
from med2e3.__main__ import main
sys.meta_path.insert(0, Interrupting())
sys.exit(main())
"""


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such signal")
@pytest.mark.parametrize("modules", [1, 30, 150, 400])
def test_an_interruption_while_it_loads_is_one_line(modules: int, nifti_file: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(modules), "info", str(nifti_file)],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr, ran.stdout) == (130, "med2e3: Interrupted.\n", "")


def test_the_installed_command_starts_where_interruptions_are_caught() -> None:
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'med2e3 = "med2e3.__main__:main"' in declared
