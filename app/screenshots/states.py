"""The states of the window that are photographed, in one table. Knows no files and no sizes."""

from __future__ import annotations

import asyncio
from functools import partial

import numpy as np
from PySide6.QtCore import QPoint, QRect
from PySide6.QtWidgets import QApplication, QToolTip, QWidget

from app.screenshots.details import DETAILS, large, small
from app.screenshots.opening import OPENING
from app.screenshots.reading import READING
from app.screenshots.stage import RENDERING, Stage, State, after, as_it_is
from app.settings import declared
from app.viewmodels.assistant.answers import Turn, TurnState
from app.viewmodels.assistant.questions import ready_questions
from app.viewmodels.core.waiting import until
from app.viewmodels.window.layouts import LARGEST, SCENE, TITLES, Custom, Kind
from app.views.assistant.assistant_panel import TALK_AND_TABS
from app.views.window.preferences_dialog import PreferencesDialog
from med2e3.geometry import Plane

#: Pages of the preferences.
PAGES = len({shown.page for shown in declared().values()})


async def _panels_hidden(stage: Stage) -> QWidget:
    for panel in stage.window.panels.values():
        panel.hide()
    return stage.window


# --- layouts -----------------------------------------------------------------------------------


async def _layout(kind: Kind, stage: Stage) -> QWidget:
    stage.workspace.layouts.choose(kind)
    return stage.window


async def _cell(name: str, stage: Stage) -> QWidget:
    stage.workspace.layouts.choose_main(name)
    stage.workspace.layouts.choose(Kind.SINGLE)
    stage.settling = RENDERING if name == SCENE else stage.settling
    return stage.window


async def _every_cell(stage: Stage) -> QWidget:
    layouts = stage.workspace.layouts
    stage.afterwards.append(partial(layouts.use_custom, layouts.custom))
    layouts.use_custom(Custom(1, 1, (Plane.AXIAL.value,)).with_size(*LARGEST))
    stage.settling = RENDERING
    return stage.window


async def _second(name: str, stage: Stage) -> QWidget:
    """A cell in the window for a second monitor."""
    layouts = stage.workspace.layouts
    layouts.detach(name)
    stage.afterwards.append(layouts.attach)
    stage.window.second.resize(stage.window.size())
    stage.settling = RENDERING if name == SCENE else stage.settling
    return stage.window.second


async def _beside_second(stage: Stage) -> QWidget:
    """What stays in the first window."""
    await _second(Plane.AXIAL.value, stage)
    return stage.window


async def _layout_dialog(stage: Stage) -> QWidget:
    layouts = stage.workspace.layouts
    stage.afterwards.append(partial(layouts.use_custom, layouts.custom))
    layouts.use_custom(Custom(2, 2, (Plane.AXIAL.value,)).with_size(2, 3))
    dialog = stage.window.tools.views.edit()
    stage.afterwards.append(dialog.reject)
    return dialog


# --- menus, tooltips, dialogs ------------------------------------------------------------------


async def _menu(name: str, stage: Stage) -> QWidget | None:
    tools = stage.window.tools
    buttons = {
        "layout": tools.views.layout,
        "slab": tools.views.slab,
        "cine": tools.views.cine,
        "measure": tools.measure,
        "colours": tools.colours,
    }
    return stage.popped(buttons[name].menu())


async def _tooltip(stage: Stage) -> QWidget | None:
    """The tooltip of a tool."""
    button = stage.window.tools.measure
    QToolTip.showText(button.mapToGlobal(QPoint(0, 30)), button.toolTip(), button, QRect(), 5000)
    stage.afterwards.append(QToolTip.hideText)
    tips = [w for w in QApplication.topLevelWidgets() if w.objectName() == "qtooltip_label"]
    return tips[-1] if tips else None


async def _palette(text: str, stage: Stage) -> QWidget:
    stage.run("palette")
    stage.window.dialogs.palette.line.setText(text)
    return stage.window


