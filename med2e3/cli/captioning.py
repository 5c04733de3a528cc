"""`med2e3 data caption`: captions of slices by a model of images and texts on this computer."""

from __future__ import annotations

from pathlib import Path

import click

from med2e3.cli.console import COUNT, SEED, print_json, progress, warn


@click.command()
@click.argument("volumes", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--model", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of an image-text-to-text model of transformers.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("captions"),
    show_default=True, help="Folder of captions, rejected answers and images.",
)  # fmt: skip
@click.option("--slices", type=COUNT, default=4, show_default=True, help="A plane.")
@click.option(
    "--window", nargs=2, type=float, default=(40.0, 400.0), show_default=True,
    help="Centre and width in HU.",
)  # fmt: skip
@click.option("--prompt", help="May name {plane} and {modality}.  [default: ours]")
@click.option("--max-new-tokens", type=COUNT, default=120, show_default=True)
@click.option("--batch", type=COUNT, default=1, show_default=True, help="At a time.")
@click.option("--seed", type=SEED, default=1, show_default=True, help="Of slices.")
@click.option("--device", default="cpu", show_default=True, help="cuda, cpu, …")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def caption(  # noqa: PLR0913 - one argument an option
    volumes: tuple[Path, ...],
    model: Path,
    out: Path,
    slices: int,
    window: tuple[float, float],
    prompt: str | None,
    max_new_tokens: int,
    batch: int,
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Caption slices of VOLUMES (files or folders), for med2e3 train on pairs of them.

    OUT/captions.jsonl has a line a slice, OUT/rejected.jsonl the answers that are none, with the
    reason. A run that was stopped goes on where it was.
    """
    from med2e3.training.insight.captioning import (
        PROMPT,
        CaptionTask,
        TransformersCaptioner,
        write_captions,
    )
    from med2e3.volume import Window

    task = CaptionTask(
        str(model), slices, Window(*window), prompt or PROMPT, batch, seed
    )  # fmt: skip
    with progress() as report:
        report(0.0, "reading the model")
        captioner = TransformersCaptioner(model, max_new_tokens, device)
        made = write_captions(volumes, out, captioner, task, report)
    warn(made.unread)
    if as_json:
        print_json(
            {
                "captions": made.kept, "rejected": made.rejected, "pass_rate": made.pass_rate,
                "unread": list(made.unread), "file": str(made.file),
            }
        )  # fmt: skip
        return
    said = ", ".join(f"{count} {reason}" for reason, count in made.rejected.items())
    click.echo(
        f"{made.kept} captions, {sum(made.rejected.values())} rejected"
        + (f" ({said})" if said else "")
        + f"; {made.pass_rate:.0%} passed.",
        err=True,
    )
    click.echo(str(made.file))
