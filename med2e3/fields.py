"""Typed fields of a recipe or plan: which values a frozen dataclass takes, and which it refuses.

The annotations of the fields decide: their types, and rules beside them (`Between`, `OneOf`). Every
refusal is a `RecipeError` that carries the path of the key. Knows nothing of files or training.
"""

from __future__ import annotations

import math
import types
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import MISSING, dataclass, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from med2e3.errors import RecipeError

T = TypeVar("T")

#: The path of a key: names of tables, numbers in lists.
Key = tuple[str | int, ...]


@dataclass(frozen=True)
class Wording:
    """How sentences name a file as a whole, a table of it by its key, and an entry of a list."""

    whole: str
    table: str
    entry: str


#: As TOML heads its tables.
TOML = Wording("the recipe", "[{key}]", "[[{key}]], entry {number}")

_wording: ContextVar[Wording] = ContextVar("wording", default=TOML)


@contextmanager
def worded(wording: Wording) -> Iterator[None]:
    """Sentences of the body name a file and its tables so."""
    token = _wording.set(wording)
    try:
        yield
    finally:
        _wording.reset(token)


@dataclass(frozen=True)
class Between:
    """A number from `low` to `high`; `above` excludes `low` itself."""

    low: float
    high: float = math.inf
    above: bool = False

    def complaint(self, value: Any) -> str:
        """What the number must be, where it is not; empty where it is."""
        if self.low <= value <= self.high and not (self.above and value == self.low):
            return ""
        if self.high < math.inf:
            return f"must lie between {self.low:g} and {self.high:g}"
        return f"must be {'more than' if self.above else 'at least'} {self.low:g}"


@dataclass(frozen=True)
class OneOf:
    """A word of a list."""

    words: Collection[str]

    def complaint(self, value: Any) -> str:
        """The words of the list, where the value is none of them; empty where it is one."""
        return "" if value in self.words else f"is not one of: {', '.join(self.words)}"


#: Types that recipes use again and again.
Count = Annotated[int, Between(1)]
CountOrNone = Annotated[int, Between(0)]
Share = Annotated[float, Between(0, 1)]
Positive = Annotated[float, Between(0, above=True)]
NotNegative = Annotated[float, Between(0)]

#: Types whose values are taken as they are, and what each is called in a sentence.
_PLAIN: dict[type, str] = {int: "a whole number", bool: "true or false", str: "text"}


def check_fields(value: Any) -> None:
    """Raises `RecipeError` for the first field of a dataclass that its annotation refuses."""
    for name, hint in _hints(type(value)).items():
        conform(getattr(value, name), hint, (name,))


def build(cls: type[T], table: Any, key: Key = (), **given: Any) -> T:
    """A dataclass from a table; what is `given` is no key of the table.

    `key` is the path of the table. Raises `RecipeError` for a key that is unknown or missing, and
    for a value that its field refuses.
    """
    if not isinstance(table, Mapping):
        raise RecipeError(f"{_written(key)} must be a table, not {_shown(table)}.", key)
    hints = {name: hint for name, hint in _hints(cls).items() if name not in given}
    for name in table:
        if name not in hints:
            raise unknown_key(name, hints, key)
    needed = [
        f.name for f in fields(cls)  # type: ignore[arg-type]
        if f.name in hints and f.default is MISSING and f.default_factory is MISSING
    ]  # fmt: skip
    if lacks := [name for name in needed if name not in table]:
        said = ", ".join(f"“{name}”" for name in lacks)
        raise RecipeError(f"{table_name(key)} lacks {said}.", key)
    values = {name: conform(value, hints[name], (*key, name)) for name, value in table.items()}
    try:
        return cls(**values, **given)
    except RecipeError as error:
        raise RecipeError(str(error), (*key, *error.key)) from error


def unknown_key(name: str, known: Collection[str], key: Key) -> RecipeError:
    """The refusal of a key that a table does not have: names the nearest one that it has."""
    near = get_close_matches(name, known, 1)
    help_ = f"Did you mean “{near[0]}”?" if near else f"It has: {', '.join(known)}."
    return RecipeError(f"“{name}” is no key of {table_name(key)}. {help_}", (*key, name))


