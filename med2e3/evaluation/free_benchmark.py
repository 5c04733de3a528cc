"""Questions written freely, asked about one phantom: right, wrong, refused rightly or wrongly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from med2e3.engine import Model, Session
from med2e3.evaluation.free_judge import is_right
from med2e3.phantoms import Phantom
from med2e3.phantoms.facts import Facts
from med2e3.phantoms.language.lexicon import free_questions
from med2e3.phantoms.language.refusals import is_refusal

RIGHT, WRONG, REFUSED, REFUSED_WRONGLY = "right", "wrong", "refused rightly", "refused wrongly"
VERDICTS = (RIGHT, WRONG, REFUSED, REFUSED_WRONGLY)

#: Longest answer, in tokens: a report of all sections.
TOKENS = 180


@dataclass(frozen=True)
class FreeAnswer:
    """A question, the questions before it, the answer, and how it was judged."""

    question: str
    after: tuple[str, ...]
    answer: str
    verdict: str


@dataclass(frozen=True)
class FreeResults:
    """All answers, and their verdicts counted."""

    model: str
    settings: dict[str, Any]
    answers: tuple[FreeAnswer, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many answers of each verdict."""
        found = Counter(answer.verdict for answer in self.answers)
        return {verdict: found[verdict] for verdict in VERDICTS}

    def table(self) -> str:
        """Markdown: the counts, then every question with its answer."""
        lines = [
            f"{len(self.answers)} questions written freely, about the demo study, to {self.model}",
            "",
            f"| {' | '.join(VERDICTS)} |",
            "|---" * len(VERDICTS) + "|",
            f"| {' | '.join(str(n) for n in self.counts.values())} |",
            "",
            "| question | answer | |",
            "|---|---|---|",
        ]
        for one in self.answers:
            asked = " → ".join((*one.after, one.question))
            lines.append(f"| {_cell(asked)} | {_cell(one.answer)} | {one.verdict} |")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "model": self.model,
            **self.settings,
            "counts": self.counts,
            "answers": [
                {"question": a.question, "after": list(a.after), "answer": a.answer,
                 "verdict": a.verdict}
                for a in self.answers
            ],
        }  # fmt: skip


def run(
    model: Model, phantom: Phantom, progress: Callable[[float, str], None] | None = None
) -> FreeResults:
    """Asks every question, each in a conversation of its own, and judges the answers."""
    session = model.read(phantom.volume)
    rows, answers = free_questions(), []
    for number, row in enumerate(rows, start=1):
        after = tuple(row.get("after", ()))
        answer = _ask(session, after, row["ask"])
        verdict = judge(answer, row.get("right", ""), row["refusal"], phantom.facts)
        answers.append(FreeAnswer(row["ask"], after, answer, verdict))
        if progress:
            progress(number / len(rows), f"question {number} of {len(rows)}")
    settings = {"weights_sha256": model.info.weights_sha256, "phantom": phantom.seed}
    return FreeResults(model.info.name, settings, tuple(answers))


def judge(answer: str, right: str, refusal: str, facts: Facts) -> str:
    """The verdict on an answer; `refusal` says whether to refuse is right, wrong, or either."""
    if is_refusal(answer):
        return REFUSED_WRONGLY if refusal == "wrong" else REFUSED
    return RIGHT if right and is_right(right, answer, facts) else WRONG


def _ask(session: Session, after: tuple[str, ...], question: str) -> str:
    """The answer to a question after others; a model that takes no history is asked it alone."""
    history: list[tuple[str, str]] = []
    takes = session.model.info.history_turns
    for text in (*(after if takes else ()), question):
        answer = session.ask(text, history=history[-takes:] if takes else (), max_new_tokens=TOKENS)
        answer.complete()
        history.append((text, answer.text))
    return history[-1][1]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
