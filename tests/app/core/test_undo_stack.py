"""Steps in their order: back, again, merged, cut off, and kept beyond their subject."""

from __future__ import annotations

import pytest

from app.viewmodels.core.undo import MOST_STEPS, Step, UndoStack


class Notebook:
    """A value that changes by named steps."""

    def __init__(self, stack: UndoStack, value: str = "a", lasts_with: str = "") -> None:
        self.stack = stack
        self.value = value
        self.lasts_with = lasts_with

    def write(self, value: str, key: object = None) -> None:
        before = self.value
        self._set(value)
        undo, redo = (lambda: self._set(before)), (lambda: self._set(value))
        self.stack.push(Step(f"to {value}", undo, redo, key, self.lasts_with))

    def _set(self, value: str) -> None:
        self.value = value


@pytest.fixture
def stack() -> UndoStack:
    stack = UndoStack()
    stack.enter("first")
    return stack


def names(stack: UndoStack) -> tuple[str, str]:
    return stack.undo_name, stack.redo_name


def test_steps_are_taken_back_and_done_again_in_order(stack: UndoStack) -> None:
    notebook = Notebook(stack)
    notebook.write("b")
    notebook.write("c")
    stack.undo()
    assert (notebook.value, *names(stack)) == ("b", "to b", "to c")
    stack.undo()
    stack.undo()
    assert (notebook.value, *names(stack)) == ("a", "", "to b")
    for _ in range(3):
        stack.redo()
    assert (notebook.value, *names(stack)) == ("c", "to c", "")


def test_a_new_step_ends_what_could_be_done_again(stack: UndoStack) -> None:
    notebook = Notebook(stack)
    notebook.write("b")
    stack.undo()
    notebook.write("c")
    assert names(stack) == ("to c", "")


def test_steps_in_a_row_with_one_key_are_one(stack: UndoStack) -> None:
    notebook = Notebook(stack)
    for value in "bcd":
        notebook.write(value, "slider")
    notebook.write("e", "another")
    stack.undo()
    assert notebook.value == "d"
    stack.undo()
    assert notebook.value == "a"
    stack.redo()
    assert notebook.value == "d"


def test_what_follows_from_going_back_is_no_step(stack: UndoStack) -> None:
    notebook = Notebook(stack)
    stack.push(Step("both", lambda: notebook.write("b"), lambda: notebook.write("c")))
    stack.undo()
    assert (notebook.value, *names(stack)) == ("b", "", "both")


def test_only_so_many_steps_are_kept(stack: UndoStack) -> None:
    notebook = Notebook(stack, "0")
    for k in range(MOST_STEPS + 5):
        notebook.write(str(k + 1))
    for _ in range(MOST_STEPS + 5):
        stack.undo()
    assert notebook.value == "5"


def test_another_subject_begins_anew_and_steps_that_last_come_back(stack: UndoStack) -> None:
    window, drawing = Notebook(stack), Notebook(stack, lasts_with="series")
    drawing.write("b")
    window.write("w")
    drawing.write("c")
    stack.undo()
    stack.enter("second")
    assert names(stack) == ("", "")
    stack.resume("series of the second")
    Notebook(stack).write("x")
    stack.enter("third")
    stack.resume("series")
    assert names(stack) == ("to b", "to c")
    stack.redo()
    stack.undo()
    stack.undo()
    assert (drawing.value, window.value) == ("a", "w")


def test_steps_that_come_back_lie_before_those_done_since(stack: UndoStack) -> None:
    drawing = Notebook(stack, lasts_with="series")
    drawing.write("b")
    drawing.write("c")
    stack.undo()
    stack.enter("again")
    window = Notebook(stack)
    window.write("w")
    stack.resume("series")
    assert names(stack) == ("to w", "")
    stack.undo()
    stack.undo()
    assert (drawing.value, window.value) == ("a", "a")


def test_while_another_subject_opens_nothing_is_done_and_nothing_is_lost(stack: UndoStack) -> None:
    notebook = Notebook(stack)
    notebook.write("b")
    stack.enter("on its way", opening=True)
    Notebook(stack).write("x")
    stack.undo()
    assert (notebook.value, *names(stack)) == ("b", "", "")
    stack.enter("first")
    assert names(stack) == ("to b", "")
