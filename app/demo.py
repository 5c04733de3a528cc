"""The demo: opens the demo study, asks the ready questions, and can photograph the window."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from app.imaging import numbers
from app.viewmodels.assistant.answers import Turn, TurnState
from app.viewmodels.assistant.assistant import ModelState
from app.viewmodels.assistant.questions import ready_questions
from app.viewmodels.core.waiting import until
from app.viewmodels.core.work import Message
from app.viewmodels.study.study import Target
from app.viewmodels.window.workspace import Workspace

if TYPE_CHECKING:
    from app.application import Application

#: Bands printed for each answer: about what a reader goes and looks at.
TOP_BANDS = 3

#: Qt's "quality" of a PNG is how little it is compressed; nothing is lost either way.
SMALLEST_PNG = 0


async def run_demo(workspace: Workspace) -> list[Turn]:
    """Open the demo study and ask every ready question, one after another; the turns."""
    return await ask_ready(workspace, Target(workspace.demo_study))


async def ask_ready(workspace: Workspace, target: Target) -> list[Turn]:
    """Open a place and ask every ready question about it, the draft report last."""
    if not await workspace.study.open(target):
        return []
    assistant = workspace.assistant
    settled = (ModelState.READY, ModelState.FAILED, ModelState.NONE)
    await until(assistant.model_changed, lambda: assistant.model_state in settled)
    turns = []
    for question in sorted(ready_questions(assistant.model), key=lambda q: q.is_report):
        turn = assistant.ask(question.text, is_report=question.is_report)
        if turn is None:
            break
        turns.append(turn)
        await until(assistant.turns_changed, lambda: assistant.running is None)
    return turns


async def take_screenshot(application: Application, options: argparse.Namespace) -> int:
    """Run the demo in the real window, save it as a PNG and print what was answered."""
    workspace, window = application.workspace, application.window
    width, height = (int(n) for n in options.size.lower().split("x"))
    workspace.settings.set("hint_dismissed", True)
    window.resize(width, height)
    window.show()
    workspace.tasks.start(
        workspace.assistant.load_model(options.model or workspace.settings.values.model)
    )
    target = Target(options.paths[0], options.series) if options.paths else None
    turns = await ask_ready(workspace, target or Target(workspace.demo_study))
    if turns:
        show_most_weighted(workspace, turns)
    saved = window.grab().save(str(options.screenshot), "PNG", SMALLEST_PNG)
    for turn in turns:
        print(describe(turn))
    for problem in _problems(workspace, saved=saved, asked=bool(turns)):
        print(problem, file=sys.stderr)
        return 1
    return 0


def show_most_weighted(workspace: Workspace, turns: list[Turn]) -> None:
    """Choose the most concentrated answer and go to the band that carries most weight."""
    scored = [turn for turn in turns if turn.scores is not None and turn.seen is not None]
    if not scored:
        return
    turn = min(scored, key=lambda t: t.scores.effective_slices if t.scores else float("inf"))
    workspace.assistant.choose(turn)
    assert turn.scores is not None
    assert turn.seen is not None
    top = turn.scores.top(1)[0].band
    workspace.viewer.go_to_slice(turn.seen.plane, turn.seen.centre_slice(top.model_slice))


def describe(turn: Turn) -> str:
    """A question, its answer and the bands that carry most weight, for a terminal."""
    lines = [f"Q  {turn.question}", f"A  {turn.text or turn.state}"]
    if turn.message is not None:
        lines.append(f"   {turn.message.sentence}")
    if turn.scores is not None and turn.seen is not None:
        axis = numbers.axis_of(turn.seen.plane)
        for scored in turn.scores.top(TOP_BANDS):
            place = numbers.mm_range(scored.band.from_mm, scored.band.to_mm)
            slices = numbers.slice_range(*scored.band.view_slices)
            lines.append(f"   {numbers.times(scored.times_uniform)} {axis} {place}, {slices}")
    return "\n".join(lines)


def _problems(workspace: Workspace, *, saved: bool, asked: bool) -> list[str]:
    """Why the demo is not what it should be; empty if it is."""
    problems = []
    if workspace.notices.message is not None:
        problems.append(_whole(workspace.notices.message))
    if workspace.assistant.model_message is not None:
        problems.append(_whole(workspace.assistant.model_message))
    if not asked:
        problems.append("No question could be asked.")
    problems += [
        f"{turn.question}: {_whole(turn.message)}"
        for turn in workspace.assistant.turns
        if turn.state is TurnState.FAILED and turn.message is not None
    ]
    if not saved:
        problems.append("The picture could not be written.")
    return problems


def _whole(message: Message) -> str:
    """A message with its details, which a terminal cannot fold away."""
    return f"{message.sentence}\n{message.details}".rstrip()
