"""Whether the ready questions of a model are answered truly of a phantom: the buttons of the app.

A report is right where it names every finding at its place, none more, with sizes near the truth.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from med2e3.engine import Model
from med2e3.phantoms import Phantom
from med2e3.phantoms.facts import SECTIONS, Facts, where
from med2e3.phantoms.questions import NONE, NOT_SEEN

#: A size counts as right up to this share from the truth, or one step of 5 mm.
SIZE_SHARE, SIZE_STEP_MM = 0.2, 5

#: Longest answer of a button, in tokens.
TOKENS = 180


@dataclass(frozen=True)
class Button:
    """A ready question, its answer about a phantom, and what is wrong with it; "" for nothing."""

    label: str
    question: str
    answer: str
    fault: str


def ask_buttons(model: Model, phantom: Phantom) -> list[Button]:
    """Every ready question of the model, asked as the app asks it, and judged."""
    session = model.read(phantom.volume)
    buttons = model.info.questions
    replies = session.ask_many([b.text for b in buttons], max_new_tokens=TOKENS)
    return [
        Button(b.label, b.text, r.text, fault_of(b.label, r.text, phantom.facts))
        for b, r in zip(buttons, replies, strict=True)
    ]


def fault_of(label: str, answer: str, facts: Facts) -> str:
    """What is wrong with the answer of the button of this label; "" for nothing."""
    if label not in WANTED:
        return report_fault(answer, facts)
    wanted = WANTED[label](facts)
    said = {part.strip().lower() for part in answer.strip().rstrip(".").split(",")}
    return "" if said == wanted else f"“{answer}” is not {', '.join(sorted(wanted))}"


def report_fault(answer: str, facts: Facts) -> str:
    """What is wrong with a report: a section that says another thing than the truth."""
    opening = f"{facts.plane.value} {facts.region.value} CT, {facts.phase.value} phase."
    if not answer.lower().startswith(opening.lower()):
        return f"the report does not open with “{opening}”"
    for heading, organ in SECTIONS[facts.region].items():
        found = re.search(rf"{heading}: ([^.]*)\.", answer)
        said = found.group(1) if found else ""
        parts = [] if said == "normal" else said.split("; ")
        true = {f"{f.name} {where(f.place)}": f.size_mm for f in facts.of_organ(organ)}
        claims = dict(map(_claim, parts))
        if claims.keys() != true.keys():
            return f"{heading}: “{said}” is not {', '.join(true) or 'normal'}"
        for name, size in true.items():
            if abs(claims[name] - size) > max(SIZE_SHARE * size, SIZE_STEP_MM):
                return f"{heading}: {name} is {size} mm, not {claims[name]}"
    return ""


def _claim(part: str) -> tuple[str, int]:
    """A finding with its place, and its size in mm, as a report says them."""
    name, _, size = part.rpartition(", ")
    digits = re.match(r"(\d+) mm$", size)
    return (name, int(digits.group(1))) if digits else (part, 0)


def _organs(facts: Facts) -> set[str]:
    return {o for o in SECTIONS[facts.region].values() if facts.of_organ(o)}


#: By label: what an answer must list, of the buttons that ask no report.
WANTED: dict[str, Callable[[Facts], set[str]]] = {
    "Plane": lambda facts: {facts.plane.value},
    "Phase": lambda facts: {facts.phase.value},
    "Organ": lambda facts: _organs(facts) or {NOT_SEEN},
    "Abnormality": lambda facts: set(facts.names) or {NONE},
    "Location": lambda facts: {f.place for f in facts.findings} or {NOT_SEEN},
}
