"""Results of evidence as plain values: to JSON and back, checked by the types of their fields."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from med2e3.errors import InputError

T = TypeVar("T")


def to_json(value: Any) -> str:
    """A dataclass of plain values as one JSON object; a number that is none becomes null."""
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """Dicts, lists, texts and finite numbers of a dataclass, for JSON; NaN becomes None."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def from_json(kind: type[T], text: str) -> T:
    """The dataclass that `to_json` wrote. Raises `InputError` for other text."""
    try:
        built: T = _built(kind, json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"This is no {kind.__name__} as this program writes it ({error}). "
            "Write it again with this version."
        ) from error
    return built


def _built(kind: Any, said: Any) -> Any:
    origin = get_origin(kind)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        known = {field.name for field in fields(kind)}
        unknown = set(said) - known
        if unknown:
            raise ValueError(f"unknown field {sorted(unknown)[0]!r}")
        return kind(**{name: _built(hints[name], value) for name, value in said.items()})  # type: ignore[operator]
    if origin is tuple:
        inner = get_args(kind)
        if len(inner) == 2 and inner[1] is Ellipsis:
            return tuple(_built(inner[0], value) for value in said)
        return tuple(_built(one, value) for one, value in zip(inner, said, strict=True))
    if origin is dict:
        return {k: _built(get_args(kind)[1], v) for k, v in said.items()}
    if origin is UnionType:
        if said is None:
            return None
        return _built(next(one for one in get_args(kind) if one is not type(None)), said)
    if kind is float:
        return math.nan if said is None else float(said)
    return said
