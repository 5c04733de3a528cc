"""Questions about findings in words of people's own: presence, place, size, number.

Answers are short and always of the same few forms. Knows nothing of conversations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from med2e3.phantoms.facts import Fact, Facts, where
from med2e3.phantoms.findings import KINDS
from med2e3.phantoms.language.refusals import refusal
from med2e3.phantoms.language.strange import strange_name
from med2e3.phantoms.language.voice import Voice
from med2e3.phantoms.questions import NOT_SEEN, Question

NUMBERS = ("None", "One", "Two", "Three", "Four", "Five", "Six")

#: Short for the lobes of the lung.
LOBES_IN_SHORT = {
    "right upper lobe": "RUL", "right lower lobe": "RLL",
    "left upper lobe": "LUL", "left lower lobe": "LLL",
}  # fmt: skip

#: How often a question of presence is about what is there.
THERE = 0.5


def choose(facts: Facts, voice: Voice, *, there: float = THERE, sided: bool = False) -> str:
    """A kind to ask about: there, or possible in the region, or now and then of the other one.

    `sided` keeps to kinds with several places in the region.
    """
    kinds = [k for k in KINDS if facts.region in KINDS[k].places]
    if sided:
        kinds = [k for k in kinds if len(KINDS[k].places[facts.region]) > 1]
    seen = [k for k in kinds if k in facts.names]
    if seen and voice.chance(there):
        return voice.pick(seen)
    if not sided and voice.chance(0.1):
        kinds = list(KINDS)
    return voice.pick([k for k in kinds if k not in facts.names] or kinds)


def about(facts: Facts, *names: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fields `asked` and `about` of a question about these kinds."""
    return names, tuple(n for n in names if n in facts.names)


def yes_no(fact: Fact | None) -> str:
    """The answer to whether a finding is there."""
    return f"Yes, {where(fact.place)}." if fact else "No."


def wording(facts: Facts, voice: Voice) -> Question:
    """Whether a finding is there: asked, asked as absent, at a place, or several at once."""
    draw = voice.rng.random()
    if draw < 0.52:
        return presence(facts, voice, choose(facts, voice))
    if draw < 0.66:
        return absence(facts, voice)
    return at_place(facts, voice) if draw < 0.83 else several(facts, voice)


def presence(facts: Facts, voice: Voice, name: str) -> Question:
    """Whether there is a finding of this kind."""
    clauses = voice.words.clauses[name]
    if clauses and voice.chance(0.3):
        subject, complement = voice.pick(clauses)
        text = voice.say("clause", s=subject, c=complement)
    else:
        said = voice.term(name)
        text = voice.say("presence", a=said.with_article, n=said.bare, p=said.plural)
    answer = yes_no(facts.named(name))
    return Question("wording", voice.type(text), answer, (), *about(facts, name))


def absence(facts: Facts, voice: Voice) -> Question:
    """Whether it is not there; the answer is clear without the question."""
    name = choose(facts, voice)
    said, fact = voice.term(name), facts.named(name)
    text = voice.type(voice.say("absence", n=said.bare, p=said.plural))
    answer = f"Seen, {where(fact.place)}." if fact else "None seen."
    return Question("wording", text, answer, (), *about(facts, name))


def at_place(facts: Facts, voice: Voice) -> Question:
    """Whether it is at a place that the question says."""
    name = choose(facts, voice, there=0.75, sided=True)
    fact, said = facts.named(name), voice.sided_term(name)
    phrases = list(place_phrases(facts, name))
    right = [one for one in phrases if fact and fact.place in one[1]]
    phrase, places = voice.pick(right if right and voice.chance(0.55) else phrases)
    slots = {"a": said.with_article, "n": said.bare, "p": said.plural, "w": phrase}
    text = voice.type(voice.say("at", **slots))
    return Question("wording", text, at_answer(fact, places), (), *about(facts, name))


def at_answer(fact: Fact | None, places: tuple[str, ...]) -> str:
    """Whether a finding is at one of these places; where it is, where it is elsewhere."""
    if fact is None:
        return "No."
    return f"{'Yes' if fact.place in places else 'No'}, {where(fact.place)}."


