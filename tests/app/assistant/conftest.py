"""The window with the demo model itself, and a phantom with a finding that it sees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import med2e3
from app.viewmodels.core.settings import Settings
from med2e3.io.write import write_nifti
from med2e3.phantoms import make_phantom
from tests.app.conftest import Gui
from tests.app.fakes import Gate


class DemoEngine:
    """The real engine with the demo model, loaded once."""

    gate = Gate()
    model: Any = None

    def load(self, name: str, *, progress: Any = None) -> Any:
        if name == "demo":
            DemoEngine.model = DemoEngine.model or med2e3.load("demo", device="cpu")
            return DemoEngine.model
        return med2e3.load(name, device="cpu")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom with a finding that the demo model sees."""
    made = make_phantom(3)
    return write_nifti(made.volume, tmp_path_factory.mktemp("study") / "phantom.nii.gz")


@pytest.fixture
def demo(loop: Any, study: Path) -> Iterator[Gui]:
    made = Gui(loop, DemoEngine(), Settings(None))
    assert made.open(study)
    made.load_model("demo")
    panel = made.window.assistant
    made.do(lambda: panel.tabs.setCurrentWidget(panel.evidence))
    yield made
    assert made.run(made.application.close())
