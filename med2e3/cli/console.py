"""How the command line talks: results to stdout, everything else to stderr.

Knows nothing of volumes or models.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from med2e3.figures import check_figure_path
from med2e3.words import shown

#: Work shorter than this shows no bar: a bar that flashes by only unsettles.
BAR_AFTER_SECONDS = 2.0


#: Takes progress: the fraction done (0..1) and what is being done.
Report = Callable[[float, str], None]


#: Counts of things: more than a year of work here is a slip, refused before the work begins.
COUNT = click.IntRange(1, 10_000_000)

#: Seeds that numpy and torch both take.
SEED = click.IntRange(0, 2**32 - 1)

#: Processes: a machine has fewer cores.
PROCESSES = click.IntRange(1, 1024)

#: Options of every command that loads a model which answers.
quantize_option = click.option(
    "--quantize",
    "--weights",
    "quantize",
    type=click.Choice(["8bit", "4bit", "int8", "int4"]),
    help="The language model's weights: 8bit, 4bit by bitsandbytes; int8, int4 on a CPU by torch.",
)
device_map_option = click.option(
    "--device-map",
    type=click.Choice(["auto"]),
    help="Spread the model over GPUs and main memory, in place of --device.",
)


def _figure_path(
    context: click.Context, parameter: click.Parameter, path: Path | None
) -> Path | None:
    """The path as given; raises `InputError` before minutes of work whose figure has no place."""
    if path is not None:
        check_figure_path(path)
    return path


def figure_option(what: str) -> Callable[[Any], Any]:
    """The option `--figure FILE`, which draws `what`."""
    return click.option(
        "--figure",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        callback=_figure_path,
        help=f"Draw {what} there, as .png, .svg or .pdf.",
    )


def say(text: str, *, err: bool = False) -> None:
    """One line, of which nothing commands the terminal: names of files and series are foreign."""
    click.echo("\n".join(map(shown, text.split("\n"))), err=err)


def complain(sentence: str) -> None:
    """One message on stderr, marked as an error."""
    say(f"med2e3: {sentence}", err=True)


def warn(sentences: tuple[str, ...]) -> None:
    """Warnings on stderr, one a line."""
    for sentence in sentences:
        say(f"warning: {sentence}", err=True)


def print_json(value: Any) -> None:
    """One JSON object on stdout, whole or not at all.

    JSON has no NaN and no infinity: null stands in their place. A letter that the terminal cannot
    show, or half of one from a file's name, is escaped.
    """
    text = json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(_finite(value), indent=2, allow_nan=False)
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _finite(value: Any) -> Any:
    """The value with None for every number in it that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value


class _LateBar:
    """A progress bar that appears once the work has taken `BAR_AFTER_SECONDS`."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._began = time.monotonic()
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def __call__(self, fraction: float, what: str) -> None:
        if not self._console.is_terminal:
            return
        if self._progress is None:
            if time.monotonic() - self._began < BAR_AFTER_SECONDS:
                return
            self._progress = Progress(
                TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(),
                console=self._console, transient=True,
            )  # fmt: skip
            self._task = self._progress.add_task(what, total=1.0)
            self._progress.start()
        self._progress.update(self._task, completed=fraction, description=what)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()


@contextmanager
def progress() -> Iterator[Report]:
    """A progress callback whose bar (stderr, terminals only) shows after two seconds of work."""
    bar = _LateBar()
    try:
        yield bar
    finally:
        bar.close()
