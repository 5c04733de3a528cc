"""`med2e3 retrieve`: find volumes by text, or the texts nearest to one volume, with M3D-CLIP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from med2e3.cli.console import print_json, progress, say, warn


@click.command()
@click.argument("text")
@click.argument("path")
@click.option("--model", default="m3d-clip", show_default=True, metavar="NAME|DIR")
@click.option("--hub", metavar="DIR", help="Folder of owner/name folders with hub files.")
@click.option("--texts", is_flag=True, help="TEXT is a file of texts: rank them for the one PATH.")
@click.option("--window", metavar="NAME|VALUES", help="What the model sees: lung, “W400 L40”, …")
@click.option("--device", help="cuda, cpu, … (default: CUDA where there is one).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def retrieve(text: str, path: str, texts: bool, as_json: bool, **options: Any) -> None:
    """Rank the volumes below PATH by TEXT, nearest first; or with --texts, texts by a volume."""
    from med2e3.io import load_volume
    from med2e3.retrieval import finder

    sentences = finder.read_texts(text) if texts else []
    retriever = finder.load_retriever(
        options["model"], hub=options["hub"], device=options["device"]
    )
    with progress() as report:
        if texts:
            volume = load_volume(Path(path), progress=report)
            matches = finder.nearest_texts(retriever, volume, sentences, window=options["window"])
            ranking = finder.Ranking(path, matches, ())
        else:
            ranking = finder.rank_volumes(
                retriever, text, path, window=options["window"], progress=report
            )
    warn(ranking.unreadable)
    if as_json:
        print_json(ranking.as_dict())
        return
    for match in ranking.matches:
        say(f"{match.similarity:+.4f}  {match.name}")


COMMANDS = (retrieve,)
