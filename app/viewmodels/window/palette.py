"""The command palette: every command found by a few letters, the recently used ones first."""

from __future__ import annotations

from dataclasses import dataclass

from app.viewmodels.window.availability import why_not
from app.viewmodels.window.commands import ALSO, COMMANDS, Command
from app.viewmodels.window.fuzzy import match
from app.viewmodels.window.workspace import Workspace

#: Added to the score of the command used last, less for earlier ones: it decides between commands
#: that fit about as well, and never against one that fits better by two letters.
RECENT_BONUS = 6.0

#: The least worth of each letter: letters strewn over a title say nothing of it.
FLOOR = 2.0

#: The worth of each letter of another word for the command: as much as the start of a title's word
#: and its neighbours.
ALIAS = 4.5

#: Of the score of the command that fits best: less is letters strewn over another one's words.
WORTH_SHOWING = 0.7


@dataclass(frozen=True)
class Entry:
    """A command in the list; `reason` says why it cannot be run now, or is empty."""

    command: Command
    keys: tuple[str, ...]
    reason: str


class Palette:
    """The search behind the palette."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def find(self, letters: str) -> list[Entry]:
        """Commands whose title or group fits, the best first; all of them for no letters."""
        recent = self._workspace.settings.values.recent_commands
        ranked = []
        for order, command in enumerate(COMMANDS):
            fit = _score(letters, command)
            if fit is not None:
                score = fit
                if command.name in recent:
                    score += RECENT_BONUS * (1 - recent.index(command.name) / len(recent))
                ranked.append((-score, order, fit, command))
        least = max((fit for _, _, fit, _ in ranked), default=0.0) * WORTH_SHOWING
        fitting = sorted((r for r in ranked if r[2] >= least), key=lambda r: r[:2])
        return [self._entry(command) for *_, command in fitting]

    def used(self, name: str) -> None:
        """Offer this command first from now on."""
        self._workspace.settings.remember_command(name)

    def _entry(self, command: Command) -> Entry:
        keys = self._workspace.shortcuts.keys(command.name)
        return Entry(command, keys, why_not(command, self._workspace))


def _score(letters: str, command: Command) -> float | None:
    if not letters.strip():
        return 0.0
    found = [match(letters, command.title), match(letters, f"{command.group} {command.title}")]
    count = len(letters.replace(" ", ""))
    scores = [m.score for m in found if m is not None and m.score >= FLOOR * count]
    said = letters.casefold().split()
    also = ALSO.get(command.name, "").split()
    if all(any(word.startswith(one) for word in also) for one in said):
        scores.append(ALIAS * count)
    return max(scores) if scores else None
