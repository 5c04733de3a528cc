"""Files that other files name, and files that cannot be opened.

A file that another one names is followed within the folder of that one, no further: a header from
somebody else must not choose which file of this computer is read. Knows no formats.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

from med2e3.errors import ImageReadError


def referenced(header: Path, field: str, parts: Sequence[str]) -> Path:
    """The file that `field` of the file `header` names by `parts`, relative to its folder.

    Raises `ImageReadError` for an absolute path, a drive, or a path with "..".
    """
    for part in parts:
        # Windows splits at both slashes and knows drives: what is refused there is refused here.
        path = PureWindowsPath(part)
        if path.anchor or ".." in path.parts:
            raise ImageReadError(
                f"{header} names a file outside its own folder ({field}: {'/'.join(parts)}), and "
                "such a file is not read. Put the file beside it and correct the name, or export "
                "it again."
            )
    named = _found(header.parent, parts)
    if parts and named.exists() and not named.is_file():
        raise ImageReadError(
            f"{header} names {named.name} ({field}), which is a folder, a pipe or a device, not a "
            "file. Put the file in its place."
        )
    return named


def below(folder: Path, name: str) -> Path | None:
    """The path that a list names from a folder; None where it leads out of the folder.

    A list from somebody else must not choose which file of this computer is read. Links inside the
    folder are its owner's and are followed.
    """
    path = folder / name
    top, place = (os.path.normpath(p.absolute()) for p in (folder, path))
    return path if Path(place).is_relative_to(top) else None


def not_opened(path: Path, error: OSError) -> ImageReadError:
    """The error for a file that the system does not open, or that is gone since it was found."""
    named = Path(str(error.filename or path))
    if isinstance(error, FileNotFoundError):
        return ImageReadError(
            f"{named} is not there any more: it was moved or removed since its folder was looked "
            "through. Open the folder again."
        )
    return ImageReadError(
        f"{named} cannot be opened: {error.strerror or 'the system refuses it'}. Check the path "
        "and the rights."
    )


def _found(folder: Path, parts: Sequence[str]) -> Path:
    """The file below `folder`, also where its name is written in other letters, large or small.

    Media name their files in large letters, and systems that copy them turn some into small ones.
    """
    exact = folder.joinpath(*parts)
    if not parts or exact.exists():
        return exact
    place = folder
    for part in exact.relative_to(folder).parts:
        try:
            names = {path.name for path in place.iterdir()}
        except OSError:
            return exact
        if part not in names:
            alike = sorted(name for name in names if name.casefold() == part.casefold())
            if len(alike) != 1:
                return exact
            part = alike[0]
        place = place / part
    return place
