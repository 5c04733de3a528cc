"""`med2e3 train` and `med2e3 data`: make a model, and prepare what one is made from."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import click

from med2e3.cli.captioning import caption
from med2e3.cli.console import COUNT, PROCESSES, SEED, print_json, progress, say, warn

if TYPE_CHECKING:
    from collections.abc import Callable

    from med2e3.training import Options
    from med2e3.training.data.prepare import Outcome

_folder = click.Path(path_type=Path)

#: Voxels along a side of a grid, and ranks of adapters: no model here takes more.
LARGEST_SIDE, LARGEST_RANK = 4096, 4096


@click.command()
@click.argument("recipe")
@click.option("--out", type=_folder, help="Folder of the run; runs/NAME if left out.")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in --out.")
@click.option("--smoke", is_flag=True, help="A run of minutes that shows that everything works.")
@click.option("--dry-run", is_flag=True, help="Print what would be trained, and stop.")
@click.option("--processes", type=PROCESSES, default=1, help="Train with so many.")
@click.option(
    "--mixed-precision", type=click.Choice(["no", "bf16", "fp16"]), help="In place of the recipe's."
)
@click.option("--cpu", is_flag=True, help="Keep to the CPU.")
@click.option("--tensorboard", is_flag=True, help="Also log for TensorBoard, in --out.")
@click.option("--data", type=_folder, default=Path(), help="Folder of the recipe's data files.")
@click.option("--start", default="", help="Model to start from, in place of the recipe's.")
@click.option("--hub", type=_folder, help="Folder of models, as OWNER/NAME.")
@click.option(
    "--workers", type=click.IntRange(0, PROCESSES.max), default=0, help="Processes that read ahead."
)
@click.option("--skip-damaged", is_flag=True, help="List what cannot be read, and go on.")
@click.option("--prompts", type=_folder, help="File of requests for reports, one a line.")
@click.option(
    "--lora",
    type=click.IntRange(0, LARGEST_RANK),
    default=0,
    help="Rank of LoRA adapters to train.",
)
@click.option(
    "--validation",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    metavar="SHARE",
    help="Hold out so many of the volumes; the model is that of the best step on them.",
)
@click.option("--validate-every", type=COUNT, metavar="STEPS", help="In place of the recipe's.")
@click.option(
    "--patience",
    type=click.IntRange(0, COUNT.max),
    help="Stop after so many validations without a better loss.",
)
@click.option("--keep-sides", is_flag=True, help="Do not flip what texts say left or right of.")
@click.option(
    "--stages", multiple=True, metavar="NAME", help="Run this stage alone; may be repeated."
)
def train(  # noqa: PLR0913 - one argument an option
    recipe: str,
    out: Path | None,
    resume: bool,
    smoke: bool,
    dry_run: bool,
    processes: int,
    mixed_precision: str | None,
    cpu: bool,
    tensorboard: bool,
    data: Path,
    start: str,
    hub: Path | None,
    workers: int,
    skip_damaged: bool,
    prompts: Path | None,
    lora: int,
    validation: float,
    validate_every: int | None,
    patience: int | None,
    keep_sides: bool,
    stages: tuple[str, ...],
) -> None:
    """Train RECIPE ("demo", "pretrain", "finetune", "insight", or a recipe file).

    Checkpoints, a CSV log and the model go to --out. For several GPUs or machines, FSDP or
    DeepSpeed, start it with accelerate: accelerate launch -m med2e3.cli train RECIPE … (on CPUs
    with torchrun, or --processes on one machine).
    """
    from med2e3.training import Options
    from med2e3.training import train as run

    folder = out or Path("runs") / Path(recipe).stem
    options = Options(
        mixed_precision, cpu, tensorboard, data, start, hub, workers, skip_damaged, prompts, lora,
        validation, validate_every, patience, keep_sides, stages,
    )  # fmt: skip
    _warn_of(recipe, options, smoke)
    if dry_run:
        click.echo(_plan(recipe, folder, options, smoke, processes))
        return
    model = run(
        recipe, folder, resume=resume, smoke=smoke, processes=processes, options=options
    )  # fmt: skip
    _print_result(model, folder)


def _warn_of(recipe: str, options: Options, smoke: bool) -> None:
    """Says what to know of the lists beforehand, in the main process alone."""
    from med2e3.training import open_recipe
    from med2e3.training.cautions import cautions
    from med2e3.training.distributed import is_rank_zero
    from med2e3.training.m3d_recipe import M3DRecipe
    from med2e3.training.published_recipe import PublishedRecipe

    chosen = open_recipe(recipe, options, smoke=smoke)
    if is_rank_zero() and isinstance(chosen, M3DRecipe | PublishedRecipe):
        warn(cautions(chosen.data, chosen.augment, chosen.seed))


def _plan(recipe: str, folder: Path, options: Options, smoke: bool, processes: int) -> str:
    from med2e3.checkpoints import Hub
    from med2e3.training import open_recipe
    from med2e3.training.dry_run import describe, plan_recipe

    chosen = open_recipe(recipe, options, smoke=smoke)
    plans = plan_recipe(chosen, Hub(options.hub), options.mixed_precision)
    return describe(plans, folder, processes)


def _print_result(model: Path, folder: Path) -> None:
    """Prints the result, in the main process alone."""
    from med2e3.io.texts import kept_json
    from med2e3.training.distributed import is_rank_zero
    from med2e3.training.stages.published import DAMAGED_FILE
    from med2e3.training.stages.text import LETTERS_FILE
    from med2e3.training.validating import LOSSES, read_losses

    if not is_rank_zero():
        return
    letters = folder / LETTERS_FILE
    if letters.is_file():
        shares = kept_json(letters)
        said = ", ".join(f"{topic} {100 * share:.0f} %" for topic, share in shares.items())
        click.echo(f"Right letters after the text stage: {said}.", err=True)
    for path in sorted(folder.glob(f"*{LOSSES}")):
        losses = read_losses(path)
        best = min(losses, key=lambda step: losses[step])
        click.echo(
            f"Validation loss {losses[best]:.4g} after step {best} of {max(losses)}, the best of "
            f"{len(losses)} measured; the model is that of this step.",
            err=True,
        )
    damaged = folder / DAMAGED_FILE
    if damaged.is_file():
        # A row for each time that one was met: once an epoch at least, and again after a resume.
        with damaged.open(newline="", encoding="utf-8") as rows:
            count = len({tuple(row) for row in csv.reader(rows)})
        click.echo(f"{count} samples could not be used; they are in {damaged}.", err=True)
    click.echo(str(model))


@click.group()
def data() -> None:
    """Prepare data sets to train on."""


@data.command()
@click.argument("source", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("target", type=_folder)
@click.option(
    "--grid", nargs=3, type=click.IntRange(1, LARGEST_SIDE), default=(32, 256, 256),
    show_default=True, help="Slices, rows, columns.",
)  # fmt: skip
@click.option("--processes", type=PROCESSES, default=1, help="For image folders.  [default: 1]")
@click.option(
    "--window", help="DICOM, NIfTI and the like: one window for all, as “W400 L40” or “lung”."
)
@click.option(
    "--plane", type=click.Choice(["axial", "coronal", "sagittal", "stored"]),
    help="With --window: the plane of all.  [default: axial]",
)  # fmt: skip
def prepare(
    source: Path, target: Path, grid: tuple[int, int, int], processes: int, window: str | None,
    plane: str | None,
) -> None:  # fmt: skip
    """Volumes below SOURCE to .npy files in TARGET, with the list TARGET/M3D_Cap.json.

    Folders of images (CASE/SERIES/1.jpeg, text beside them) become what M3D-Cap has: min-max, crop,
    resize; slices of an odd size are left out, and reported.

    With --window DICOM series, NIfTI and other volumes become what a model is shown that is asked
    in this window and plane. NAME.txt beside NAME.nii.gz is its report, NAME_mask.nii.gz the mask
    of its finding. What exists in TARGET is kept.
    """
    from med2e3.training.data.prepare import LIST_FILE, prepare_cases

    with progress() as report:

        def done_of(done: int, of: int) -> None:
            report(done / of, f"preparing {of} series")

        if window is None:
            if plane is not None:
                raise click.UsageError("--plane is read with --window alone; give both or none.")
            outcomes = prepare_cases(
                source, target, grid, processes=processes, progress=done_of
            )  # fmt: skip
        else:
            if processes > 1:
                raise click.UsageError("--processes is for image folders; leave it out here.")
            outcomes = _prepare_scans(source, target, grid, window, plane, done_of)
    for outcome in outcomes:
        for problem in outcome.problems:
            click.echo(f"warning: {problem}", err=True)
    made = sum(outcome.made for outcome in outcomes)
    failed = sum(outcome.failed for outcome in outcomes)
    kept = len(outcomes) - made - failed
    click.echo(f"{made} series prepared, {kept} were there, {failed} failed", err=True)
    click.echo(str(target / LIST_FILE))


def _prepare_scans(
    source: Path, target: Path, grid: tuple[int, int, int], window: str, plane: str | None,
    report: Callable[[int, int], None],
) -> list[Outcome]:  # fmt: skip
    from med2e3.geometry import Plane
    from med2e3.training.data.prepare_scans import Prepared, prepare_scans, window_of

    chosen = None if plane == "stored" else Plane(plane or "axial")
    settings = Prepared(window_of(window), chosen, grid)
    outcomes = prepare_scans(source, target, settings, progress=report)
    say(f"All volumes as {settings.text()}; a model of them is asked so.", err=True)
    return outcomes


@data.command()
@click.argument("target", type=_folder)
@click.option("--train", "train_count", type=COUNT, default=64, show_default=True)
@click.option("--test", "test_count", type=COUNT, default=32, show_default=True)
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option(
    "--grid", nargs=3, type=click.IntRange(8, LARGEST_SIDE), default=(32, 64, 64),
    show_default=True, help="Slices, rows, columns.",
)  # fmt: skip
@click.option("--plane", type=click.Choice(["axial", "coronal", "sagittal"]), help="Of all.")
@click.option("--bodies", type=click.Choice(["simple", "detailed"]), default="simple",
              show_default=True, help="Ellipsoids, or organ shapes.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def phantoms(
    target: Path, train_count: int, test_count: int, seed: int, grid: tuple[int, int, int],
    plane: str | None, bodies: str, as_json: bool,
) -> None:  # fmt: skip
    """Write phantoms to TARGET as M3D-Cap, M3D-VQA and M3D-Seg, to try every command with."""
    from med2e3.geometry import Plane
    from med2e3.training.data.phantom_lists import write_phantom_lists

    first = seed * (train_count + test_count)
    seeds = {
        "train": range(first, first + train_count),
        "test": range(first + train_count, first + train_count + test_count),
    }
    with progress() as report:
        write_phantom_lists(
            target, {name: list(numbers) for name, numbers in seeds.items()}, grid,
            plane=Plane(plane) if plane else None, body=bodies, progress=report,
        )  # fmt: skip
    if as_json:
        print_json({"folder": str(target), "train": train_count, "test": test_count, "seed": seed})
    else:
        click.echo(str(target))


@data.command("new-finding")
@click.argument("target", type=_folder)
@click.option("--train", "train_count", type=COUNT, default=100, show_default=True)
@click.option("--test", "test_count", type=COUNT, default=50, show_default=True)
@click.option("--seed", type=click.IntRange(0, 10_000), default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def new_finding(
    target: Path, train_count: int, test_count: int, seed: int, as_json: bool
) -> None:  # fmt: skip
    """Write phantoms to TARGET with a finding that the demo model does not know, as a lab has them.

    NIfTI scans and masks, with questions in train.csv and test.csv: to try `data prepare` and
    `train own` with.
    """
    from med2e3.training.data.new_finding import FINDING, write_new_finding

    counts = {"train": train_count, "test": test_count}
    with progress() as report:
        write_new_finding(target, counts, seed, progress=report)
    if as_json:
        print_json({"folder": str(target), **counts, "seed": seed, "finding": FINDING})
    else:
        click.echo(str(target))


@data.command()
@click.argument("reports", type=click.Path(exists=True, path_type=Path))
@click.option("--model", required=True, type=click.Path(exists=True, path_type=Path),
              help="Folder of a language model on this computer.")  # fmt: skip
@click.option("--out", type=_folder, help="The CSV.  [default: M3D_VQA.csv beside REPORTS]")
@click.option("--split", default="train", show_default=True, help="Which part of an M3D-Cap list.")
@click.option("--batch", type=COUNT, default=1, show_default=True, help="At once.")
@click.option("--max-new-tokens", type=COUNT, default=1024, show_default=True)
@click.option("--device", help="cuda, cpu, … (default: CUDA where there is one).")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "float16"]))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def questions(  # noqa: PLR0913 - one argument an option
    reports: Path, model: Path, out: Path | None, split: str, batch: int, max_new_tokens: int,
    device: str | None, dtype: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Questions about REPORTS (an M3D-Cap list, or a folder of .txt) by a local language model.

    Nine a report, in five topics, with four choices; the model then checks each against the
    report. The CSV has M3D-VQA's columns; what was rejected stands beside it with its reason. A run
    that was stopped goes on.
    """
    from med2e3.engine.writer import LocalWriter
    from med2e3.training.data.questions import make_questions, read_reports

    found = read_reports(reports, split)
    folder = reports if reports.is_dir() else reports.parent
    target = out or folder / "M3D_VQA.csv"
    with progress() as report:
        report(0.0, "loading the language model")
        writer = LocalWriter(
            model, max_new_tokens=max_new_tokens, batch=batch, device=device, dtype=dtype
        )
        tally = make_questions(found, writer, target, batch=batch, progress=report)
    if as_json:
        print_json({"file": str(target), **tally.as_dict()})
        return
    said = ", ".join(f"{reason}: {count}" for reason, count in tally.reasons.items())
    click.echo(
        f"{tally.kept} of {tally.wanted} questions of {tally.reports} reports passed "
        f"({100 * tally.pass_rate:.1f} %). Rejected: {said or 'none'}.",
        err=True,
    )
    click.echo(str(target))


data.add_command(caption)

COMMANDS = (train, data)
