"""`med2e3 benchmark`: what the engine promises, measured on this machine in one run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from med2e3.cli.console import COUNT, device_map_option, print_json, progress, quantize_option


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
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of a run of train insight: its steps, transport and captions, in place of MODEL.",
)
@click.option(
    "--captioner",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="With --insight: folder of a model of data caption.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def benchmark(
    repeats: int, as_json: bool, insight: Path | None, captioner: Path | None, **subject: Any
) -> None:
    """Time reading a volume and asking twice, cached against recomputed, as ratios in one run."""
    if insight is not None:
        _insight(insight, captioner, as_json)
        return
    from med2e3.benchmark import SHAPES, measure, random_model
    from med2e3.engine import load

    place = {name: subject[name] for name in ("device", "dtype", "quantize", "device_map")}
    with progress() as report:
        report(0.0, "Making the model")
        if subject["shape"]:
            model = random_model(SHAPES[subject["shape"]](subject["layers"]), **place)
        elif subject["config"]:
            model = random_model(subject["config"], **place)
        else:
            model = load(subject["model"], **place, progress=report)
        result = measure(model, repeats=repeats, progress=report)
    if as_json:
        print_json(result.as_dict())
    else:
        click.echo(result.table())


def _insight(folder: Path, captioner: Path | None, as_json: bool) -> None:
    from med2e3.training.insight.timing import time_insight

    with progress() as report:
        report(0.0, "Measuring")
        times = time_insight(folder, captioner)
    if as_json:
        print_json(times.as_dict())
    else:
        click.echo(times.table())


COMMANDS = (benchmark,)
