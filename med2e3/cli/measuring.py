"""`med2e3 benchmark`: what the engine promises, measured on this machine in one run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from med2e3.cli.console import (
    COUNT,
    Report,
    device_map_option,
    print_json,
    progress,
    quantize_option,
)

if TYPE_CHECKING:
    from med2e3.engine import Model
    from med2e3.speed_tables import Figure
    from med2e3.training.timing import Times

#: A folder that is there, and a file that may be.
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--model", default="demo", show_default=True, metavar="NAME|DIR")
@click.option("--config", type=click.Path(), help="config.json of a model to fill at random.")
@click.option("--shape", type=click.Choice(["released"]), help="A published size, random weights.")
@click.option("--layers", type=COUNT, help="With --shape: only so many LLM layers.")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "float16"]))
@quantize_option
@device_map_option
@click.option("--repeats", type=COUNT, default=3, show_default=True)
@click.option("--device", help="cuda, cpu, … (default: CUDA where there is one).")
@click.option(
    "--insight",
    type=FOLDER,
    help="Folder of a run of train insight: its steps, transport and captions, in place of MODEL.",
)
@click.option(
    "--captioner",
    type=FOLDER,
    help="With --insight: folder of a model of data caption.",
)
@click.option(
    "--step",
    metavar="RECIPE",
    help="Recipe of M3D-CLIP or M3D-LaMed: a step of its training, in place of MODEL.",
)
@click.option(
    "--data",
    type=FOLDER,
    help="With --step: where its lists lie.",
)
@click.option(
    "--writer",
    type=FOLDER,
    help="Folder of a model of data questions: questions an hour, in place of MODEL.",
)
@click.option(
    "--decode", is_flag=True, help="Prompt and tokens beside a plain read of the weights' bytes."
)
@click.option(
    "--keep",
    type=FILE,
    metavar="FILE",
    help="Keep the figures of five runs in FILE, with date, machine and commit.",
)
@click.option(
    "--compare",
    type=FILE,
    metavar="FILE",
    help="Say what is slower than in a kept FILE by more than the noise of five runs.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def benchmark(
    repeats: int, as_json: bool, insight: Path | None, captioner: Path | None, **subject: Any
) -> None:
    """Time reading a volume and asking twice, cached against recomputed, as ratios in one run."""
    step, data, writer = (subject.pop(name) for name in ("step", "data", "writer"))
    if insight is not None:
        _insight(insight, captioner, as_json)
        return
    if step is not None or writer is not None:
        _training(step, data, writer, as_json)
        return
    from med2e3.speed_tables import comparison, keep_table, read_table, table_now

    kept = None if subject["compare"] is None else read_table(subject["compare"])
    with progress() as report:
        model = _subject(subject, report)
        figures, shown, plain = _measured(model, subject, repeats, report)
    table = table_now(figures)
    if subject["keep"] is not None:
        keep_table(table, subject["keep"])
    if as_json:
        print_json(plain)
        return
    click.echo(shown)
    if kept is not None:
        click.echo(comparison(kept, figures))


def _subject(subject: dict[str, Any], report: Report) -> Model:
    """The model to measure."""
    from med2e3.benchmark import SHAPES, random_model
    from med2e3.engine import load

    place = {name: subject[name] for name in ("device", "dtype", "quantize", "device_map")}
    report(0.0, "Making the model")
    if subject["shape"]:
        return random_model(SHAPES[subject["shape"]](subject["layers"]), **place)
    if subject["config"]:
        return random_model(subject["config"], **place)
    return load(subject["model"], **place, progress=report)


def _measured(
    model: Model, subject: dict[str, Any], repeats: int, report: Report
) -> tuple[dict[str, Figure], str, dict[str, Any]]:
    """Figures, their table, and the same for a machine."""
    from med2e3.benchmark import measure
    from med2e3.benchmark.decoding import decode_table, measure_decode
    from med2e3.benchmark.result import figures_of
    from med2e3.speed_tables import RUNS, as_plain, table_now

    if subject["decode"]:
        figures = measure_decode(model, progress=report)
        return figures, decode_table(model, figures), as_plain(table_now(figures))
    several = subject["keep"] is not None or subject["compare"] is not None
    runs = [measure(model, repeats=repeats, progress=report) for _ in range(RUNS if several else 1)]
    return figures_of(runs), runs[-1].table(), runs[-1].as_dict()


def _insight(folder: Path, captioner: Path | None, as_json: bool) -> None:
    from med2e3.training.insight.timing import time_insight

    with progress() as report:
        report(0.0, "Measuring")
        times = time_insight(folder, captioner)
    _show(times, as_json)


def _training(step: str | None, data: Path | None, writer: Path | None, as_json: bool) -> None:
    from med2e3.training.options import Options
    from med2e3.training.timing import Times, time_questions, time_recipe

    with progress() as report:
        report(0.0, "Measuring")
        options = Options(cpu=True, data=data or Path())
        timed = () if step is None else (time_recipe(step, options),)
        rates = {} if writer is None else time_questions(writer)
    _show(Times(timed, rates, "questions"), as_json)


def _show(times: Times, as_json: bool) -> None:
    if as_json:
        print_json(times.as_dict())
    else:
        click.echo(times.table())


COMMANDS = (benchmark,)
