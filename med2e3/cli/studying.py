"""`med2e3 study`: many questions about many volumes by several models, from a plan to a table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from med2e3.cli.console import PROCESSES, Report, print_json, progress, warn
from med2e3.words import counted, some_names


@click.command()
@click.argument("plan", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the results.  [default: the plan's name beside it]",
)
@click.option("--processes", type=PROCESSES, default=1, show_default=True, help="Workers here.")
@click.option(
    "--engine",
    type=click.Choice(["processes", "ray"]),
    default="processes",
    show_default=True,
    help="ray: workers on many machines (needs the extra ray).",
)
@click.option("--address", help="Of a Ray cluster that runs.  [default: one started here]")
@click.option(
    "--lease",
    type=click.FloatRange(1, 86_400),  # a day
    default=300,
    show_default=True,
    help="Seconds without a sign of life after which another worker takes a volume over.",
)
@click.option("--again", is_flag=True, help="Try again what could not be read or answered.")
@click.option("--dry-run", is_flag=True, help="Read the plan and say what it would ask.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
def study(
    plan: Path,
    out: Path | None,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Ask every question of PLAN about every volume, and write a table and a report.

    PLAN is a YAML file with the keys volumes, questions and models. A run that was stopped, at any
    moment, goes on with the same command; a second run with the same folder helps the first.
    """
    from med2e3.study.plan import read_plan

    read = read_plan(plan)
    folder = out or plan.with_suffix("")
    if dry_run:
        _say_plan(read.as_json(), folder, as_json)
        return
    if options["address"] and options["engine"] != "ray":
        raise click.UsageError("--address is of a Ray cluster; give it with --engine ray.")
    from med2e3.study.options import Options
    from med2e3.study.running import run

    with progress() as report:
        outcome = run(read, folder, Options(**options), _told(report))
    warn(tuple(f"{name}: {reason}" for name, reason in outcome.reasons.items()))
    if as_json:
        print_json(outcome.as_dict())
        return
    click.echo(
        f"{counted(outcome.answers, 'answer')} about {counted(outcome.volumes, 'volume')}"
        + (f", {outcome.errors} not answered" if outcome.errors else "")
    )
    click.echo(f"  table   {outcome.table}")
    click.echo(f"  report  {outcome.report}")


def _told(report: Report) -> Report:
    """Progress on stderr also where it is no terminal: a line for each tenth, as in batch jobs."""
    tenths = [-1]

    def tell(fraction: float, what: str) -> None:
        report(fraction, what)
        if int(fraction * 10) > tenths[0] and not sys.stderr.isatty():
            tenths[0] = int(fraction * 10)
            click.echo(what, err=True)

    return tell


def _say_plan(said: dict[str, Any], folder: Path, as_json: bool) -> None:
    counts = {key: len(said[key]) for key in ("volumes", "questions", "models")}
    answers = counts["volumes"] * counts["questions"] * counts["models"]
    if as_json:
        print_json({"plan": said, "answers": answers, "out": str(folder)})
        return
    for key, count in counts.items():
        names = some_names([entry["name"] for entry in said[key]])
        click.echo(f"{counted(count, key[:-1])}: {names}")
    click.echo(f"{counted(answers, 'answer')} into {folder}")


COMMANDS = (study,)
