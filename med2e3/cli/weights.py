"""`med2e3 models`, `download`, `convert`: which weights there are, and how to get and keep them."""

from __future__ import annotations

import click

from med2e3.cli.console import print_json, progress


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def models(as_json: bool) -> None:
    """List the models that are known, and which of them are installed."""
    from med2e3.checkpoints.store import list_models

    entries = list_models()
    if as_json:
        print_json([entry.as_dict() for entry in entries])
        return
    for entry in entries:
        click.echo(entry.line())


@click.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask: size and licence are accepted.")
def download(name: str, yes: bool) -> None:
    """Fetch the published weights NAME. The only command that opens a network connection."""
    from med2e3.checkpoints.store import download as fetch

    def confirm(terms: str) -> bool:
        click.echo(terms, err=True)
        return yes or click.confirm("Download?", err=True)

    with progress() as report:
        folder = fetch(name, confirm=confirm, progress=report)
    click.echo(str(folder))


@click.command()
@click.argument("source", type=click.Path())
@click.argument("target", type=click.Path())
@click.option("--hub", metavar="DIR", help="Folder of owner/name folders with hub files.")
@click.option("--adapter", metavar="DIR", help="LoRA adapters (peft) to merge.")
def convert(source: str, target: str, hub: str | None, adapter: str | None) -> None:
    """Write the published checkpoint SOURCE as a native model folder TARGET."""
    from med2e3.checkpoints import convert as write_native

    with progress() as report:
        folder = write_native(source, target, hub=hub, adapter=adapter, progress=report)
    click.echo(str(folder))


COMMANDS = (models, download, convert)
