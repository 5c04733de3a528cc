"""Which modules run code while a study opens, a question is answered, and a preference changes.

Run by `measure.py` in a process of its own, in the folder of the checkout that it measures; prints
JSON. Older states of the tree answer too, so names are looked for where they were.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import qasync

SETTLE = 0.3
"""Seconds after an act in which the window's own timers paint what has changed."""

HERE = f"{Path.cwd()}{os.sep}"
OWN = tuple(f"{HERE}{package}{os.sep}" for package in ("app", "med2e3"))


def first(*names: str) -> Any:
    """The first of several `module:attribute` that is there."""
    for name in names:
        module, _, attribute = name.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError):
            continue
    raise SystemExit(f"none of {', '.join(names)} is here")


class Watch:
    """The files of own modules in which a function was called."""

    def __init__(self) -> None:
        self.files: set[str] = set()

    def _called(self, frame: FrameType, event: str, _argument: object) -> None:
        name = frame.f_code.co_filename
        if event == "call" and frame.f_code.co_name != "<module>" and name.startswith(OWN):
            self.files.add(name)

    def __enter__(self) -> Watch:
        threading.setprofile(self._called)
        sys.setprofile(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)


async def acts(loop: asyncio.AbstractEventLoop) -> dict[str, list[str]]:
    """The three acts in the real window."""
    from med2e3.resources import resources_root

    settings = first("app.viewmodels.core.settings:Settings", "app.settings:Settings")()
    application_class = first("app.application:Application", "app.main:Application")
    target = first("app.viewmodels.study.study:Target", "app.viewmodels.study:Target")
    until = first("app.viewmodels.core.waiting:until", "app.viewmodels.waiting:until")
    application = application_class(loop, settings)
    workspace, window = application.workspace, application.window
    window.resize(1280, 800)
    window.show()
    await asyncio.sleep(SETTLE)
    with Watch() as opening:
        await workspace.study.open(target(resources_root() / "demo-study"))
        await asyncio.sleep(SETTLE)
    assistant = workspace.assistant
    await assistant.load_model("demo")
    with Watch() as answering:
        assistant.ask("Is there a pleural effusion?")
        await until(assistant.turns_changed, lambda: assistant.running is None)
        await asyncio.sleep(SETTLE)
    dialogs = window.dialogs if hasattr(window, "dialogs") else window.habits
    with Watch() as preferring:
        dialogs.editor.set("crosshair_gap", 20)
        await asyncio.sleep(SETTLE)
    await application.close()
    watches = {
        "a study opens": opening,
        "a question is answered": answering,
        "a preference changes": preferring,
    }
    return {act: sorted(f.removeprefix(HERE) for f in w.files) for act, w in watches.items()}


def main() -> None:
    """Print the acts' modules, and end without waiting for Qt."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    qt = first("app.application:qt_application", "app.main:qt_application")()
    with qasync.QEventLoop(qt) as loop:
        print(json.dumps(loop.run_until_complete(acts(loop))), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
