"""Tests of an answer: what it becomes when slices, the volume or the question are changed.

Each test is a named row of `TESTS`. It changes one thing, and tells what the model says then and
how probable the first answer still is. Leaving slices out is two tests, for it has two meanings:
"leave-out" takes weight from their 2D features (the 3D tokens still hold them), and "blank-bands"
makes their voxels black for all of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from med2e3.engine import Answer, Session
from med2e3.engine.info import Progress
from med2e3.engine.inputs import prepare_input
from med2e3.engine.interruption import StopCheck, stop_if
from med2e3.errors import InputError, QuestionError
from med2e3.evidence.answer_words import marked, mirrored_words, word_spans
from med2e3.evidence.outcomes import Outcome, WordChange
from med2e3.evidence.probing import Probe, Repeated, grid_of, slices_of, with_grid
from med2e3.evidence.rewording import rewordings_of
from med2e3.geometry import Plane
from med2e3.volume import Volume
from med2e3.words import counted

#: How many rewordings are asked where none are given.
REWORDINGS = 3


@dataclass(frozen=True)
class Choices:
    """What the tests are to do; the defaults need nothing more than the answer.

    `bands` are the model slices to leave out; without any, the `top_k` of highest weight are. The
    control draws as many other bands `draws` times by `seed`. `other` is the volume of another
    patient, `rewordings` the question in other words; both have tests that need them.
    """

    bands: tuple[int, ...] = ()
    top_k: int = 3
    draws: int = 20
    seed: int = 0
    rewordings: tuple[str, ...] = ()
    other: Volume | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for name in ("top_k", "draws"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give a number of at least 1.")


Run = Callable[[Probe, Choices, StopCheck | None], list[Outcome]]


@dataclass(frozen=True)
class Test:
    """A test by its title, and what it needs: slice scores, another volume."""

    title: str
    run: Run
    needs_scores: bool = False
    needs_other: bool = False
    __test__ = False  # no test case of pytest


def run_tests(
    session: Session,
    answer: Answer,
    tests: Sequence[str],
    choices: Choices | None = None,
    progress: Progress | None = None,
    cancelled: StopCheck | None = None,
) -> tuple[Outcome, ...]:
    """What the named tests find, in their order; `answer` is complete and of `session`.

    Raises `InputError` for an unknown name or a test that lacks what it needs, before any is run,
    `QuestionError` where the model has no slice scores for one, and `Cancelled`.
    """
    chosen = choices or Choices()
    check_tests(tests, chosen, has_scores=session.model.info.has_scores)
    probe = Probe(session, answer)
    found: list[Outcome] = []
    for number, name in enumerate(tests):
        stop_if(cancelled)
        if progress is not None:
            progress(number / len(tests), TESTS[name].title)
        found += TESTS[name].run(probe, chosen, cancelled)
    if progress is not None:
        progress(1.0, "Tests done")
    return tuple(found)


def check_tests(tests: Sequence[str], choices: Choices, *, has_scores: bool = True) -> None:
    """Raises `InputError` or `QuestionError` where the tests cannot be run, before any work."""
    unknown = [name for name in tests if name not in TESTS]
    if unknown or not tests:
        raise InputError(
            f"There is no test {', '.join(map(repr, unknown))}. Choose of: {', '.join(TESTS)}."
            if unknown
            else f"No test was named. Choose of: {', '.join(TESTS)}."
        )
    for name in tests:
        if TESTS[name].needs_other and choices.other is None:
            raise InputError(
                f"The test {name!r} needs the volume of another patient; give one, or leave the "
                "test out."
            )
        if TESTS[name].needs_scores and not has_scores:
            raise QuestionError(
                f"The test {name!r} takes weight from slices, and this model has no slice scores. "
                "Choose blank-bands with bands of your own, or another test."
            )


def applicable(*, has_scores: bool, has_other: bool = False) -> tuple[str, ...]:
    """The tests that can be run with a model, with or without another patient's volume."""
    return tuple(
        name
        for name, test in TESTS.items()
        if (has_scores or not test.needs_scores) and (has_other or not test.needs_other)
    )


