"""How sure a model is, and tests of its answer, as `med2e3 ask` and `med2e3 evidence` print them.

Heavy imports happen inside, so that `--help` answers at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from med2e3.cli.console import progress
from med2e3.errors import CheckpointError, InputError, QuestionError

if TYPE_CHECKING:
    from med2e3.engine import Answer, Session
    from med2e3.evidence.attention import Attention
    from med2e3.evidence.interventions import Choices
    from med2e3.evidence.outcomes import Outcome

#: The tests, for `--help`; a command that runs them reads the table itself.
TESTS = (
    "leave-out", "blank-bands", "random-bands", "blank", "shuffled", "other-volume", "rewordings",
    "mirrored",
)  # fmt: skip


def _names(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> tuple[str, ...]:  # fmt: skip
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


test_option = click.option(
    "--test",
    "tests",
    metavar="NAMES",
    callback=_names,
    help=f"Tests of the answer, with commas between: {', '.join(TESTS)}; or all.",
)


def check_test_names(tests: Sequence[str]) -> None:
    """Raises `InputError` for an unknown name, before minutes of reading and loading."""
    unknown = [name for name in tests if name not in (*TESTS, "all")]
    if unknown:
        raise InputError(
            f"There is no test {', '.join(map(repr, unknown))}. "
            f"Choose of: {', '.join(TESTS)}; or all."
        )


def run_named(
    session: Session, answer: Answer, tests: Sequence[str], choices: Choices | None = None
) -> tuple[Outcome, ...]:
    """Run tests of a complete answer; "all" are those that can be run of it.

    Of all tests, rewordings are left out where there are none. Raises what `run_tests` raises.
    """
    from med2e3.evidence.interventions import Choices, applicable, run_tests
    from med2e3.evidence.rewording import rewordings_of

    chosen = choices or Choices()
    if "all" in tests:
        names = applicable(
            has_scores=session.model.info.has_scores, has_other=chosen.other is not None
        )
        has_words = chosen.rewordings or rewordings_of(answer.prompt.question)
        has_bands = session.model.info.has_scores or chosen.bands
        left = {"rewordings": has_words, "blank-bands": has_bands}
        tests = [name for name in names if left.get(name, True)]
    with progress() as report:
        return run_tests(session, answer, tests, chosen, report)


def print_sure(session: Session, answer: Answer) -> None:
    """How sure the model is, each choice, and what is known of its reliability."""
    if not answer.token_ids:
        return
    from med2e3.evidence.certainty import how_sure

    found = how_sure(session, answer)
    click.echo(f"\n{found.sentence}")
    for option in found.options:
        click.echo(f"  {option.probability:.3f}  {option.text}")


def sure_object(session: Session, answer: Answer) -> dict[str, Any]:
    """The same for JSON, as `certainty`; None for an answer without a word."""
    from med2e3.evidence.certainty import how_sure
    from med2e3.evidence.values import plain

    if not answer.token_ids:
        return {"certainty": None}
    found = how_sure(session, answer)
    return {"certainty": plain(found) | {"sentence": found.sentence}}


attention_option = click.option(
    "--attention",
    is_flag=True,
    help="Where the language model attends to while it says each word: attention, not proof.",
)


def attention_or_reason(session: Session, answer: Answer) -> tuple[Attention | None, str]:
    """The attention of the answer's words, or why it cannot be had exactly."""
    from med2e3.evidence.attention import attention_of

    try:
        return attention_of(session, answer), ""
    except (CheckpointError, QuestionError) as error:
        return None, str(error)


def attention_object(found: Attention | None, why_not: str) -> dict[str, Any]:
    """The same for JSON."""
    return {"why_not": why_not} if found is None else found.as_dict()


def print_attention(found: Attention | None, why_not: str) -> None:
    """For each word how much goes to slices and volume, and to which place the most."""
    if found is None:
        click.echo(f"\nNo attention is shown. {why_not}")
        return
    click.echo("\nAttention of each word, not proof: share to 2D and 3D tokens, and the most at")
    for k, word in enumerate(found.words):
        shares = [f"{100 * share:5.1f} %" for share in found.shares(k)]
        place = found.most(k)
        where = "" if place is None else f"  ({', '.join(f'{x:.0f}' for x in place)}) mm"
        click.echo(f"  {word:<16}{'  '.join(shares)}{where}")


def outcome_object(outcome: Outcome) -> dict[str, Any]:
    """What a test found, for JSON."""
    from med2e3.evidence.values import plain

    return {**plain(outcome), "sentence": outcome.sentence, "same": outcome.same}


def print_outcomes(outcomes: Sequence[Outcome]) -> None:
    """Each test in a sentence, with changed words marked where the answer changed."""
    from med2e3.evidence.answer_words import marked_text

    click.echo("\nTests of the answer:")
    for outcome in outcomes:
        click.echo(f"  {outcome.test}: {outcome.sentence}")
        if not outcome.same and not outcome.draws:
            click.echo(f"    {marked_text(outcome.parts)}")
