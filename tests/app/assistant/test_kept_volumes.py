"""The window keeps what its model read of a volume, and forgets it when it is told to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from app.paths import kept_volumes_folder
from app.services.jobs import Jobs
from app.services.model_host import ModelHost
from app.viewmodels.assistant.answers import Request
from app.viewmodels.core.work import Done
from med2e3.engine.kept import default_folder
from med2e3.volume import Volume
from tests.app.bodies import phantom


@pytest.fixture
def volume() -> Volume:
    return phantom()


def _ask(gui: Any, host: ModelHost, volume: Volume) -> str:
    async def work() -> Any:
        job = host.ask(Request(volume, "is there a nodule ?"), lambda event: None)
        return await job

    outcome = gui(work())
    assert isinstance(outcome, Done)
    return str(outcome.value.text)


@pytest.fixture
def run(loop: Any) -> Callable[[Any], Any]:
    return loop.run_until_complete


def test_a_second_start_answers_from_what_was_kept_until_it_is_turned_off(
    run: Callable[[Any], Any],
    loop: Any,
    volume: Volume,
    tmp_path: Path,
) -> None:
    folder, wants, jobs = tmp_path / "kept", {"kept": True}, Jobs(loop)
    texts = []
    for kept in (True, True, False):
        wants["kept"] = kept
        host = ModelHost(jobs, None, folder, lambda: wants["kept"])

        async def load(host: ModelHost = host) -> Any:
            return await host.load("demo", lambda event: None)

        assert isinstance(run(load()), Done)
        texts.append(_ask(run, host, volume))
        if kept:
            assert host._model is not None
            assert host._model.kept is not None
            host._model.kept.wait()
            assert len(list(folder.glob("*.safetensors"))) == 1
    assert not list(folder.glob("*.safetensors"))
    assert texts[0] == texts[1] == texts[2]
    jobs.close()


def test_the_window_and_the_command_line_share_one_folder() -> None:
    assert kept_volumes_folder() == default_folder()
    assert kept_volumes_folder().is_relative_to(platformdirs.user_cache_dir("med2e3", False))