def chosen_bands(probe: Probe, choices: Choices) -> tuple[int, ...]:
    """The bands that were chosen, else those of highest weight; ascending."""
    if choices.bands:
        return tuple(sorted({int(k) for k in choices.bands}))
    order = np.argsort(-probe.weights, kind="stable")
    return tuple(sorted(int(k) for k in order[: choices.top_k]))


def _leave_out(probe: Probe, choices: Choices, cancelled: StopCheck | None) -> list[Outcome]:
    bands = chosen_bands(probe, choices)
    (repeated,) = probe.under_weights(probe.without(bands)[None], cancelled)
    again = None if _is_same(probe, repeated) else probe.ask_again(leave_out=bands)
    setting = f"without the weight of {named_bands(bands)}"
    return [_outcome(probe, "leave-out", setting, repeated, again, left_out=bands)]


def _random_bands(probe: Probe, choices: Choices, cancelled: StopCheck | None) -> list[Outcome]:
    """As many other bands as "leave-out" takes, drawn among those that it leaves."""
    taken = chosen_bands(probe, choices)
    rest = [k for k in range(len(probe.weights)) if k not in {*taken, *probe.left_out}]
    size = min(len(taken), len(rest))
    if size < 1:
        raise QuestionError(
            f"A control needs other bands than {named_bands(taken)}, and there are none. "
            "Leave fewer bands out."
        )
    rng = np.random.default_rng(choices.seed)
    drawn = [
        tuple(sorted(int(k) for k in rng.choice(rest, size, replace=False)))
        for _ in range(choices.draws)
    ]
    repeated = probe.under_weights(np.stack([probe.without(bands) for bands in drawn]), cancelled)
    changed = [k for k, one in enumerate(repeated) if not _is_same(probe, one)]
    shown = changed[0] if changed else 0
    again = probe.ask_again(leave_out=drawn[shown]) if changed else None
    words = Repeated(np.mean([one.probabilities for one in repeated], axis=0), same=not changed)
    draws = tuple(one.probability for one in repeated)
    setting = f"without the weight of {counted(size, 'random band')}, drawn {choices.draws} times,"
    outcome = _outcome(
        probe, "random-bands", setting, words, again, probability=float(np.mean(draws)),
        left_out=drawn[shown] if changed else (), seed=choices.seed, draws=draws,
        changed=len(changed),
    )  # fmt: skip
    return [outcome]


def _blank_bands(probe: Probe, choices: Choices, cancelled: StopCheck | None) -> list[Outcome]:
    bands = chosen_bands(probe, choices)
    wrong = [k for k in bands if not 0 <= k < slices_of(probe.session)]
    if wrong:
        raise QuestionError(
            f"Slices {wrong} cannot be blanked: the model's slices are "
            f"0 to {slices_of(probe.session) - 1}."
        )
    grid = grid_of(probe.session)
    grid[:, list(bands)] = 0.0
    setting = f"with the voxels of {named_bands(bands)} black"
    return [_in_grid(probe, "blank-bands", setting, grid, cancelled, left_out=bands)]


def _blank(probe: Probe, choices: Choices, cancelled: StopCheck | None) -> list[Outcome]:
    grid = grid_of(probe.session).zero_()
    return [_in_grid(probe, "blank", "of an empty volume", grid, cancelled)]


def _shuffled(probe: Probe, choices: Choices, cancelled: StopCheck | None) -> list[Outcome]:
    order = np.random.default_rng(choices.seed).permutation(slices_of(probe.session))
    grid = grid_of(probe.session)[:, order.tolist()]
    setting = "with the slices in random order"
    return [_in_grid(probe, "shuffled", setting, grid, cancelled, seed=choices.seed)]


def _mirrored(probe: Probe, choices: Choices, cancelled: StopCheck | None) -> list[Outcome]:
    """Right and left exchanged: the last axis of the grid, the first of sagittal ones."""
    axis = 1 if probe.session.input.plane is Plane.SAGITTAL else 3
    grid = grid_of(probe.session).flip(axis)
    expected = mirrored_words(probe.answer.text)
    setting = "with right and left exchanged"
    return [_in_grid(probe, "mirrored", setting, grid, cancelled, expected=expected)]


