"""`med2e3 evaluate`: measure a model."""

from __future__ import annotations

import click

from med2e3.cli.console import print_json, progress


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


COMMANDS = (evaluate,)