def place_phrases(facts: Facts, name: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Phrases for places of this kind in the scan, and which places each of them means."""
    places = KINDS[name].places[facts.region]
    for place in places:
        sided = place in ("right side", "left side")
        yield where(place), (place, "both sides") if sided else (place,)
        if place in LOBES_IN_SHORT:
            yield f"in the {LOBES_IN_SHORT[place]}", (place,)
    for side in ("left", "right"):
        means = on_side(places, side)
        if means:
            yield f"on the {side}", means
            if KINDS[name].organ == "lung":
                yield f"in the {side} lung", means


def on_side(places: tuple[str, ...], side: str) -> tuple[str, ...]:
    """Those of the places that are on this side; none where none has a side."""
    if not any(place.startswith(side) for place in places):
        return ()
    return tuple(p for p in places if p.startswith(side) or p == "both sides")


def several(facts: Facts, voice: Voice) -> Question:
    """Two findings in one question, now and then one of them not known."""
    first = choose(facts, voice)
    second = choose(facts, voice)
    while second == first:
        second = choose(facts, voice, there=0.2)
    plural = voice.chance(0.4)
    said, answers, names = [], [], []
    for name in (first, second):
        noun = voice.term(name)
        said.append(noun.plural if plural else noun.with_article)
        answers.append(f"{name}: {yes_no(facts.named(name)).rstrip('.').lower()}")
        names.append(name)
    keep = ""
    if voice.chance(0.12):
        keep = strange_name(voice)
        at = int(voice.rng.integers(2))
        said[at], answers[at] = keep, f"{keep}: not trained"
        names.pop(at)
    text = voice.type(voice.say("several", x=said[0], y=said[1]), keep=keep, frame=False)
    if keep and not _within(text, keep):
        answers = [a.replace(f"{keep}: not", "that: not") for a in answers]
    answer = "; ".join(answers)
    return Question(
        "wording", text, f"{answer[:1].upper()}{answer[1:]}.", (), *about(facts, *names)
    )  # fmt: skip


def size(facts: Facts, voice: Voice, name: str = "") -> Question:
    """How large a finding is."""
    name = name or choose(facts, voice, there=0.85)
    text = voice.type(voice.say("size", n=voice.term(name).bare))
    return Question("size", text, size_answer(facts.named(name)), (), *about(facts, name))


def size_answer(fact: Fact | None) -> str:
    """Its size, or that it is not there."""
    return f"{fact.size_mm} mm." if fact else "Not seen."


def count(facts: Facts, voice: Voice) -> Question:
    """How many findings there are, of all kinds or of one."""
    if voice.chance(0.5):
        every = tuple(f.name for f in facts.findings)
        said = NUMBERS[len(every)] + (f": {', '.join(every)}" if every else "")
        text = voice.type(voice.say("count_all"))
        return Question("count", text, f"{said}.", (), *about(facts, *every))
    name = choose(facts, voice, there=0.6)
    text = voice.type(voice.say("count", p=voice.term(name).plural))
    fact = facts.named(name)
    number = "Two" if fact and fact.place == "both sides" else "One"
    answer = f"{number}, {where(fact.place)}." if fact else "None."
    return Question("count", text, answer, (), *about(facts, name))


def place(facts: Facts, voice: Voice) -> Question:
    """Where a finding is, or on which side."""
    if voice.chance(0.3):
        name = choose(facts, voice, there=0.85, sided=True)
        text = voice.say("side", n=voice.sided_term(name).bare)
    else:
        name = choose(facts, voice, there=0.85)
        said = voice.term(name)
        text = voice.say("location", n=said.bare, a=said.with_article)
    answer = place_answer(facts.named(name))
    return Question("place", voice.type(text), answer, (), *about(facts, name))


def place_answer(fact: Fact | None) -> str:
    """Its place, or that it is not there."""
    said = fact.place if fact else NOT_SEEN
    return f"{said[:1].upper()}{said[1:]}."


def unknown(facts: Facts, voice: Voice) -> Question:
    """A finding or organ that no phantom has, or what no scan tells: refused, by its name where the
    name stands within the question as the answer says it.
    """
    tables = voice.strange.tables["unknown"]
    draw = voice.rng.random()
    keep = ""
    if draw < 0.16:
        text = voice.pick(tables["beyond"])
    elif draw < 0.28:
        name = choose(facts, voice, there=0.7)
        text = voice.pick(tables["beyond_of"]).format(n=voice.term(name).bare)
    elif draw < 0.42:
        keep = voice.pick(tables["organs"])
        text = voice.say("unknown_organ", o=keep)
    else:
        keep = strange_name(voice)
        template = "unknown_place" if draw < 0.52 else "presence"
        article = _article(voice, keep)
        slots = {"n": keep, "p": keep, "a": article}
        text = voice.say(template, **slots)
    text = voice.type(text, keep=keep)
    return Question("unknown", text, refusal(keep if _within(text, keep) else ""))


def _within(text: str, name: str) -> bool:
    """Whether the name stands in the text behind other words, as an answer would write it.

    At the front it is written with other tokens, which the model would have to know.
    """
    return bool(name) and f" {name}" in text


def _article(voice: Voice, name: str) -> str:
    """The name as it stands after "there is"; some people put an article, some do not."""
    vowel = name[:1].lower() in "aeiou"
    return f"{'an' if vowel else 'a'} {name}" if voice.chance(0.4) else name


Maker = Callable[[Facts, Voice], Question]