def _other_volume(probe: Probe, choices: Choices, cancelled: StopCheck | None) -> list[Outcome]:
    session = probe.session
    if choices.other is None:  # `check_tests` has refused it before
        raise InputError("The test 'other-volume' needs the volume of another patient.")
    info, given = session.model.info, session.input
    volume, prepared = prepare_input(info, choices.other, given.plane, given.window, crop=True)
    other = Session(session.model, volume, prepared)
    other.computed(cancelled=cancelled)
    setting = f"of another volume ({choices.other.name})"
    return [_in_session(probe, "other-volume", setting, other)]


def _reworded(probe: Probe, choices: Choices, cancelled: StopCheck | None) -> list[Outcome]:
    question = probe.answer.prompt.question
    texts = choices.rewordings or tuple(rewordings_of(question)[:REWORDINGS])
    if not texts:
        raise QuestionError(
            f"There are no ready rewordings of “{question}”; give some of your own "
            "(rewordings), or leave the test out."
        )
    found = []
    for text in texts:
        stop_if(cancelled)
        again = probe.ask_again(question=text)
        repeated = probe.elsewhere(probe.session, again.prompt)
        setting = f"asked as “{text}”"
        found.append(_outcome(probe, "rewordings", setting, repeated, again))
    return found


#: The tests by name. A new one is a function and a row.
TESTS: dict[str, Test] = {
    "leave-out": Test("Leave out bands: no weight", _leave_out, needs_scores=True),
    "blank-bands": Test("Leave out bands: black voxels", _blank_bands),
    "random-bands": Test("Leave out random bands (control)", _random_bands, needs_scores=True),
    "blank": Test("Blank volume", _blank),
    "shuffled": Test("Slices in random order", _shuffled),
    "other-volume": Test("Another patient's volume", _other_volume, needs_other=True),
    "rewordings": Test("The question in other words", _reworded),
    "mirrored": Test("Right and left exchanged", _mirrored),
}


def _is_same(probe: Probe, repeated: Repeated) -> bool:
    """Whether a greedy answer is certain to be the same; a drawn one has to be asked again."""
    return repeated.same and probe.answer.sampling.temperature == 0


def _in_grid(
    probe: Probe,
    test: str,
    setting: str,
    grid: Tensor,
    cancelled: StopCheck | None,
    **facts: Any,
) -> Outcome:
    """The outcome where the model is shown another grid; `facts` are more fields of it."""
    session = with_grid(probe.session, grid)
    session.computed(cancelled=cancelled)
    return _in_session(probe, test, setting, session, **facts)


def _in_session(
    probe: Probe, test: str, setting: str, session: Session, **facts: Any
) -> Outcome:  # fmt: skip
    repeated = probe.elsewhere(session)
    again = None if _is_same(probe, repeated) else probe.ask_again(session)
    return _outcome(probe, test, setting, repeated, again, **facts)


def _outcome(
    probe: Probe,
    test: str,
    setting: str,
    repeated: Repeated,
    again: Answer | None,
    **facts: Any,
) -> Outcome:
    """An outcome with its words; `again` None stands for the same answer."""
    answer = probe.answer
    after = answer.text if again is None else again.text
    decode = probe.session.model.backend.processor.decode
    first = probe.first.probabilities
    words = tuple(
        WordChange(
            text,
            float(np.prod(first[list(places)])),
            float(np.prod(repeated.probabilities[list(places)])),
        )
        for text, places in word_spans(probe.tokens, decode)
    )
    return Outcome(
        test=test,
        setting=setting,
        question=answer.prompt.question,
        before=answer.text,
        after=after,
        parts=marked(answer.text, after),
        probability_before=probe.first.probability,
        probability_after=facts.pop("probability", repeated.probability),
        words=words,
        **facts,
    )


def named_bands(bands: Sequence[int]) -> str:
    """Model slices as people count them, from 1: "model slices 4, 5 and 9"."""
    numbers = [str(k + 1) for k in bands]
    if len(numbers) < 2:
        return f"model slice {''.join(numbers)}"
    return f"model slices {', '.join(numbers[:-1])} and {numbers[-1]}"