def table_name(key: Key) -> str:
    """A table as the file writes it: "[stages.tune]", an entry of a list "[[data]], entry 1"."""
    name, wording = ".".join(part for part in key if isinstance(part, str)), _wording.get()
    if key and isinstance(key[-1], int):
        return wording.entry.format(key=name, number=key[-1] + 1)
    return wording.table.format(key=name) if key else wording.whole


def conform(value: Any, hint: Any, key: Key) -> Any:
    """The value as its annotation wants it: a list as a tuple, a whole number as a float.

    Raises `RecipeError` for another type, or what a rule refuses.
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        made = conform(value, inner[0], key)
        for rule in inner[1:]:
            if complaint := rule.complaint(made):
                raise RecipeError(f"{_written(key)} = {_shown(value)} {complaint}.", key)
        return made
    if origin in (Union, types.UnionType):
        return None if value is None else conform(value, inner[0], key)
    if origin is tuple:
        return _tuple(value, inner, key)
    if origin is dict:
        return _mapping(value, inner, key)
    if is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else build(hint, value, key)
    return _plain(value, hint, key)


def difference(kept: Any, own: Any, where: str = "") -> tuple[str, Any, Any] | None:
    """Where two nested tables differ first, and what each of them says there.

    Lists of tables are compared entry by entry, counted from 1, other lists as a whole.
    """
    kept, own = _numbered(kept), _numbered(own)
    if isinstance(kept, dict) and isinstance(own, dict):
        names = [*kept, *(name for name in own if name not in kept)]
        steps = (
            difference(kept.get(n, "not stated"), own.get(n, "not stated"), f"{where}.{n}")
            for n in names
        )
        return next((step for step in steps if step), None)
    return None if kept == own else (where.lstrip("."), kept, own)


def _numbered(value: Any) -> Any:
    """A list that holds a table as a table of its entries by number."""
    if isinstance(value, list) and any(isinstance(entry, dict) for entry in value):
        return {k + 1: entry for k, entry in enumerate(value)}
    return value


def _mapping(value: Any, inner: tuple[Any, ...], key: Key) -> dict[str, Any]:
    """A table whose keys are names: any, or those that `OneOf` allows."""
    if not isinstance(value, Mapping):
        raise _of_other_type(value, "a table", key)
    for rule in get_args(inner[0])[1:]:
        for name in value:
            if name not in rule.words:
                raise unknown_key(name, rule.words, key)
    return {name: conform(each, inner[1], (*key, name)) for name, each in value.items()}


def _plain(value: Any, hint: Any, key: Key) -> Any:
    if hint is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            raise _of_other_type(value, "a number", key)
        return float(value)
    if hint is Path:
        if not isinstance(value, str | Path):
            raise _of_other_type(value, "a path", key)
        return Path(value)
    if hint in _PLAIN and type(value) is not hint:
        raise _of_other_type(value, _PLAIN[hint], key)
    return value


def _tuple(value: Any, inner: tuple[Any, ...], key: Key) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _of_other_type(value, "a list", key)
    each = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
    if len(value) != len(each):
        raise _of_other_type(value, f"a list of {len(each)} values", key)
    return tuple(conform(v, h, (*key, k)) for k, (v, h) in enumerate(zip(value, each, strict=True)))


def _of_other_type(value: Any, wanted: str, key: Key) -> RecipeError:
    return RecipeError(f"{_written(key)} = {_shown(value)} must be {wanted}.", key)


def _written(key: Key) -> str:
    """The key as it stands in its table; an entry of a list by the list's name and its number."""
    names = [part for part in key if isinstance(part, str)]
    if key and isinstance(key[-1], int):
        return f"{names[-1]}, entry {key[-1] + 1}" if names else f"entry {key[-1] + 1}"
    return names[-1] if names else _wording.get().whole


def _shown(value: Any) -> str:
    """The value as TOML writes it; what is long by its beginning."""
    if isinstance(value, bool):
        return str(value).lower()
    said = f"“{value}”" if isinstance(value, str) else str(value)
    return said if len(said) <= 60 else f"{said[:60]}…"


def _hints(cls: Any) -> dict[str, Any]:
    """The annotations of a dataclass's fields, with their rules."""
    hints = get_type_hints(cls, include_extras=True)
    return {f.name: hints[f.name] for f in fields(cls)}
