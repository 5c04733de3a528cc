"""`med2e3 evidence` and `med2e3 replay`: question an answer, keep what was found, run it again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from med2e3.cli.answer_tests import (
    attention_option,
    attention_or_reason,
    check_test_names,
    print_attention,
    print_outcomes,
    print_sure,
    run_named,
    test_option,
)
from med2e3.cli.console import COUNT, SEED, figure_option, print_json, progress, warn
from med2e3.errors import InputError
from med2e3.figures import save_figure, score_figure
from med2e3.geometry import Plane
from med2e3.io import load_volume

if TYPE_CHECKING:
    from med2e3.engine import Answer, Session
    from med2e3.evidence.export import Collected
    from med2e3.evidence.interventions import Choices
    from med2e3.evidence.matrix import Matrix
    from med2e3.volume import Volume

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
OUTPUT = click.Path(dir_okay=False, path_type=Path)

model_option = click.option("--model", metavar="NAME|DIR", help="The model.  [default: demo]")
device_option = click.option("--device", help="cuda, cpu, … (default: CUDA where there is one).")


@click.command()
@click.argument("path")
@click.argument("questions", nargs=-1, required=True, metavar="QUESTION…")
@model_option
@device_option
@click.option("--window", metavar="NAME|VALUES", help="What the model sees: lung, “W400 L40”, …")
@click.option("--plane", type=click.Choice([str(p) for p in Plane]), help="The stacking plane.")
@test_option
@click.option("--bands", help="Slices to leave out, from 1: “5,6,9”.  [default: the top ones]")
@click.option("--top-k", type=COUNT, default=3, help="How many top ones.  [3]")
@click.option("--draws", type=COUNT, default=20, help="Of random bands.  [20]")
@click.option("--other", metavar="PATH", help="Another patient's volume.")
@click.option("--rewording", multiple=True, help="The question in other words (many).")
@click.option("--seed", type=SEED, default=0, help="Seed of all that is drawn.  [0]")
@click.option("--leave-one-out", is_flag=True, help="The answer without each slice by itself.")
@click.option("--faithfulness", is_flag=True, help="All measures of faithfulness of the answer.")
@attention_option
@click.option("--marks", help="Slices that matter, from 1, for --faithfulness: “5,6,9”.")
@click.option(
    "--export",
    "exports",
    type=OUTPUT,
    multiple=True,
    metavar="FILE",
    help="Write it there: .csv, .json, .npz, .parquet, .nii.gz, .dcm (many).",
)
@click.option("--sort", type=click.Choice(["time", "similarity"]), default="time", help="Of rows.")
@figure_option("the slice scores of all questions")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def evidence(
    path: str,
    questions: tuple[str, ...],
    as_json: bool,
    figure: Path | None,
    exports: tuple[Path, ...],
    **options: Any,
) -> None:
    """Ask QUESTION… about the CT in PATH, and what the answers depend on.

    Of each answer: how sure the model is, tests (what it becomes without slices, on another
    volume, in other words), and measures of faithfulness. Of several questions: a matrix of their
    slice scores.
    """
    from med2e3.engine import check_question, load
    from med2e3.evidence.export import check_path, write_evidence

    for question in questions:
        check_question(question)
    check_test_names(options["tests"])
    for export in exports:
        check_path(export)
    choices = _choices(options)
    with progress() as report:
        volume = load_volume(path, progress=report)
        model = load(options["model"] or "demo", device=options["device"], progress=report)
        session = model.read(
            volume, plane=options["plane"], window=options["window"], progress=report
        )
    warn(volume.warnings)
    if model.info.notice:
        click.echo(f"note: {model.info.notice}", err=True)
    collected = [_collect(session, question, choices, options) for question in questions]
    for export in exports:
        write_evidence(collected, export)
    matrix = _matrix(collected, options["sort"])
    if as_json:
        found: dict[str, Any] = {"answers": [one.as_dict() for one in collected]}
        if matrix is not None:
            found["matrix"] = matrix.as_dict()
        print_json(found)
    else:
        for one in collected:
            _print(one)
        if matrix is not None:
            _print_pairs(matrix)
    if figure is not None:
        _draw(collected, matrix, session.input.plane, figure)


def _choices(options: dict[str, Any]) -> Choices:
    """What the tests are to do; the other volume is read here."""
    from med2e3.evidence.interventions import Choices

    other: Volume | None = None
    if options["other"] is not None:
        with progress() as report:
            other = load_volume(options["other"], progress=report)
    return Choices(
        bands=_slices(options["bands"], "--bands"), top_k=options["top_k"],
        draws=options["draws"], seed=options["seed"],
        rewordings=tuple(options["rewording"]), other=other,
    )  # fmt: skip


def _slices(text: str | None, name: str) -> tuple[int, ...]:
    """Numbers from 1 as model slices from 0. Raises `InputError`."""
    parts = [part.strip() for part in (text or "").split(",") if part.strip()]
    wrong = [part for part in parts if not part.isdecimal() or int(part) < 1]
    if wrong:
        raise InputError(
            f"{name} holds {wrong[0]!r}, which is no model slice. Give numbers from 1 on, with "
            "commas between: 5,6,9."
        )
    return tuple(int(part) - 1 for part in parts)


def _collect(
    session: Session, question: str, choices: Choices, options: dict[str, Any]
) -> Collected:
    """Ask one question, and find out what was wanted of its answer."""
    from med2e3.evidence.certainty import how_sure
    from med2e3.evidence.export import Collected
    from med2e3.evidence.faithfulness import Settings, faithfulness
    from med2e3.evidence.leave_one_out import leave_one_out

    answer: Answer = session.ask(question)
    answer.complete()
    tests = options["tests"]
    marks = _slices(options["marks"], "--marks")
    attention, why_not = None, ""
    if options["attention"]:
        attention, why_not = attention_or_reason(session, answer)
    with progress() as report:
        return Collected(
            session,
            answer,
            attention=attention,
            no_attention=why_not,
            certainty=how_sure(session, answer) if answer.token_ids else None,
            outcomes=run_named(session, answer, tests, choices) if tests else (),
            left_out=leave_one_out(session, answer) if options["leave_one_out"] else None,
            faithfulness=(
                faithfulness(
                    session, answer, settings=Settings(seed=choices.seed), held=marks,
                    progress=report,
                )
                if options["faithfulness"]
                else None
            ),
        )  # fmt: skip


def _matrix(collected: list[Collected], order: str) -> Matrix | None:
    """The scores of several questions; None of one, or of a model without scores."""
    from med2e3.evidence.matrix import matrix_of

    if len(collected) < 2 or any(one.answer.scores is None for one in collected):
        return None
    return matrix_of([one.answer for one in collected]).ordered(order)


def _print(one: Collected) -> None:
    answer = one.answer
    click.echo(f"{answer.prompt.question}\n{answer.text}")
    print_sure(one.session, answer)
    if one.outcomes:
        print_outcomes(one.outcomes)
    if one.left_out is not None:
        drops = one.left_out.drops
        place = max(range(len(drops)), key=drops.__getitem__)
        click.echo(
            f"\nWithout one slice: the answer changes for {sum(one.left_out.changed)} of "
            f"{len(drops)} slices; the largest fall, {drops[place]:.3f}, is without model slice "
            f"{place + 1}."
        )
    if one.faithfulness is not None:
        click.echo(f"\n{one.faithfulness.sentence}")
        for name, value in _measures(one.faithfulness.as_rows()):
            click.echo(f"  {name:<46}{value}")
    if one.attention is not None or one.no_attention:
        print_attention(one.attention, one.no_attention)
    click.echo()


def _measures(rows: list[tuple[str, float]]) -> list[tuple[str, str]]:
    return [(name, "cannot be told" if value != value else f"{value:.3f}") for name, value in rows]


def _print_pairs(matrix: Matrix) -> None:
    click.echo("Slice scores of two questions: correlation, Jensen–Shannon divergence in bits")
    for pair in matrix.pairs():
        click.echo(f"  {pair.sentence}")


def _draw(collected: list[Collected], matrix: Matrix | None, plane: Plane, path: Path) -> None:
    """One question as bars, several as rows in the order of the matrix. Raises `InputError`."""
    scored = [(one.answer.prompt.question, one.answer.scores) for one in collected]
    if any(scores is None for _, scores in scored):
        raise InputError(
            f"{path.name} was not drawn: this model has no slice scores. "
            "Ask one that has, or leave --figure out."
        )
    rows = [(question, scores) for question, scores in scored if scores is not None]
    if matrix is not None:
        rows = [rows[k] for k in matrix.order]
    save_figure(score_figure(rows, plane), path)


@click.command()
@click.argument("record", type=FILE)
@click.argument("path", required=False, metavar="[VOLUME]")
@model_option
@device_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def replay(
    context: click.Context,
    record: Path,
    path: str | None,
    model: str | None,
    device: str | None,
    as_json: bool,
) -> None:
    """Run the answer in RECORD again, and say that it is equal, or what differs.

    RECORD is what `med2e3 ask --json` printed, or a record that was saved with an answer. VOLUME is
    where the images are now, --model the model, if not where they were. Exit code 1: not equal.
    """
    from med2e3.engine import load
    from med2e3.evidence.replay import read_record
    from med2e3.evidence.replay import replay as run

    held = read_record(record)
    place = path or str(held["input"].get("source", ""))
    if path is None and not Path(place).exists():
        raise InputError(
            f"The images of the record ({place or 'no place is named'}) are not there. "
            "Name where they are: med2e3 replay RECORD VOLUME."
        )
    with progress() as report:
        volume = load_volume(place, series=held["input"].get("series_uid") or None, progress=report)
        loaded = load(
            model or held["model"]["name"], device=device, dtype=held["model"].get("dtype"),
            quantize=held["model"].get("quantize") or None, progress=report,
        )  # fmt: skip
        found = run(held, loaded, volume, report)
    if as_json:
        from med2e3.evidence.values import plain

        print_json({**plain(found), "equal": found.equal, "sentence": found.sentence})
    else:
        click.echo(found.sentence)
    context.exit(0 if found.equal else 1)


COMMANDS = (evidence, replay)
