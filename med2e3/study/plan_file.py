"""A plan's YAML as plain values, and the line of every key. Knows nothing of what the keys mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from med2e3.errors import InputError, RecipeError
from med2e3.fields import Key, Wording, worded
from med2e3.study.extras import optional

#: A list of a hundred thousand volumes takes less.
LARGEST = 20_000_000

#: As sentences name a plan and its parts.
YAML = Wording("the plan", "“{key}”", "“{key}”, entry {number}")


@dataclass(frozen=True)
class PlanFile:
    """A YAML file: its path, the values in it, and the line, from 1, of each key and entry."""

    path: Path
    values: dict[str, Any]
    lines: dict[Key, int]

    @contextmanager
    def naming_lines(self) -> Iterator[None]:
        """A `RecipeError` of the body comes out with the file and the line of its key."""
        try:
            with worded(YAML):
                yield
        except RecipeError as error:
            raise RecipeError(f"{self.where(error.key)}: {error}") from error

    def where(self, key: Key) -> str:
        """The file, and the line of a key, or of the nearest key above it that has one."""
        for end in range(len(key), 0, -1):
            if line := self.lines.get(key[:end]):
                return f"{self.path}, line {line}"
        return f"{self.path}"


def read_plan_file(path: Path) -> PlanFile:
    """The file at `path`. Raises `InputError` when it is missing, too large or no YAML table."""
    yaml = optional("yaml")
    text = _text(path)
    lines: dict[Key, int] = {}
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        node = loader.get_single_node()
        values = None if node is None else _Walk(yaml, loader, path, lines).value(node, ())
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {_said(error)}. Correct it there.") from error
    except RecursionError as error:
        raise InputError(f"{path} is nested too deeply to be a plan. Write it flat.") from error
    finally:
        loader.dispose()
    if not isinstance(values, dict):
        raise InputError(
            f"{path} is no plan: it must hold the keys volumes and questions, each with a list."
        )
    return PlanFile(path, values, lines)


def _text(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"There is no plan {path}. Name a .yaml file.")
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise InputError(
                f"{path} has {size:,} bytes; a plan has at most {LARGEST:,}. Name the volumes by "
                "a pattern, as in scans/*.nii.gz."
            )
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8. Save it as UTF-8.") from error


def _said(error: Any) -> str:
    """What YAML complains of, in one line, with its place."""
    mark = getattr(error, "problem_mark", None)
    said = " ".join(str(getattr(error, "problem", None) or error).split())
    return said if mark is None else f"line {mark.line + 1}: {said}"


class _Walk:
    """Makes plain values of YAML's nodes and keeps the line of each key."""

    def __init__(self, yaml: Any, loader: Any, path: Path, lines: dict[Key, int]) -> None:
        self.yaml, self.loader, self.path, self.lines = yaml, loader, path, lines
        self.seen: set[int] = set()

    def value(self, node: Any, key: Key) -> Any:
        """The value of a node at the path `key`. Raises `InputError`."""
        if id(node) in self.seen:  # an alias stands for another node, and nested ones for millions
            raise self._refused(node, "it is used twice by an alias (*); write it out")
        self.seen.add(id(node))
        if key:
            self.lines.setdefault(key, node.start_mark.line + 1)
        if isinstance(node, self.yaml.MappingNode):
            return self._table(node, key)
        if isinstance(node, self.yaml.SequenceNode):
            return [self.value(entry, (*key, k)) for k, entry in enumerate(node.value)]
        return self.loader.construct_object(node)

    def _table(self, node: Any, key: Key) -> dict[str, Any]:
        table: dict[str, Any] = {}
        for name_node, value_node in node.value:
            name = name_node.value if isinstance(name_node, self.yaml.ScalarNode) else None
            if name is None or name_node.tag != "tag:yaml.org,2002:str":
                raise self._refused(name_node, "a key must be a word")
            if name in table:
                raise self._refused(name_node, f"“{name}” is given twice")
            self.lines[*key, name] = name_node.start_mark.line + 1
            table[name] = self.value(value_node, (*key, name))
        return table

    def _refused(self, node: Any, why: str) -> InputError:
        return InputError(f"{self.path}, line {node.start_mark.line + 1}: {why}.")