async def _preferences(page: int, stage: Stage) -> QWidget | None:
    stage.run("preferences")
    dialog = stage.window.dialogs.shown
    assert isinstance(dialog, PreferencesDialog)
    dialog.tabs.setCurrentIndex(page)
    return dialog


async def _all_corners(stage: Stage) -> QWidget:
    editor = stage.window.dialogs.editor
    for name in declared():
        if name.startswith("corner_"):
            stage.afterwards.append(partial(editor.set, name, editor.value(name)))
            editor.set(name, True)
    return stage.window


async def _shortcuts(stage: Stage) -> QWidget | None:
    stage.run("shortcuts")
    return stage.window.dialogs.shown


async def _hint(stage: Stage) -> QWidget:
    stage.workspace.settings.set("hint_dismissed", False)
    return stage.window


async def _tags(stage: Stage) -> QWidget:
    browser = stage.window.show_tags()
    stage.settling = 40
    return browser


# --- the assistant -----------------------------------------------------------------------------


def _done(stage: Stage) -> list[Turn]:
    """The whole answers about the open volume."""
    assistant = stage.workspace.assistant
    ended = (turn for turn in assistant.turns if turn.state is TurnState.DONE)
    return [turn for turn in ended if assistant.about_open_volume(turn)]


async def _answered(stage: Stage) -> QWidget | None:
    assistant = stage.workspace.assistant
    if assistant.model is None:
        return None
    done = _done(stage)
    if not done:
        for question in ready_questions(assistant.model)[:2]:
            assistant.ask(question.text, is_report=question.is_report)
            await until(assistant.turns_changed, lambda: assistant.running is None)
        done = _done(stage)
    assistant.choose(done[0])
    return stage.window


async def _tab(title: str, stage: Stage) -> QWidget | None:
    seen = await _answered(stage)
    tabs = stage.window.assistant.tabs
    titles = [tabs.tabText(k) for k in range(tabs.count())]
    tabs.setCurrentIndex(titles.index(title))
    return seen


async def _attention(stage: Stage) -> QWidget | None:
    """The attention of a word over the images, at the cell with the most of it."""
    seen = await _answered(stage)
    if seen is None:
        return None
    assistant, maps = stage.workspace.assistant, stage.workspace.word_maps
    turn = _done(stage)[-1]
    assistant.choose(turn)
    maps.toggle(turn)
    await until(maps.changed, lambda: maps.found is not None or maps.turn is None)
    stage.afterwards.append(maps.hide)
    if maps.found is not None and (place := maps.found.most(maps.word)) is not None:
        stage.workspace.viewer.move_crosshair(place.astype(np.float64))
    return seen


async def _marked(stage: Stage) -> QWidget | None:
    """Two marked slices, and how the weights lie on them."""
    seen = await _tab("Evidence", stage)
    turn = stage.workspace.assistant.shown
    if turn is None or turn.seen is None or turn.scores is None:
        return None
    for scored in turn.scores.top(2):
        place = turn.seen.centre_slice(scored.band.model_slice)
        stage.workspace.viewer.go_to_slice(turn.seen.plane, place)
        stage.run("key_image")
    tab = stage.window.assistant.evidence
    tab.verticalScrollBar().setValue(tab.marks.y() - 120)
    return seen


async def _matrix(stage: Stage) -> QWidget | None:
    """Several questions as rows over the model's slices."""
    assistant = stage.workspace.assistant
    if await _answered(stage) is None or assistant.model is None:
        return None
    known = {turn.question for turn in _done(stage)}
    for question in ready_questions(assistant.model):
        if question.text not in known and not question.is_report:
            assistant.ask(question.text)
            await until(assistant.turns_changed, lambda: assistant.running is None)
    seen = await _tab("Scores", stage)
    assistant.choose(_done(stage)[-1])
    scores = stage.window.assistant.scores
    await _high_tabs(stage)
    scores.verticalScrollBar().setValue(scores.matrix.y() - 8)
    return seen


