"""What was asked on the command line, run on the one event loop: window, demo, benchmark."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import qasync

from app.application import Application
from app.paths import annotations_folder, kept_volumes_folder, reports_folder, settings_file
from app.services.errors import explain
from app.services.jobs import Lane
from app.services.studies import start_decoding
from app.viewmodels.core.settings import Settings
from app.viewmodels.study.study import Target
from app.views.parts import theme
from app.views.parts.icons import application_icon
from app.views.parts.qt import qt_application
from med2e3.files import remove_leftovers

#: Seconds that a thread may keep the interpreter before another one that wants it is let in. With
#: the default of 5 ms the window waits that long at each turn while the model runs beside it.
SWITCH_INTERVAL = 0.0001


def main(argv: Sequence[str] | None = None) -> int:
    """Run the viewer; returns the exit code of the process."""
    options = _parser().parse_args(argv)
    sys.setswitchinterval(SWITCH_INTERVAL)
    if options.screenshot or options.benchmark:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    qt = qt_application()
    qt.setWindowIcon(application_icon())
    settings = Settings(None if options.screenshot or options.benchmark else settings_file())
    theme.apply(qt, options.theme or settings.values.theme, settings.values.text_size)
    with qasync.QEventLoop(qt) as loop:
        return int(loop.run_until_complete(_run(loop, settings, options)))


async def _run(
    loop: asyncio.AbstractEventLoop, settings: Settings, options: argparse.Namespace
) -> int:
    passing = options.screenshot or options.benchmark
    folders = () if passing else (annotations_folder(), reports_folder(), kept_volumes_folder())
    application = Application(loop, settings, None, *folders)
    _report_unhandled(loop, application)
    try:
        if options.benchmark:
            from app.benchmark.run import run_benchmark

            return await run_benchmark(application, options)
        if options.screenshot:
            from app.demo import take_screenshot

            return await take_screenshot(application, options)
        return await _run_window(application, options)
    finally:
        await application.close()


async def _run_window(application: Application, options: argparse.Namespace) -> int:
    closed = asyncio.Event()
    application.window.closed.connect(closed.set)
    application.window.show()
    application.jobs.start(Lane.SCAN, lambda _: remove_leftovers())
    application.jobs.start(Lane.SCAN, lambda _: start_decoding())
    signal.signal(signal.SIGINT, lambda *_: application.window.close())
    workspace = application.workspace
    model = workspace.settings.values.model if options.model is None else options.model
    if model:
        workspace.tasks.start(workspace.assistant.load_model(model))
    if options.demo:
        from app.demo import run_demo

        workspace.tasks.start(run_demo(application.workspace))
    elif options.paths:
        workspace.study.start(Target(options.paths[0], options.series))
    elif last := workspace.settings.last_place():
        workspace.study.start(Target(last))
    await closed.wait()
    return 0


def _report_unhandled(loop: asyncio.AbstractEventLoop, application: Application) -> None:
    """Show the user every error that is not caught in a slot of Qt or a callback of the loop."""
    notices = application.workspace.notices

    def from_slot(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        sys.__excepthook__(kind, error, trace)
        notices.show(explain(error))

    def from_loop(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, Exception):
            notices.show(explain(error))
        loop.default_exception_handler(context)

    sys.excepthook = from_slot
    loop.set_exception_handler(from_loop)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="med2e3-viewer",
        description="A CT viewer with a 3D medical language model inside.",
    )
    parser.add_argument(
        "paths", nargs="*", type=Path, metavar="PATH", help="what to open: a folder or a file"
    )
    parser.add_argument("--series", help="which series: UID, number, or place in the list")
    parser.add_argument("--model", help="name or folder of a model; empty: none")
    parser.add_argument("--theme", choices=sorted(theme.THEMES), help="colours of the window")
    parser.add_argument(
        "--demo", action="store_true", help="open the demo study and ask the ready questions"
    )
    parser.add_argument(
        "--screenshot",
        type=Path,
        metavar="FILE",
        help="run the demo, save the window as a PNG, print the answers, and quit",
    )
    parser.add_argument("--size", default="1280x800", help="size of the screenshot, e.g. 1280x800")
    parser.add_argument(
        "--benchmark", action="store_true", help="measure loading, slice changes and stalls"
    )
    parser.add_argument("--json", action="store_true", help="with --benchmark: print JSON")
    parser.add_argument("--groups", help="with --benchmark: which of its groups, with commas")
    parser.add_argument(
        "--keep", type=Path, metavar="FILE", help="with --benchmark: keep five runs' figures"
    )
    parser.add_argument(
        "--compare", type=Path, metavar="FILE", help="with --benchmark: what is slower than kept"
    )
    return parser
