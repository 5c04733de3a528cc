"""Formats that something can be exported in: rows of a subject's table, from which menus follow.

Knows no subjects, no files and no dialogs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

Subject = TypeVar("Subject")


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


ExportFormat: TypeAlias = TextFormat[Subject] | FilesFormat[Subject]
