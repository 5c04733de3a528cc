"""Recipe files: which ship, what one says, and in which line.

Knows nothing of what the keys mean.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from med2e3.errors import InputError, RecipeError
from med2e3.fields import Key
from med2e3.io.texts import read_text

#: Where the recipes that ship lie.
FOLDER = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class RecipeFile:
    """A TOML file: its path, its text, and the values in it."""

    path: Path
    text: str
    values: dict[str, Any]

    @contextmanager
    def naming_lines(self) -> Iterator[None]:
        """A `RecipeError` of the body comes out with the file and the line of its key."""
        try:
            yield
        except RecipeError as error:
            line = line_of(self.text, error.key)
            where = f"{self.path}, line {line}" if line else f"{self.path}"
            raise RecipeError(f"{where}: {error}") from error


def read_recipe(name_or_path: str | Path) -> RecipeFile:
    """A recipe that ships, by its name, or a TOML file.

    Raises `InputError` when there is none, or it is not TOML.
    """
    path = Path(name_or_path)
    if not path.suffix:
        path = FOLDER / f"{name_or_path}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in FOLDER.glob("*.toml")))
        raise InputError(
            f"There is no recipe “{name_or_path}”. Name one that ships ({known}) or a .toml file."
        )
    try:
        text = read_text(path)
        return RecipeFile(path, text, tomllib.loads(text))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise InputError(f"{path} is not valid TOML: {error}. Correct it there.") from error


def line_of(text: str, key: Key) -> int | None:
    """The line, from 1, on which the statement of a key begins; a table's is its heading.

    tomllib tells no lines. The first lines of a file are a valid file themselves wherever a
    statement ends: the key's begins behind the last such place at which the key is not there yet.
    """
    if not key:
        return None
    lines, begin = text.split("\n"), 0
    for end in range(1, len(lines) + 1):
        try:
            values: Any = tomllib.loads("\n".join(lines[:end]))
        except tomllib.TOMLDecodeError:
            continue
        if _holds(values, key):
            return begin + 1
        begin = end
    return None


def _holds(values: Any, key: Key) -> bool:
    """Whether nested tables and lists hold this key."""
    for part in key:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True
