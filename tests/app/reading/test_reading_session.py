"""A reading session in a real window, by a mouse and a keyboard of its own, picture by picture."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtGui import QImage

from tests.app.reading.hands import LACKING
from tests.app.reading.session import LOOKS
from tests.app.reading.steps import STEPS

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared" / "ct"

STUDIES = ("demo", "mixed", str(SHARED / "body_j2k_dicom"))


def test_a_session_has_thirty_steps_in_eight_looks() -> None:
    names = [name for name, _ in STEPS]
    assert len(names) == len(set(names)) >= 30
    assert {(look.theme, look.pixels, look.text) for look in LOOKS.values()} == {
        (theme, pixels, text)
        for theme in ("dark", "light")
        for pixels, text in (
            ((1280, 800), 100), ((1024, 700), 100), ((3840, 2160), 100), ((1280, 800), 150),
        )
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(bool(LACKING), reason=f"{LACKING} is not installed")
@pytest.mark.parametrize("study", STUDIES)
def test_every_step_is_done_and_seen(tmp_path: Path, study: str) -> None:
    if study.startswith("/") and not Path(study).is_dir():
        pytest.skip("the real studies are not beside this checkout")
    command = [sys.executable, "-m", "tests.app.reading.session", str(tmp_path), "--study", study]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True,
        text=True, timeout=1200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    pictures = sorted((tmp_path / "dark").glob("[0-9]*.png"))
    assert len(pictures) == len(STEPS)
    for file in pictures:
        image = QImage(str(file)).convertToFormat(QImage.Format.Format_Grayscale8)
        rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), -1)
        assert len(np.unique(rows)) > 20, file.name
