"""`med2e3 evaluate`: measure a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from med2e3.cli.console import (
    COUNT,
    PROCESSES,
    SEED,
    Report,
    figure_option,
    print_json,
    progress,
)
from med2e3.cli.evaluating_models import (
    PHANTOMS,
    Shown,
    ablation,
    free_words,
    likeness,
    real_ct,
    run_apart,
    transfer,
    wrong_captions,
)
from med2e3.errors import InputError
from med2e3.figures import reliability_figure, save_figure
from med2e3.files import write_whole

if TYPE_CHECKING:
    from med2e3.evaluation.ct_rate_files import CtRate
    from med2e3.evaluation.figures import Results
    from med2e3.evaluation.file_asking import FileTask
    from med2e3.evaluation.m3d_files import Item
    from med2e3.evaluation.report_labels import ClinicalMetrics
    from med2e3.evaluation.texts import TextMetrics

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
OUTPUT = click.Path(dir_okay=False, path_type=Path)

#: How CT-RATE's volumes were shown.
CT_RATE_NOTE = (
    "Volumes were prepared here, as the published arrays and scripts cannot be used: HU by the "
    "metadata's slope and intercept, its spacing, axial slices, window {:g}/{:g} HU (centre/width)."
)

#: How reports were asked for: out of a file, or (True) in our own words.
PROMPT_NOTES = {
    True: "Reports were asked for in wordings of our own, drawn by the seed, which training draws "
    "from too: figures may differ from those of the published prompts, which are not part of this "
    "package. --prompts takes a file of them, --prompt a single one.",
    False: "Reports were asked for in the wordings of {}, drawn by the seed.",
}


@click.command()
@click.argument("model", default="demo")
@click.option("--phantoms", type=COUNT, help="How many phantoms.  [default: 100]")
@click.option(
    "--bodies",
    type=click.Choice(["simple", "detailed"]),
    default="simple",
    show_default=True,
    help="What bodies the phantoms have: ellipsoids, or organ shapes.",
)
@click.option("--m3d-vqa", type=FILE, help="M3D-VQA questions (CSV), closed and open.")
@click.option("--m3d-cap", type=FILE, help="M3D-Cap (JSON): reports.")
@click.option("--conversations", type=FILE, help="Med-2E3's conversations (JSON).")
@click.option("--m3d-bench", type=FOLDER, help="M3D-Bench's folder: all its tasks.")
@click.option("--ct-rate", type=FOLDER, help="CT-RATE's folder: reports and questions.")
@click.option("--rad3d", type=FOLDER, help="3D-RAD's tables; CT-RATE's volumes are --images.")
@click.option("--retrieval", type=FILE, help="M3D-Cap (JSON): MODEL is an M3D-CLIP, R@1, 5, 10.")
@click.option("--recount", type=FILE, help="Predictions that were saved earlier.")
@click.option("--ablation", type=click.Path(path_type=Path), help="Folder of a run of tables 3-5.")
@click.option(
    "--transfer",
    type=click.Choice(["all", "segmentation", "classification"]),
    help="MODEL is an encoder of train insight: fine-tune it and one from scratch.",
)
@click.option(
    "--wrong-captions",
    type=FOLDER,
    help="Folder of a run of train insight: every loss, at 0, 25 and 50 % wrong captions.",
)
@click.option("--labelled", type=COUNT, help="Labelled phantoms of --transfer.  [100]")
@click.option("--steps", type=COUNT, help="Of each ablation [300], fine-tuning [100] or loss.")
@click.option("--seeds", type=COUNT, help="Of each ablation [2] or fine-tuning [1].")
@click.option(
    "--faithfulness",
    is_flag=True,
    default=None,
    help="Do the slice scores say what answers depend on?  [20 phantoms]",
)
@click.option(
    "--free-words", is_flag=True, default=None, help="Sixty questions about the demo study, judged."
)
@click.option("--real-ct", type=FOLDER, help="Scans: is it said that answers mean nothing?")
@click.option("--likeness", type=OUTPUT, help="Write what phantoms are like to MODEL (JSON).")
@click.option("--answers", type=FILE, help="Answers that belong to --conversations (JSON).")
@click.option("--images", type=FOLDER, help="Where images lie.  [default: beside the file]")
@click.option("--split", help="Which part of M3D-Cap (test) or CT-RATE (valid).")
@click.option(
    "--window", nargs=2, type=float, help="Centre and width in HU, for CT-RATE's volumes."
)
@click.option("--clip", help="M3D-CLIP for the retrieval of --m3d-bench: a name or folder.")
@click.option("--terms", type=FILE, help="Names and descriptions of classes, in place of ours.")
@click.option("--judge", type=FOLDER, help="Folder of a language model that judges texts.")
@click.option("--radbert", type=FOLDER, help="Folder of RadBERT-CT, for labels of reports.")
@click.option(
    "--radeval", multiple=True, help="radgraph or ratescore, by radeval (extra: clinical)."
)
@click.option("--prompt", help="How reports are asked for.  [default: our wordings, by the seed]")
@click.option("--prompts", type=FILE, help="Wordings for that, one a line, in place of ours.")
@click.option("--omit-missing", is_flag=True, help="Leave out missing choices, published as “nan”.")
@click.option("--limit", type=COUNT, help="At most so many questions, by the seed.")
@click.option("--max-new-tokens", type=COUNT, help="Bound of answers about files.")
@click.option(
    "--seed",
    type=SEED,
    default=1,
    show_default=True,
    help="Seed of all that is drawn.",
)
@click.option("--workers", type=PROCESSES, default=1, help="Processes that share the work.")
@click.option("--resume", is_flag=True, help="Go on with what --predictions holds (files).")
@click.option("--predictions", type=OUTPUT, help="Write every answer there, a line of JSON each.")
@click.option("--reliability", type=OUTPUT, help="Write how right it was when how sure (JSON).")
@click.option("--sure-seed", type=SEED, help="Phantoms apart, which say when an answer is sure.")
@click.option("--sure-phantoms", type=COUNT, help="How many of them.  [default: 100]")
@click.option("--beside", type=FILE, help="What --json printed of earlier weights: beside these.")
@click.option("--card", type=OUTPUT, help="Write the tables there (Markdown).")
@figure_option("the calibration")
@click.option("--bertscore", type=FOLDER, help="Folder of roberta-large, for BERTScore.")
@click.option("--hub", metavar="DIR", help="Folder of owner/name folders with hub files.")
@click.option("--device", help="cuda, cpu, … (default: CUDA where there is one).")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "float16"]))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def evaluate(
    model: str,
    as_json: bool,
    card: Path | None,
    figure: Path | None,
    reliability: Path | None,
    **options: Any,
) -> None:
    """Measure MODEL: on phantoms that it never saw, or on files of M3D-Bench.

    With --transfer: a pretrained 3D encoder beside the same one with random weights, frozen and
    tuned, with 1, 10 and 100 % of the labels; what --predictions holds is not done again.

    With --ablation: tables 3, 4 and 5 of the paper, each variant of the demo model trained from the
    same start for the same --steps; a run that was stopped goes on where it was.

    With --reliability FILE: how often answers of each probability are right. In the model's folder
    as reliability.json, it is told with every answer.

    Figures come with their 95 % intervals, and with what chance gives where that can be said.
    """
    given = [name for name in TASKS if options[name] is not None]
    others = {"ablation", "faithfulness", "likeness", "transfer", "wrong_captions"}
    if "phantoms" in given and others & set(given):
        given.remove("phantoms")  # there it says how many are used
    if len(given) > 1:
        named = " and ".join(f"--{name.replace('_', '-')}" for name in given)
        raise click.UsageError(f"{named} are different evaluations; give one of them.")
    task = given[0] if given else "phantoms"
    _refuse_unread(task)
    with progress() as report:
        results = TASKS[task](model, options, report)
    if card is not None:
        _write(card, results.table() + "\n")
    if as_json:
        print_json(results.as_dict())
    else:
        click.echo(results.table())
    counted = cast("Results", results)  # what has neither refuses both options
    if reliability is not None:
        from med2e3.evidence.reliability import write_reliability

        said = counted.settings
        apart = (said["enough"], said["enough_on"]) if "enough" in said else None
        write_reliability(
            reliability, said["weights_sha256"], _measured_on(counted), counted.bins, apart
        )
    if figure is not None:
        save_figure(reliability_figure(counted.bins, counted.what), figure)


def _refuse_unread(task: str) -> None:
    """Raises `UsageError` when an option was given that this evaluation would not read."""
    context = click.get_current_context()
    known = READ[task] | {task, "model", "card", "as_json"}
    default = click.core.ParameterSource.DEFAULT
    unread = [
        max(one.opts, key=len)
        for one in context.command.params
        if one.name not in known and context.get_parameter_source(str(one.name)) is not default
    ]
    if unread:
        what = f"--{task.replace('_', '-')}"
        raise click.UsageError(
            f"{', '.join(unread)} would change nothing with {what}; leave it out."
        )


def _measured_on(results: Results) -> str:
    """What the reliability rests on, in words."""
    return f"{results.settings['phantoms']} phantoms, seed {results.settings['seed']}"


def _faithfulness(model: str, options: dict[str, Any], report: Report) -> Results:
    from med2e3.engine import load
    from med2e3.evaluation.faithfulness_benchmark import PHANTOMS, run

    loaded = load(model, **_loading(options))
    return run(loaded, options["phantoms"] or PHANTOMS, options["seed"], report)


def _phantoms(model: str, options: dict[str, Any], report: Report) -> Results:
    from med2e3.evaluation.beside import with_earlier
    from med2e3.evaluation.parallel import ModelChoice
    from med2e3.evaluation.phantom_benchmark import PhantomTask

    task = PhantomTask(
        options["phantoms"] or PHANTOMS, options["seed"], options["workers"],
        options["predictions"], options["bertscore"], options["bodies"],
    )  # fmt: skip
    choice = ModelChoice(model, _loading(options))
    results = run_apart(choice, task, options, report)
    return results if options["beside"] is None else with_earlier(results, options["beside"])


def _recount(model: str, options: dict[str, Any], report: Report) -> Results:
    from med2e3.evaluation import m3d_bench, phantom_benchmark
    from med2e3.evaluation.m3d_retrieval import recount_retrieval
    from med2e3.evaluation.predictions import kind_of_lines

    file = options["recount"]
    kind = kind_of_lines(file)
    if kind == "file":
        return m3d_bench.recount(file, _texts(options), _clinical(options))
    if kind == "retrieval":
        return recount_retrieval(file)
    return phantom_benchmark.recount(file, options["bertscore"])


def _m3d_vqa(model: str, options: dict[str, Any], report: Report) -> Results:
    from med2e3.evaluation.m3d_files import read_vqa

    file = options["m3d_vqa"]
    listed = read_vqa(file, _images(file, options), keep_missing=not options["omit_missing"])
    task = _task(options, f"M3D-VQA, {file.name}", listed.items)
    return _ask(model, options, report, replace(task, skipped=listed.skipped))


def _m3d_cap(model: str, options: dict[str, Any], report: Report) -> Results:
    from med2e3.evaluation.m3d_files import read_captions

    file = options["m3d_cap"]
    items = read_captions(file, _images(file, options), options["split"] or "test")
    return _ask(model, options, report, _report_task(options, f"M3D-Cap, {file.name}", items))


def _conversations(model: str, options: dict[str, Any], report: Report) -> Results:
    from med2e3.evaluation.m3d_files import read_conversations

    file = options["conversations"]
    items = read_conversations(file, _images(file, options), options["answers"])
    return _ask(model, options, report, _task(options, f"Conversations, {file.name}", items))


def _task(options: dict[str, Any], what: str, items: Sequence[Item]) -> FileTask:
    """What to ask, as the options say."""
    from med2e3.evaluation.file_asking import FileTask

    if options["resume"] and options["predictions"] is None:
        raise click.UsageError("--resume goes on with a file of answers; name it: --predictions.")
    return FileTask(
        what, items, options["seed"], options["limit"], options["predictions"],
        options["max_new_tokens"], workers=options["workers"], resume=options["resume"],
    )  # fmt: skip


def _report_task(options: dict[str, Any], what: str, items: Sequence[Item]) -> FileTask:
    """Reports, asked for as the options say; the choice is told with the results."""
    from med2e3.evaluation.file_asking import with_prompts
    from med2e3.model.requests import Requests, read_requests

    prompt, file = options["prompt"], options["prompts"]
    if prompt and file:
        raise click.UsageError("--prompt and --prompts are two ways of asking; give one of them.")
    requests = Requests((prompt,), "--prompt") if prompt else read_requests(file)
    asked = with_prompts(items, options["seed"], prompt, requests)
    note = "" if prompt else PROMPT_NOTES[file is None].format(requests.source)
    task = _task(options, what, asked)
    return replace(task, notes=(note,) if note else (), settings={"prompts": requests.about()})


def _ask(
    model: str,
    options: dict[str, Any],
    report: Report,
    task: FileTask,
    clinical: ClinicalMetrics | None = None,
) -> Results:
    """A task whose file was read before the model: its errors come at once."""
    from med2e3.evaluation.m3d_bench import run
    from med2e3.evaluation.parallel import ModelChoice

    metrics = _texts(options)
    return run(ModelChoice(model, _loading(options)), task, metrics, report, clinical)


def _m3d_bench(model: str, options: dict[str, Any], report: Report) -> Results:
    from med2e3.evaluation.bench import run_bench
    from med2e3.evaluation.m3d_bench_folder import Choices
    from med2e3.evaluation.parallel import ModelChoice
    from med2e3.model.regions import read_terms
    from med2e3.model.requests import read_requests

    folder, requests = options["m3d_bench"], read_requests(options["prompts"])
    choices = Choices(
        options["split"] or "test", options["seed"], requests, read_terms(options["terms"]),
        not options["omit_missing"],
    )  # fmt: skip
    task = _task(options, f"M3D-Bench, {folder.name}", [])
    note = PROMPT_NOTES[options["prompts"] is None].format(requests.source)
    task = replace(task, notes=(note,), settings={"prompts": requests.about()})
    choice = ModelChoice(model, _loading(options))
    clip = ModelChoice(options["clip"], _loading(options)) if options["clip"] else None
    return run_bench(choice, clip, folder, choices, task, _texts(options), report)


def _texts(options: dict[str, Any]) -> TextMetrics:
    """The metrics of texts that this computer allows, with the judge that was named."""
    from med2e3.evaluation.judge import JUDGE, Judge
    from med2e3.evaluation.texts import open_metrics

    metrics = open_metrics(options["bertscore"])
    if options["judge"] is None:
        return metrics
    from med2e3.engine.writer import LocalWriter

    writer = LocalWriter(
        options["judge"], max_new_tokens=32, device=options["device"], dtype=options["dtype"]
    )
    return replace(metrics, scorers={**metrics.scorers, JUDGE: Judge(writer)})


def _ct_rate(model: str, options: dict[str, Any], report: Report) -> Results:
    from med2e3.evaluation.ct_rate_files import read_questions, read_reports

    folder = options["ct_rate"]
    data = _open_ct_rate(folder, options)
    asked, told = read_reports(data), read_questions(data)
    task = _report_task(options, f"CT-RATE, {folder.name}", asked.items)
    task = replace(
        task, items=[*task.items, *told.items], skipped=(*asked.skipped, *told.skipped),
        notes=(*task.notes, CT_RATE_NOTE.format(*data.window)),
    )  # fmt: skip
    return _ask(model, options, report, task, _clinical(options))


def _rad3d(model: str, options: dict[str, Any], report: Report) -> Results:
    from med2e3.evaluation.ct_rate_files import open_volumes
    from med2e3.evaluation.rad3d_files import read_rad3d

    folder = options["rad3d"]
    data = open_volumes(options["images"] or folder, options["window"])
    listed = read_rad3d(folder, data)
    task = _task(options, f"3D-RAD, {folder.name}", listed.items)
    task = replace(task, skipped=listed.skipped, notes=(CT_RATE_NOTE.format(*data.window),))
    return _ask(model, options, report, task)


def _open_ct_rate(folder: Path, options: dict[str, Any]) -> CtRate:
    from med2e3.evaluation.ct_rate_files import open_ct_rate

    return open_ct_rate(folder, options["split"] or "valid", options["window"])


def _clinical(options: dict[str, Any]) -> ClinicalMetrics:
    from med2e3.evaluation.report_labels import open_clinical

    hub = options["hub"]
    return open_clinical(options["radbert"], options["radeval"], Path(hub) if hub else None)


def _retrieval(model: str, options: dict[str, Any], report: Report) -> Results:
    from med2e3.evaluation.file_asking import FileTask
    from med2e3.evaluation.m3d_files import read_captions
    from med2e3.evaluation.m3d_retrieval import run
    from med2e3.retrieval.finder import load_retriever

    file = options["retrieval"]
    items = read_captions(file, _images(file, options), options["split"] or "test")
    chosen = FileTask("", items, options["seed"], options["limit"]).chosen()
    retriever = load_retriever(model, **_loading(options))
    what = f"Retrieval, {file.name}"
    return run(retriever, chosen, what, predictions=options["predictions"], progress=report)


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path, text)
    except OSError as error:
        raise InputError(f"The tables cannot be written to {path}: {error}.") from error


def _loading(options: dict[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in LOADING}


def _images(file: Path, options: dict[str, Any]) -> Path:
    folder: Path = options["images"] or file.parent
    return folder


#: Evaluations by the option that asks for each.
TASKS: dict[str, Callable[[str, dict[str, Any], Report], Shown]] = {
    "phantoms": _phantoms,
    "m3d_vqa": _m3d_vqa,
    "m3d_cap": _m3d_cap,
    "conversations": _conversations,
    "m3d_bench": _m3d_bench,
    "ct_rate": _ct_rate,
    "rad3d": _rad3d,
    "retrieval": _retrieval,
    "recount": _recount,
    "ablation": ablation,
    "transfer": transfer,
    "wrong_captions": wrong_captions,
    "faithfulness": _faithfulness,
    "free_words": free_words,
    "likeness": likeness,
    "real_ct": real_ct,
}

#: What loads a model, and what asks it about the images of a file.
LOADING = frozenset({"hub", "device", "dtype"})
ASKING = LOADING | {
    "images", "limit", "seed", "max_new_tokens", "predictions", "bertscore", "workers", "resume",
    "judge",
}  # fmt: skip

#: What measures reports clinically.
CLINICAL = frozenset({"radbert", "radeval"})

#: The options that each evaluation reads, beside its own.
READ: dict[str, frozenset[str]] = {
    "phantoms": LOADING
    | {"seed", "workers", "predictions", "bertscore", "figure", "reliability", "bodies"}
    | {"sure_seed", "sure_phantoms", "beside"},
    "m3d_vqa": ASKING | {"omit_missing", "figure"},
    "m3d_cap": ASKING | {"split", "prompt", "prompts"},
    "conversations": ASKING | {"answers"},
    "retrieval": LOADING | {"images", "split", "limit", "seed", "predictions"},
    "recount": CLINICAL | LOADING | {"bertscore", "figure", "judge", "reliability"},
    "faithfulness": LOADING | {"phantoms", "seed"},
    "free_words": LOADING,
    "likeness": LOADING | {"phantoms", "seed"},
    "real_ct": LOADING,
    "m3d_bench": (ASKING - {"images"}) | {"split", "prompts", "clip", "terms", "omit_missing"},
    "ct_rate": ASKING | CLINICAL | {"split", "prompt", "prompts", "window"},
    "rad3d": ASKING | {"window"},
    "ablation": frozenset({"phantoms", "steps", "seeds", "workers"}),
    "transfer": frozenset({"phantoms", "labelled", "steps", "seeds", "seed", "predictions"}),
    "wrong_captions": frozenset({"phantoms", "labelled", "steps"}),
}


COMMANDS = (evaluate,)
