"""Finds texts by a few of their letters: "wlu" finds "Window: lung". Knows nothing of commands."""

from __future__ import annotations

from dataclasses import dataclass

#: What a letter is worth: any, one right after the last, and one at the start of a word.
ANYWHERE, NEXT, START = 1, 4, 6

#: What each letter that is skipped between two found ones costs, so that near ones win.
SKIPPED = 0.05


@dataclass(frozen=True)
class Match:
    """How well a text fits, and at which of its letters."""

    score: float
    places: tuple[int, ...]


def match(letters: str, text: str) -> Match | None:
    """The best way in which all `letters` occur in `text` in their order; None: they do not."""
    wanted, lower = letters.casefold().replace(" ", ""), text.casefold()
    #: For each place of the last letter: the best score and places so far.
    best: dict[int, Match] = {-1: Match(0.0, ())}
    for letter in wanted:
        best = {
            place: max(
                (
                    _next(last, before, place, lower)
                    for last, before in best.items()
                    if last < place
                ),
                key=lambda found: found.score,
            )
            for place, here in enumerate(lower)
            if here == letter and any(last < place for last in best)
        }
    if not best:
        return None
    found = max(best.values(), key=lambda m: m.score)
    return Match(found.score - SKIPPED * len(text) / 10, found.places)


def _next(last: int, before: Match, place: int, text: str) -> Match:
    worth = ANYWHERE
    if place == 0 or not text[place - 1].isalnum():
        worth = START
    elif place == last + 1 and last >= 0:
        worth = NEXT
    gap = SKIPPED * (place - last - 1)
    return Match(before.score + worth - gap, (*before.places, place))
