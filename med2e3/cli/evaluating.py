"""`med2e3 train` and `med2e3 evaluate`: make a model again, and measure one."""

from __future__ import annotations

from pathlib import Path

import click

from med2e3.cli.console import print_json, progress


@click.command()
@click.argument("recipe")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs/demo"), show_default=True
)
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in --out.")
@click.option("--smoke", is_flag=True, help="A run of minutes that shows that everything works.")
def train(recipe: str, out: Path, resume: bool, smoke: bool) -> None:
    """Train RECIPE ("demo", or a recipe file); checkpoints, a CSV log and the model go to --out."""
    from med2e3.training import train as run

    click.echo(str(run(recipe, out, resume=resume, smoke=smoke)))


@click.command()
@click.argument("model", default="demo")
@click.option("--phantoms", type=click.IntRange(1), default=100, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the phantoms.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def evaluate(model: str, phantoms: int, seed: int, as_json: bool) -> None:
    """Measure MODEL on phantoms that it never saw: answers, pointing, text dependence."""
    from med2e3.evaluation import evaluate_phantoms

    with progress() as report:
        results = evaluate_phantoms(model, phantoms, seed, progress=report)
    if as_json:
        print_json(results.as_dict())
    else:
        click.echo(results.table())


COMMANDS = (train, evaluate)
