"""Every option and argument of every command, with values that nobody means: a sentence each."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from med2e3.cli import cli

#: Values by what they try: no number, no size, no file, no device, no text.
VALUES: dict[str, str] = {
    "empty": "",
    "minus one": "-1",
    "beyond 64 bits": str(2**70),
    "400 digits": "9" * 400,
    "not a number": "nan",
    "a word": "nonsense",
    "no such device": "cuda:99",
    "too long a path": "a" * 5000,
    "too deep a path": "/".join(["deep"] * 2000),
    "no UTF-8": os.fsdecode(b"caf\xe9\xff.nii"),
    "markup": "[red]<b>x</b>[/red]",
    "a device file": "/dev/null",
}


def commands(group: click.Group, *before: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that call it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *before, name)
        else:
            yield (*before, name), command


COMMANDS = dict(commands(cli))

#: What is tried by default; the rest loads models or trains, and is tried by `make test-all`.
QUICK = (
    (("info",), "path"),
    (("series",), "path"),
    (("ask",), "path"),
    (("ask",), "question"),
    (("download",), "name"),
    (("convert",), "source"),
    # Numbers out of bounds are refused before any work.
    (("evaluate",), "phantoms"),
    (("evaluate",), "seed"),
    (("evaluate",), "workers"),
    (("evidence",), "draws"),
    (("train",), "processes"),
    (("train",), "workers"),
    (("train",), "lora"),
    (("benchmark",), "repeats"),
    (("study",), "processes"),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Callable[..., Path]) -> Path:
    """A folder with a small study and a small model."""
    from med2e3.io.write import write_dicom_series
    from tests.med2e3.cli.conftest import make_volume

    folder = tmp_path_factory.mktemp("place")
    write_dicom_series(make_volume(), folder / "study")
    shutil.copytree(tiny_folder(), folder / "model")
    return folder


def usual(words: tuple[str, ...], place: Path) -> list[str]:
    """Arguments with which a command works, or at least begins to."""
    study, model = str(place / "study"), str(place / "model")
    arguments: dict[tuple[str, ...], list[str]] = {
        ("info",): [study],
        ("series",): [study],
        ("ask",): [study, "Is there a nodule?", "--model", model, "--max-new-tokens", "2"],
        ("evidence",): [study, "Is there a nodule?", "--model", model, "--max-new-tokens", "2"],
        ("replay",): [str(place / "no-record.json"), study],
        ("study",): [str(place / "no-plan.yaml")],
        ("data", "caption"): [study, "--model", model, "--out", str(place / "captions.jsonl")],
        ("data", "phantoms"): [str(place / "phantoms"), "--train", "1", "--test", "1"],
        ("data", "new-finding"): [str(place / "new"), "--train", "1", "--test", "1"],
        ("data", "questions"): [str(place), "--model", model],
        ("retrieve",): ["free fluid", study, "--model", model],
        ("models",): [],
        ("download",): ["no-such-model"],
        ("convert",): [model, str(place / "made")],
        ("train",): ["demo", "--dry-run"],
        ("data", "prepare"): [study, str(place / "prepared")],
        ("evaluate",): [model, "--phantoms", "1"],
        ("benchmark",): ["--model", model, "--repeats", "1"],
    }
    return [*words, *arguments[words]]


def test_every_command_has_usual_arguments(place: Path) -> None:
    for words in COMMANDS:
        usual(words, place)


def fault_of(ran: Any) -> str:
    """What is wrong with an answer; empty where it is done, one sentence, or a wrong usage."""
    lines = [line for line in ran.err.splitlines() if line.startswith("med2e3: ")]
    if ran.code not in (0, 1, 2) or "Traceback" in ran.err or len(ran.err) > 20_000:
        return f"{ran.code}: {ran.err}"
    return "" if ran.code != 1 or len(lines) == 1 else f"no sentence: {ran.err}"


def options() -> Iterator[Any]:
    for words, command in COMMANDS.items():
        for one in command.params:
            if not (isinstance(one, click.Option) and (one.is_flag or one.nargs != 1)):
                quick = (words, one.name) in QUICK
                marks = () if quick else (pytest.mark.slow,)
                yield pytest.param(words, one, marks=marks, id=f"{' '.join(words)} {one.name}")


@pytest.mark.parametrize(("words", "parameter"), list(options()))
def test_any_value_is_answered(
    words: tuple[str, ...], parameter: click.Parameter, place: Path, run: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(place)
    wrong = {}
    for what, value in VALUES.items():
        shutil.rmtree(place / "made", ignore_errors=True)
        try:
            wrong[what] = fault_of(run(*given(words, parameter, value, place)))
        except Exception as error:  # all are named at once, not the first alone
            wrong[what] = f"{type(error).__name__}: {error}"
    assert not {what: fault for what, fault in wrong.items() if fault}


def given(words: tuple[str, ...], parameter: click.Parameter, value: str, place: Path) -> list[str]:
    """The usual arguments with one of them replaced, or one option more."""
    arguments = usual(words, place)
    if isinstance(parameter, click.Option):
        return [*arguments, f"{parameter.opts[0]}={value}"]
    own = [p for p in COMMANDS[words].params if isinstance(p, click.Argument)]
    arguments[len(words) + own.index(parameter)] = value
    if value.startswith("-"):
        arguments.insert(len(words), "--")
    return arguments
