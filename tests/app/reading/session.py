"""A reading session in a real window, with a picture of every step.

`python -m tests.app.reading.session FOLDER [--study demo|mixed|PATH] [--looks dark,light-1024,…]`
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from app.application import Application
from app.viewmodels.core.settings import Settings
from tests.app.reading.hands import Hands, photograph, screen
from tests.app.reading.steps import STEPS, Session


@dataclass(frozen=True)
class Look:
    """A screen in pixels, how many of them a logical one has, colours, and size of text in %."""

    pixels: tuple[int, int]
    scale: int = 1
    theme: str = "dark"
    text: int = 100


LOOKS = {
    "dark": Look((1280, 800)),
    "light": Look((1280, 800), theme="light"),
    "dark-1024": Look((1024, 700)),
    "light-1024": Look((1024, 700), theme="light"),
    "dark-4k": Look((3840, 2160), scale=2),
    "light-4k": Look((3840, 2160), scale=2, theme="light"),
    "dark-large": Look((1280, 800), text=150),
    "light-large": Look((1280, 800), theme="light", text=150),
}


async def hold(application: Application, study: Path, folder: Path, only: int) -> list[Path]:
    """Go through all steps; the files of their pictures."""
    hands = Hands()
    session = Session(application, hands, study, folder)
    application.workspace.tasks.start(application.workspace.assistant.load_model("demo"))
    for number, (name, act) in enumerate(STEPS[:only], start=1):
        await act(session)
        await session.settled()
        file = folder / f"{number:02}-{name}.png"
        photograph(file)
        session.taken.append(file)
        if problem := application.workspace.notices.message:
            print(f"{name}: {problem.sentence}", file=sys.stderr)
    return session.taken


def main() -> int:
    """One process a look, each on a screen of its own."""
    options = _parser().parse_args()
    if options.look:
        return _here(options)
    for name in options.looks.split(","):
        look = LOOKS[name]
        with screen(*look.pixels) as display:
            environment = {
                **os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb",
                "QT_SCALE_FACTOR": str(look.scale),
            }  # fmt: skip
            command = [sys.executable, "-m", "tests.app.reading.session", *sys.argv[1:]]
            if code := subprocess.run([*command, "--look", name], env=environment).returncode:
                return code
    return 0


def _here(options: argparse.Namespace) -> int:
    import qasync

    from app.views.parts import theme
    from app.views.parts.qt import qt_application
    from tests.app.reading.studies import mixed

    look = LOOKS[options.look]
    folder = options.folder / options.look
    folder.mkdir(parents=True, exist_ok=True)
    qt = qt_application()
    theme.apply(qt, look.theme, look.text)
    with tempfile.TemporaryDirectory() as scratch, qasync.QEventLoop(qt) as loop:
        settings = Settings()
        settings.update({"theme": look.theme, "text_size": look.text})
        study = {"demo": _demo, "mixed": lambda: mixed(Path(scratch))}.get(
            options.study, lambda: Path(options.study)
        )()
        application = Application(loop, settings)
        window = application.window
        window.move(0, 0)
        window.resize(look.pixels[0] // look.scale, look.pixels[1] // look.scale)
        window.show()
        try:
            taken = loop.run_until_complete(hold(application, study, folder, options.steps))
        finally:
            loop.run_until_complete(application.close())
    print(f"{options.look}: {len(taken)} pictures in {folder}")
    return 0


def _demo() -> Path:
    from med2e3.resources import resources_root

    return resources_root() / "demo-study"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="A reading session, as pictures.")
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--study", default="demo", help="demo, mixed, or a folder")
    parser.add_argument("--looks", default="dark", help=f"with commas: {', '.join(LOOKS)}")
    parser.add_argument("--steps", type=int, default=len(STEPS), help="only so many of them")
    parser.add_argument("--look", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
