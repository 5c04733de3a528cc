"""`med2e3 ask` and `med2e3 info`: read a volume, say what was read, answer a question about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from med2e3.cli.answer_tests import (
    attention_object,
    attention_option,
    attention_or_reason,
    check_test_names,
    outcome_object,
    print_attention,
    print_outcomes,
    print_sure,
    run_named,
    sure_object,
    test_option,
)
from med2e3.cli.console import (
    COUNT,
    device_map_option,
    figure_option,
    print_json,
    progress,
    quantize_option,
    say,
    warn,
)
from med2e3.errors import InputError
from med2e3.figures import save_figure, score_figure
from med2e3.geometry import Plane
from med2e3.io import list_series, load_volume

if TYPE_CHECKING:
    from med2e3.engine import Answer
    from med2e3.volume import Volume

#: How many bands the text output lists: about what a reader will go and look at.
TOP_BANDS = 3

#: The patient axis that a plane's slices run along, and the letters of its ends.
STACK_AXIS = {Plane.AXIAL: "z", Plane.CORONAL: "y", Plane.SAGITTAL: "x"}

#: Ways to group the images of one series (`med2e3.io.series.Grouping`), the usual one first.
GROUPINGS = ("apart", "joined", "acquisitions")

_series_option = click.option(
    "--series",
    metavar="UID|NUMBER|#PLACE|PART",
    help="Which series to open, or which stack of one, as `med2e3 series` lists them.",
)
_grouping_option = click.option(
    "--grouping",
    type=click.Choice(GROUPINGS),
    default=GROUPINGS[0],
    help="“joined” puts images of one series together that differ in kernel, thickness or type; "
    "“acquisitions” splits those that lie end to end.",
)
_gaps_option = click.option(
    "--resample-gaps", is_flag=True, help="Open a series with missing slices, interpolating them."
)


@click.command()
@click.argument("path")
@_series_option
@_grouping_option
@_gaps_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(path: str, series: str | None, grouping: str, resample_gaps: bool, as_json: bool) -> None:
    """Say what PATH holds: series, shape, spacing, plane, geometry, range of values."""
    with progress() as report:
        volume = load_volume(
            path, series=series, grouping=grouping, resample_gaps=resample_gaps, progress=report
        )
    facts = describe(volume)
    if as_json:
        print_json(facts)
        return
    slices, rows, columns = facts["shape"]
    ds, dr, dc = facts["spacing_mm"]
    say(f"{volume.name}  ({volume.info.modality or 'modality not given'})")
    click.echo(f"  {slices} {facts['plane']} slices of {rows} × {columns}")
    click.echo(f"  spacing {ds:.3f} mm between slices, {dr:.3f} × {dc:.3f} mm in the slice")
    say(f"  values {facts['value_min']:g} to {facts['value_max']:g} {facts['unit']}".rstrip())
    click.echo(f"  centre at ({_position(volume.geometry.centre_mm)}) mm, LPS")
    warn(volume.warnings)


def describe(volume: Volume) -> dict[str, Any]:
    """What was read, for JSON: `shape` and `spacing_mm` are (slice, row, column), LPS affine."""
    return {
        "series": {
            key: value
            for key, value in dataclasses.asdict(volume.info).items()
            if isinstance(value, str)
        }
        | {"name": volume.name, "source": volume.source},
        "shape": list(volume.shape),
        "spacing_mm": [round(float(d), 6) for d in volume.geometry.spacing_mm],
        "plane": str(volume.geometry.plane),
        "oblique": volume.geometry.is_oblique,
        "affine_lps": volume.geometry.affine_lps.tolist(),
        "value_min": float(volume.voxels.min()),
        "value_max": float(volume.voxels.max()),
        "unit": volume.info.unit or ("HU" if volume.info.is_ct else ""),
        "warnings": list(volume.warnings),
    }


@click.command()
@click.argument("path")
@_grouping_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, one object a series.")
def series(path: str, grouping: str, as_json: bool) -> None:
    """List the series that PATH holds, and say which of them can be opened as a volume."""
    found = list_series(path, grouping=grouping)
    if as_json:
        print_json(
            [
                {
                    "number": s.info.series_number,
                    "uid": s.info.series_uid,
                    "description": s.info.series_description,
                    "modality": s.info.modality,
                    "part": s.part,
                    "split_by": s.split_by,
                    "instances": s.count,
                    "is_volume": s.is_volume,
                    "reason": s.reason,
                    "trouble": s.facts.trouble,
                }
                for s in found
            ]
        )
        return
    for place, s in enumerate(found, start=1):
        what = s.info.series_description or s.info.modality or "series"
        part = f", {s.part}" if s.part else ""
        state = f"  — {s.state}" if s.state else ""
        say(f"{place:3d}  {what}{part}  ({s.count} images)  {s.info.series_uid}{state}")


@click.command()
@click.argument("path")
@click.argument("question")
@click.option("--model", default="demo", show_default=True, metavar="NAME|DIR", help="The model.")
@click.option("--hub", metavar="DIR", help="Folder of owner/name folders with hub files.")
@_series_option
@_grouping_option
@_gaps_option
@click.option(
    "--window", metavar="NAME|VALUES", help="What the model sees: lung, bone, “W400 L40”, …"
)
@click.option("--plane", type=click.Choice([str(p) for p in Plane]), help="The stacking plane.")
@click.option("--device", help="cuda, cuda:1, cpu, … (default: CUDA where there is one).")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "float16"]))
@quantize_option
@device_map_option
@click.option("--max-new-tokens", type=COUNT, help="Bound of the answer's length.")
@click.option("--temperature", type=click.FloatRange(0), default=0.0, help="0 is greedy.")
@click.option("--seed", type=int, help="Seed of sampling; recorded with the answer.")
@click.option(
    "--keep", is_flag=True, help="Keep what the model reads in your cache: the next time is sooner."
)
@test_option
@attention_option
@figure_option("the slice scores")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
def ask(
    path: str,
    question: str,
    as_json: bool,
    figure: Path | None,
    tests: tuple[str, ...],
    **options: Any,
) -> None:
    """Answer QUESTION about the CT in PATH, streaming, and list the slices weighted most.

    With --test the answer is asked again under other conditions: `med2e3 evidence` has more of it.
    """
    from med2e3.engine import check_question, load
    from med2e3.engine.kept import KeptVolumes, default_folder

    check_question(question)  # before minutes of reading and loading
    check_test_names(tests)
    with progress() as report:
        volume = load_volume(
            path, series=options["series"], grouping=options["grouping"],
            resample_gaps=options["resample_gaps"], progress=report,
        )  # fmt: skip
        model = load(
            options["model"], device=options["device"], dtype=options["dtype"],
            quantize=options["quantize"], device_map=options["device_map"],
            hub=options["hub"], progress=report,
        )  # fmt: skip
        if options["keep"]:
            model.kept = KeptVolumes(default_folder())
        session = model.read(
            volume, plane=options["plane"], window=options["window"], progress=report
        )
    answer = session.ask(
        question, max_new_tokens=options["max_new_tokens"],
        temperature=options["temperature"], seed=options["seed"],
    )  # fmt: skip
    warn((*volume.warnings, *filter(None, (answer.said,))))
    if model.info.notice:
        click.echo(f"note: {model.info.notice}", err=True)
    warn(session.cautions)
    if as_json:
        answer.complete()
        found = answer_object(answer, model.info.name) | sure_object(session, answer)
        if tests:
            found["tests"] = [outcome_object(o) for o in run_named(session, answer, tests)]
        if options["attention"]:
            found["attention"] = attention_object(*attention_or_reason(session, answer))
        print_json(found)
    else:
        for piece in answer:
            click.echo(piece, nl=False)
        click.echo()
        print_places(answer)
        print_sure(session, answer)
        print_top_bands(answer, session.input.plane)
        if tests:
            print_outcomes(run_named(session, answer, tests))
        if options["attention"]:
            print_attention(*attention_or_reason(session, answer))
    if figure is not None:
        draw_scores(question, answer, session.input.plane, figure)
    if model.kept is not None:
        model.kept.wait()
        warn(tuple(filter(None, (model.kept.said,))))


def draw_scores(question: str, answer: Answer, plane: Plane, path: Path) -> None:
    """Write the slice scores as a figure. Raises `InputError` when the answer has none."""
    if answer.scores is None:
        raise InputError(
            f"{path.name} was not drawn: this model has no slice scores. "
            "Ask one that has, or leave --figure out."
        )
    save_figure(score_figure([(question, answer.scores)], plane), path)


def print_places(answer: Answer) -> None:
    """Boxes and masks that the answer holds, where the model gives any: LPS mm and millilitres."""
    for box in answer.boxes:
        size = " × ".join(f"{edge:.0f}" for edge in box.size_mm)
        click.echo(f"  box   {size} mm, centre at ({_position(box.centre_mm)}) mm")
    for mask in answer.masks:
        where = "" if mask.centre_mm is None else f", centre at ({_position(mask.centre_mm)}) mm"
        click.echo(f"  mask  {mask.millilitres:.1f} ml{where}")


def _position(patient_mm: Iterable[float]) -> str:
    return ", ".join(f"{x:.1f}" for x in patient_mm)


def print_top_bands(answer: Answer, plane: Plane) -> None:
    """The most weighted bands in mm and slice numbers (1-based, in display order)."""
    if answer.scores is None:
        click.echo("This model has no slice scores.")
        return
    effective = answer.scores.effective_slices
    total = len(answer.scores.values)
    click.echo(f"\nMost weighted slices ({plane}; {effective:.1f} of {total} effective):")
    for scored in answer.scores.top(TOP_BANDS):
        first, last = (n + 1 for n in scored.band.view_slices)
        click.echo(
            f"  {STACK_AXIS[plane]} {scored.band.from_mm:.1f} to {scored.band.to_mm:.1f} mm"
            f"  {_slices(first, last)}  ×{scored.times_uniform:.1f} uniform"
        )


def _slices(first: int, last: int) -> str:
    return f"slice {first}" if first == last else f"slices {first}–{last}"


def answer_object(answer: Answer, model: str) -> dict[str, Any]:
    """The answer for JSON; `source_slices` are 0-based along the volume's stacking axis."""
    scores = answer.scores
    bands = []
    if scores is not None:
        for k, band in enumerate(scores.bands):
            bands.append(
                {
                    "model_slice": band.model_slice,
                    "from_mm": band.from_mm,
                    "to_mm": band.to_mm,
                    "source_slices": list(band.source_slices),
                    "weight": float(scores.values[k]),
                    "times_uniform": float(scores.times_uniform[k]),
                }
            )
    return {
        "answer": answer.text,
        "model": model,
        "cautions": answer.record["cautions"],
        "scores": None if scores is None else [float(v) for v in scores.values],
        "bands": bands,
        "record": answer.record,
    }


COMMANDS = (ask, info, series)
