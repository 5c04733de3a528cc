"""Formats that something can be exported in: rows of a subject's table, from which menus follow.

Knows no subjects, no files and no dialogs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

Subject = TypeVar("Subject")

#: Makes the file of a path, on a worker; what the user is told of it, "" where it says it all.
MakeFile: TypeAlias = Callable[[Path], str]

#: What an exported file holds: text, bytes, or what takes work to make.
Content: TypeAlias = str | bytes | MakeFile


@dataclass(frozen=True)
class TextFormat(Generic[Subject]):
    """One text. `title` is its entry of the menu, `file_name` the name that the dialog suggests.

    Without a name, the text goes to the clipboard.
    """

    title: str
    write: Callable[[Subject], str]
    file_name: str = ""


@dataclass(frozen=True)
class FilesFormat(Generic[Subject]):
    """Files by their names, for a folder.

    `title` is its entry of the menu, `ask` the title of the dialog for the folder, `what` a file is
    called in the notice that counts them.
    """

    title: str
    write: Callable[[Subject], Mapping[str, bytes]]
    ask: str
    what: str


@dataclass(frozen=True)
class MadeFormat(Generic[Subject]):
    """A file that takes work to make: `write` returns what makes it, apart from the window.

    `title` is its entry of the menu, `file_name` the name that the dialog suggests, `types` are the
    kinds of file to choose from, as name filters of a dialog: the suffix decides.
    """

    title: str
    write: Callable[[Subject], MakeFile]
    file_name: str
    types: str


ExportFormat: TypeAlias = TextFormat[Subject] | FilesFormat[Subject] | MadeFormat[Subject]
