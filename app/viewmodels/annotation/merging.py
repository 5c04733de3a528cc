"""What two windows draw on one series becomes one document: nothing that either drew is lost.

Pure values; knows nothing of files or windows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from app.viewmodels.annotation.model import Annotation, Document, KeyImage, new_uid

Entry = TypeVar("Entry", Annotation, KeyImage)


def merged(theirs: Document, before: Document, ours: Document, twins: dict[str, str]) -> Document:
    """`theirs` with everything that was changed from `before` to `ours`.

    What one window deletes while the other changes it stays. What both change stays twice: ours
    under an identifier of its own, which `twins` keeps by the old one for the next changes.
    """
    if theirs == before:
        return ours
    return Document(
        _entries(theirs.annotations, before.annotations, ours.annotations, twins),
        _entries(theirs.key_images, before.key_images, ours.key_images, twins),
    )


def _entries(
    theirs: tuple[Entry, ...],
    before: tuple[Entry, ...],
    ours: tuple[Entry, ...],
    twins: dict[str, str],
) -> tuple[Entry, ...]:
    result = {entry.uid: entry for entry in theirs}
    old, new = ({entry.uid: entry for entry in entries} for entries in (before, ours))
    for uid, entry in old.items():
        if uid not in new:
            gone = twins.get(uid, uid)
            if gone != uid or result.get(uid) == entry:
                result.pop(gone, None)
    for uid, entry in new.items():
        if old.get(uid) == entry:
            continue
        there = result.get(uid)
        if uid not in twins and there is not None and there not in (old.get(uid), entry):
            twins[uid] = new_uid()
        name = twins.get(uid, uid)
        result[name] = replace(entry, uid=name)
    return tuple(result.values())
