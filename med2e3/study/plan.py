"""What a study is of: questions, volumes and models, read strictly from a YAML file.

Relative paths are meant from the file's folder. Knows nothing of how a study is run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from med2e3.errors import RecipeError
from med2e3.fields import Between, Count, Key, NotNegative, OneOf, build, table_name
from med2e3.geometry import Plane
from med2e3.study.plan_file import PlanFile, read_plan_file

#: Letters that make a path a pattern.
WILDCARDS = frozenset("*?[")

DTYPES = ("float32", "bfloat16", "float16")
PLANES = tuple(str(plane) for plane in Plane)


@dataclass(frozen=True)
class PlannedModel:
    """A model as `med2e3.load` takes it; `name` is what the table calls it."""

    model: str
    name: str = ""
    device: str | None = None
    dtype: Annotated[str, OneOf(DTYPES)] | None = None
    quantize: Annotated[str, OneOf(("8bit", "4bit", "int8", "int4"))] | None = None
    device_map: Annotated[str, OneOf(("auto",))] | None = None
    hub: Path | None = None


@dataclass(frozen=True)
class PlannedVolume:
    """A place as `med2e3.load_volume` takes it; `name` is what the table calls it."""

    path: Path
    name: str = ""
    series: str | None = None
    resample_gaps: bool = False


@dataclass(frozen=True)
class PlannedQuestion:
    """A question; `name` is what figures call it."""

    question: str
    name: str = ""


@dataclass(frozen=True)
class Decoding:
    """How answers are chosen, as `Session.ask` takes it."""

    max_new_tokens: Count | None = None
    temperature: NotNegative = 0.0
    top_p: Annotated[float, Between(0, 1, above=True)] = 1.0
    seed: Annotated[int, Between(0)] | None = None


@dataclass(frozen=True)
class Plan:
    """All that decides what a study's table says.

    `threads` are those of each worker: sums in another number of threads differ in their last bits.
    """

    volumes: tuple[PlannedVolume, ...]
    questions: tuple[PlannedQuestion, ...]
    models: tuple[PlannedModel, ...] = (PlannedModel("demo", "demo"),)
    title: str = ""
    plane: Annotated[str, OneOf(PLANES)] | None = None
    window: str | None = None
    decoding: Decoding = field(default_factory=Decoding)
    threads: Count = 1

    def as_json(self) -> dict[str, Any]:
        """The plan as plain values."""
        said = asdict(self)
        for table in (*said["volumes"], *said["models"]):
            table.update({name: str(v) for name, v in table.items() if isinstance(v, Path)})
        return {name: list(v) if isinstance(v, tuple) else v for name, v in said.items()}

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> Plan:
        """Back from `as_json`."""
        return build(cls, said)


#: The key that an entry of each list is, where it is written as text alone.
SHORT = {"volumes": "path", "questions": "question", "models": "model"}


def read_plan(path: str | Path) -> Plan:
    """The plan in a YAML file, with patterns resolved.

    Raises `InputError` for a file that is no plan, and `RecipeError`, which names the line, for a
    key that is unknown, a value that does not fit, a volume, question or model that is named twice,
    and a pattern that fits nothing.
    """
    file = read_plan_file(Path(path))
    with file.naming_lines():
        values = {name: _written_out(name, value) for name, value in file.values.items()}
        plan = build(Plan, values)
        for name in SHORT:
            if not getattr(plan, name):
                raise RecipeError(f"“{name}” has no entry; a study needs at least one.", (name,))
        _check_sampling(plan)
        return replace(
            plan,
            volumes=_volumes(plan.volumes, file),
            questions=_questions(plan.questions, file),
            models=_models(plan.models, file),
        )


def _written_out(name: str, value: Any) -> Any:
    """Entries that are text alone as tables, so that both forms are read alike."""
    if name not in SHORT or not isinstance(value, list):
        return value
    return [{SHORT[name]: entry} if isinstance(entry, str) else entry for entry in value]


def _check_sampling(plan: Plan) -> None:
    if plan.decoding.temperature > 0 and plan.decoding.seed is None:
        raise RecipeError(
            f"temperature = {plan.decoding.temperature:g} draws the answers, so the decoding needs "
            "a seed; without one nobody could repeat the table.",
            ("decoding", "temperature"),
        )


def _models(models: Sequence[PlannedModel], file: PlanFile) -> tuple[PlannedModel, ...]:
    named = [replace(m, name=m.name or m.model, model=_place(m, file)) for m in models]
    _refuse_twice("models", [m.name for m in named], file)
    return tuple(named)


def _place(model: PlannedModel, file: PlanFile) -> str:
    """The model's folder, where it is one from the plan's folder; else its name as it is."""
    folder = file.path.parent / Path(model.model).expanduser()
    return str(folder.resolve()) if folder.is_dir() else model.model


def _questions(questions: Sequence[PlannedQuestion], file: PlanFile) -> tuple[PlannedQuestion, ...]:
    for k, each in enumerate(questions):
        if not each.question.strip():
            raise RecipeError("The question is empty.", ("questions", k, "question"))
    named = [replace(q, name=q.name or q.question) for q in questions]
    _refuse_twice("questions", [q.question.strip() for q in named], file)
    _refuse_twice("questions", [q.name for q in named], file)
    return tuple(named)


def _volumes(volumes: Sequence[PlannedVolume], file: PlanFile) -> tuple[PlannedVolume, ...]:
    found: list[PlannedVolume] = []
    entries: list[int] = []
    for k, volume in enumerate(volumes):
        here = list(_matches(volume, file.path.parent, ("volumes", k)))
        found += here
        entries += [k] * len(here)
    places = [(str(v.path), v.series or "") for v in found]
    _refuse_twice("volumes", places, file, entries)
    _refuse_twice("volumes", [v.name for v in found], file, entries)
    return tuple(found)


def _matches(volume: PlannedVolume, folder: Path, key: Key) -> Iterator[PlannedVolume]:
    """The volume itself, or one for each path that its pattern fits, in order of name."""
    path = folder / volume.path.expanduser()
    if not WILDCARDS & set(str(volume.path)) or path.exists():
        yield replace(volume, path=path.resolve(), name=volume.name or volume.path.as_posix())
        return
    start = Path(path.anchor)
    try:
        paths = sorted(start.glob(str(path.relative_to(start))))
    except (ValueError, NotImplementedError) as error:
        raise RecipeError(f"“{volume.path}” is no pattern: {error}.", (*key, "path")) from error
    paths = [p for p in paths if not p.name.startswith(".")]
    if not paths:
        raise RecipeError(f"Nothing fits “{volume.path}” from {folder}.", (*key, "path"))
    if volume.name:
        raise RecipeError(
            f"“{volume.path}” can fit many volumes, so they cannot all be called “{volume.name}”.",
            (*key, "name"),
        )
    for each in paths:
        name = each.relative_to(folder) if each.is_relative_to(folder) else each
        yield replace(volume, path=each.resolve(), name=name.as_posix())


def _refuse_twice(
    name: str, values: Sequence[Any], file: PlanFile, entries: Sequence[int] | None = None
) -> None:
    """Raises `RecipeError` at the second of two equal values; it names the line of the first."""
    first: dict[Any, int] = {}
    for k, value in enumerate(values):
        entry = entries[k] if entries else k
        if value in first:
            shown = value[0] if isinstance(value, tuple) else value
            before = file.lines.get((name, first[value]))
            raise RecipeError(
                f"“{shown}” is given twice: {table_name((name, entry))} repeats line {before}. "
                "Leave one of them out, or tell them apart.",
                (name, entry),
            )
        first[value] = entry
