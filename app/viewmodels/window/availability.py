"""Whether a command can be run now, and if not, why. Knows no keys and no widgets."""

from __future__ import annotations

from collections.abc import Callable

from app.viewmodels.window.commands import Command, Need
from app.viewmodels.window.workspace import Workspace

#: For each need: what is missing, in words, or an empty string.
WHY_NOT: dict[Need, Callable[[Workspace], str]] = {
    Need.NOTHING: lambda workspace: "",
    Need.VOLUME: lambda workspace: _no_volume(workspace),
    Need.ONE_VOLUME: lambda workspace: _no_volume(workspace) or _two_volumes(workspace),
    Need.COMPARISON: lambda workspace: (
        "" if workspace.side_by_side.active else "nothing is compared"
    ),
    Need.TURNED: lambda workspace: "" if workspace.viewer.is_turned else "no plane is turned",
    Need.QUESTION: lambda workspace: _no_question(workspace),
    Need.UNDO: lambda workspace: "" if workspace.steps.undo_name else "nothing to undo",
    Need.REDO: lambda workspace: "" if workspace.steps.redo_name else "nothing to redo",
    Need.SELECTION: lambda workspace: (
        "" if workspace.books.in_hand.selected else "none is selected"
    ),
    Need.SCORES: lambda workspace: _no_scores(workspace),
}

#: For commands whose effect depends on what was done before: what they would do now.
WHAT_NOW: dict[str, Callable[[Workspace], str]] = {
    "undo": lambda workspace: workspace.steps.undo_name,
    "redo": lambda workspace: workspace.steps.redo_name,
}


def why_not(command: Command, workspace: Workspace) -> str:
    """What is missing before `command` can be run; empty where it can be."""
    return WHY_NOT[command.needs](workspace)


def what_now(command: Command, workspace: Workspace) -> str:
    """What `command` would do now, where its title does not say it; else empty."""
    act = WHAT_NOW.get(command.name)
    return act(workspace) if act is not None else ""


def _no_volume(workspace: Workspace) -> str:
    return "" if workspace.viewer.volume is not None else "no study is open"


def _two_volumes(workspace: Workspace) -> str:
    return "two volumes are compared" if workspace.side_by_side.active else ""


def _no_question(workspace: Workspace) -> str:
    assistant = workspace.assistant
    if missing := _no_volume(workspace):
        return missing
    if assistant.model is None:
        return "no model is loaded"
    if assistant.running is not None:
        return "an answer is being written"
    return "" if assistant.can_ask else "this volume cannot be asked about now"


def _no_scores(workspace: Workspace) -> str:
    shown = workspace.assistant.shown
    known = shown is not None and shown.scores is not None
    return "" if known else "no answer with scores is shown"


def _no_selection(workspace: Workspace) -> str:
    return "" if workspace.books.in_hand.selected else "none is selected"
