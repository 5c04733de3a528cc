"""Whether an answer in free words is right, by what it claims: judged by the phantom's truth.

A refusal is told by its words. Knows nothing of models.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from med2e3.evaluation.metrics import same_words
from med2e3.geometry import Plane
from med2e3.phantoms.anatomy import PHASES, Phase, Region
from med2e3.phantoms.facts import Fact, Facts, findings_in
from med2e3.phantoms.findings import KINDS
from med2e3.phantoms.language.findings import LOBES_IN_SHORT, NUMBERS, on_side
from med2e3.phantoms.language.refusals import is_refusal

#: Topics of questions that every right answer refuses.
UNKNOWN, OFFTOPIC = "unknown", "offtopic"

#: A size is right up to this share from the truth, or one step of the reports' 5 mm.
SIZE_SHARE, SIZE_STEP_MM = 0.2, 5

#: First words of answers that say that something is there, and that it is not.
YES, NO = ("yes", "seen"), ("no", "none", "not", "neither")

_PLACES = tuple(
    sorted({p for kind in KINDS.values() for p in kind.all_places}, key=len, reverse=True)
)


def polarity(answer: str) -> bool | None:
    """Whether the answer says yes or no by its first word; None where it says neither."""
    first = re.match(r"\W*(\w+)", answer.lower())
    word = first.group(1) if first else ""
    return True if word in YES else False if word in NO else None


def claims(answer: str) -> bool:
    """Whether the answer claims a finding or a place: yes, or the name of one, and no refusal."""
    if is_refusal(answer) or polarity(answer) is False:
        return False
    said = answer.lower()
    return bool(polarity(answer) or findings_in(answer) or any(p in said for p in _PLACES))


def places_in(answer: str) -> set[str]:
    """The places that the answer names, the longer ones first."""
    said, found = answer.lower(), set()
    for place in _PLACES:
        if place in said:
            found.add(place)
            said = said.replace(place, "")
    return found


def is_size(answer: str, size_mm: float) -> bool:
    """Whether the answer names a size near this one."""
    number = re.search(r"(\d+(?:\.\d+)?)\s*mm", answer)
    bound = max(SIZE_SHARE * size_mm, SIZE_STEP_MM)
    return number is not None and abs(float(number.group(1)) - size_mm) <= bound


def is_right_freely(topic: str, truth: str, answer: str) -> bool:
    """Whether an answer is right beside the one wanted: its yes or no, else its words.

    Of what is not known to refuse is right, whatever name is said. A size is right near the truth.
    """
    if topic in (UNKNOWN, OFFTOPIC) or is_refusal(truth):
        return is_refusal(answer)
    if polarity(truth) is not None:
        return _first(answer) == _first(truth)
    size = re.fullmatch(r"(\d+) mm\.", truth)
    return is_size(answer, float(size.group(1))) if size else same_words(answer, truth)


def _first(text: str) -> str:
    word = re.match(r"\W*(\w+)", text.lower())
    return word.group(1) if word else ""


def is_right(wanted: str, answer: str, facts: Facts) -> bool:
    """Whether an answer is right; `wanted` is "KIND" or "KIND: argument, argument"."""
    kind, _, rest = wanted.partition(":")
    arguments = [part.strip() for part in rest.split(",") if part.strip()]
    return JUDGES[kind](answer, facts, arguments)


def _fact_at(facts: Facts, name: str, where: str) -> Fact | None:
    """The finding of this name, if it is at the place or on the side that `where` says."""
    fact = facts.named(name)
    if fact is None or not where:
        return fact
    places = KINDS[name].places.get(facts.region, ())
    able = on_side(places, where) if where in ("left", "right") else (where,)
    return fact if fact.place in able else None


def _presence(answer: str, facts: Facts, arguments: list[str]) -> bool:
    name, where = arguments[0], arguments[1] if len(arguments) > 1 else ""
    fact, anywhere = _fact_at(facts, name, where), facts.named(name)
    said, named = polarity(answer), places_in(answer)
    if said is None and named:  # a place alone says that it is there
        said = True
    right_places = not named or (anywhere is not None and named == {anywhere.place})
    return said is (fact is not None) and right_places


def _absence(answer: str, facts: Facts, arguments: list[str]) -> bool:
    absent = _fact_at(facts, arguments[0], arguments[1] if len(arguments) > 1 else "") is None
    first = answer.strip().lower()
    said = True if first.startswith(("yes", "none")) else polarity(answer)
    if first.startswith("seen"):
        said = False
    return said is absent


def _location(answer: str, facts: Facts, arguments: list[str]) -> bool:
    fact = facts.named(arguments[0])
    if fact is None:
        return polarity(answer) is False and not places_in(answer)
    named = {LOBES_IN_SHORT.get(place, place).lower() for place in places_in(answer)}
    return named == {LOBES_IN_SHORT.get(fact.place, fact.place).lower()}


def _size(answer: str, facts: Facts, arguments: list[str]) -> bool:
    fact = facts.named(arguments[0])
    return polarity(answer) is False if fact is None else is_size(answer, fact.size_mm)


def _value(answer: str, right: str, values: tuple[str, ...]) -> bool:
    said = answer.lower()
    return {v for v in values if re.search(rf"\b{v}\b", said)} == {right}


def _contrast(answer: str, facts: Facts, arguments: list[str]) -> bool:
    given = facts.phase is not Phase.NON_CONTRAST
    named = [p for p in PHASES if p.value in answer.lower()]
    if named:
        return named == [facts.phase]
    return polarity(answer) is given


def _findings(answer: str, facts: Facts, arguments: list[str]) -> bool:
    if not facts.findings:
        return not claims(answer) and not is_refusal(answer)
    return findings_in(answer) == facts.names


def _organ(answer: str, facts: Facts, arguments: list[str]) -> bool:
    names = {f.name for f in facts.of_organ(arguments[0])}
    if names:
        return findings_in(answer) == names
    said = answer.strip().lower()
    return not claims(answer) and (polarity(answer) is False or said.startswith("normal"))


def _normal(answer: str, facts: Facts, arguments: list[str]) -> bool:
    bad = facts.of_organ(arguments[0]) if arguments else facts.findings
    return polarity(answer) is (not bad)


def _count(answer: str, facts: Facts, arguments: list[str]) -> bool:
    words = re.findall(r"\w+", answer.lower())
    count = len(facts.findings)
    named = findings_in(answer)
    right = bool(words) and words[0] in (NUMBERS[count].lower(), str(count))
    return right and (not named or named == facts.names)


def _several(answer: str, facts: Facts, arguments: list[str]) -> bool:
    said = answer.lower()
    there = [name in facts.names for name in arguments]
    parts = [re.search(rf"{name}: (yes|no)\b", said) for name in arguments]
    if all(parts):
        return [part is not None and part.group(1) == "yes" for part in parts] == there
    return polarity(answer) is all(there)


Judge = Callable[[str, Facts, list[str]], bool]

#: By the first word of what is wanted: who judges it.
JUDGES: dict[str, Judge] = {
    "presence": _presence,
    "absence": _absence,
    "location": _location,
    "size": _size,
    "phase": lambda a, f, _: _value(a, f.phase.value, tuple(p.value for p in PHASES)),
    "plane": lambda a, f, _: _value(a, f.plane.value, tuple(p.value for p in Plane)),
    "region": lambda a, f, _: _value(a, f.region.value, tuple(r.value for r in Region)),
    "contrast": _contrast,
    "findings": _findings,
    "organ": _organ,
    "normal": _normal,
    "count": _count,
    "several": _several,
}