async def _high_tabs(stage: Stage) -> None:
    """Give the tabs most of the assistant's height."""
    splitter = stage.window.assistant.splitter
    splitter.setSizes([1, 2 * sum(TALK_AND_TABS)])
    stage.afterwards.append(lambda: splitter.setSizes(TALK_AND_TABS))
    await asyncio.sleep(0.05)


async def _tested(stage: Stage) -> QWidget | None:
    """The strip beside tests of the answer, and what they found."""
    seen = await _tab("Evidence", stage)
    if seen is None:
        return None
    evidence = stage.workspace.evidence
    stage.workspace.assistant.choose(_done(stage)[-1])
    if evidence.turn is None:
        return None
    if not evidence.turn.outcomes:
        evidence.run(["leave-out", "random-bands", "mirrored"])
        await until(evidence.changed, lambda: evidence.tested is None)
    tab = stage.window.assistant.evidence
    await _high_tabs(stage)
    tab.verticalScrollBar().setValue(tab.cards[0].y() - 8)
    return seen


async def _sheet(stage: Stage) -> QWidget | None:
    seen = await _answered(stage)
    await _cell("sheet", stage)
    return seen


async def _streaming(stage: Stage) -> QWidget | None:
    """An answer while it is written."""
    assistant = stage.workspace.assistant
    if assistant.model is None:
        return None
    report = next(q for q in ready_questions(assistant.model) if q.is_report)
    turn = assistant.ask(report.text, is_report=True)
    if turn is None:
        return None
    await until(assistant.text_changed, lambda: len(turn.text) > 20)
    stage.settling = 0
    stage.afterwards.append(assistant.stop)
    return stage.window


#: Every picture by its name.
STATES: dict[str, State] = {
    "empty": State(as_it_is, needs_study=False),
    "study": State(as_it_is),
    "streaming": State(_streaming),
    "answered": State(_answered),
    "scores": State(partial(_tab, "Scores")),
    "report": State(partial(_tab, "Report")),
    "evidence": State(partial(_tab, "Evidence")),
    "attention": State(_attention),
    "matrix": State(_matrix),
    "tested": State(_tested),
    "marked": State(_marked),
    "sheet": State(_sheet),
    **{f"layout-{kind}": State(partial(_layout, kind)) for kind in Kind},
    **{f"cell-{name}": State(partial(_cell, name)) for name in TITLES},
    "every-cell": State(_every_cell),
    "second-window": State(partial(_second, Plane.AXIAL.value)),
    "second-window-3d": State(partial(_second, SCENE)),
    "beside-second-window": State(_beside_second),
    "layout-dialog": State(_layout_dialog),
    "maximised": State(partial(after, ("maximise",))),
    "inverted": State(partial(after, ("invert", "preset:lung"))),
    "cine": State(partial(after, ("cine",))),
    **READING,
    **OPENING,
    **DETAILS,
    "tags": State(_tags),
    "panels-hidden": State(_panels_hidden),
    "small": State(partial(small, as_it_is)),
    "large-text": State(partial(large, as_it_is)),
    "all-corners": State(_all_corners),
    **{
        f"menu-{n}": State(partial(_menu, n))
        for n in ("layout", "slab", "cine", "measure", "colours")
    },
    "tooltip": State(_tooltip),
    "palette": State(partial(_palette, "")),
    "palette-search": State(partial(_palette, "lung")),
    "palette-nothing": State(partial(_palette, "xqzw")),
    "palette-disabled": State(partial(_palette, "draft"), needs_study=False),
    "help": State(partial(after, ("help",))),
    "shortcuts": State(_shortcuts),
    **{f"preferences-{k}": State(partial(_preferences, k)) for k in range(PAGES)},
    "hint": State(_hint),
}
