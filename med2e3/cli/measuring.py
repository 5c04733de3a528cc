"""`med2e3 benchmark`: what the engine promises, measured on this machine in one run."""

from __future__ import annotations

import click

from med2e3.cli.console import print_json, progress


@click.command()
@click.option("--model", default="demo", show_default=True, metavar="NAME|DIR")
@click.option("--config", type=click.Path(), help="config.json of a model to fill at random.")
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True)
@click.option("--device", help="cuda, cpu, … (default: CUDA where there is one).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def benchmark(
    model: str, config: str | None, repeats: int, device: str | None, as_json: bool
) -> None:
    """Time reading a volume and asking twice, cached against recomputed, as ratios in one run."""
    from med2e3.benchmark import measure, random_model
    from med2e3.engine import load

    with progress() as report:
        subject = (
            random_model(config, device=device) if config else load(model, device=device)
        )
        result = measure(subject, repeats=repeats, progress=report)
    if as_json:
        print_json(result.as_dict())
    else:
        click.echo(result.table())


COMMANDS = (benchmark,)
