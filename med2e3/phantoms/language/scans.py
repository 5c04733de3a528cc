"""Questions about the whole scan and its organs in words of people's own, and what is none.

Knows nothing of conversations.
"""

from __future__ import annotations

from med2e3.geometry import Plane
from med2e3.phantoms.anatomy import PHASES, Phase, Region
from med2e3.phantoms.facts import SECTIONS, Fact, Facts, report, where
from med2e3.phantoms.language.findings import about
from med2e3.phantoms.language.refusals import ENGLISH, SCAN_ONLY
from med2e3.phantoms.language.voice import Voice
from med2e3.phantoms.questions import NONE, ORGAN_NAMES, Question

NOT_HERE = "Not in this scan."

#: Letters of Greek, Cyrillic, Hebrew, Arabic, Devanagari, Japanese, Chinese and Korean.
SCRIPTS = (
    (0x3B1, 0x3C9), (0x430, 0x44F), (0x5D0, 0x5EA), (0x627, 0x64A), (0x905, 0x939),
    (0x3042, 0x3094), (0x4E00, 0x9FA5), (0xAC00, 0xD7A3),
)  # fmt: skip

#: Organs that are there twice, by region; the word for one of them, and for both.
PAIRED = {Region.CHEST: ("lung", "lungs"), Region.ABDOMEN: ("kidney", "kidneys")}


def normal(facts: Facts, voice: Voice) -> Question:
    """Whether an organ, one side of it, or the whole scan is normal; or what is seen there."""
    draw = voice.rng.random()
    if draw < 0.2:
        return whole(facts, voice)
    if draw < 0.38:
        return one_side(facts, voice)
    organ = choose_organ(facts, voice)
    template = voice.pick(("normal", "normal", "abnormal", "describe"))
    return of_organ(facts, voice, organ, template)


def choose_organ(facts: Facts, voice: Voice) -> str:
    """An organ: half the time an abnormal one, seldom one of the other region."""
    here = list(SECTIONS[facts.region].values())
    bad = [o for o in here if facts.of_organ(o)]
    if bad and voice.chance(0.5):
        return voice.pick(bad)
    if voice.chance(0.1):
        return voice.pick([o for o in ORGAN_NAMES if o not in here])
    return voice.pick(here)


def of_organ(facts: Facts, voice: Voice, organ: str, template: str) -> Question:
    """An organ of the scan; `template` decides what is asked of it."""
    verb, phrase = voice.organ(organ)
    do = "do" if verb == "are" else "does"
    text = voice.type(voice.say(template, o=phrase, be=verb, do=do), frame="then" not in template)
    found = facts.of_organ(organ)
    names = tuple(f.name for f in found)
    if organ not in SECTIONS[facts.region].values():
        return Question("normal", text, NOT_HERE)
    return Question("normal", text, judged(found, template), (), *about(facts, *names))


def judged(found: tuple[Fact, ...], template: str) -> str:
    """What is said of an organ with these findings, to a question of this kind."""
    said = " and ".join(f"{f.name} {where(f.place)}" for f in found)
    if template in ("describe", "then_describe"):
        return f"{said[:1].upper()}{said[1:]}." if said else "Normal."
    good, bad = ("Yes", "No") if template == "normal" else ("No", "Yes")
    return f"{bad}, {said}." if said else f"{good}."


def one_side(facts: Facts, voice: Voice) -> Question:
    """One of two organs, or which of them has something."""
    one, both = PAIRED[facts.region]
    found = facts.of_organ(one)
    if voice.chance(0.5):
        side = voice.pick(("left", "right"))
        here = tuple(f for f in found if f.place.startswith(side))
        names = tuple(f.name for f in here)
        text = voice.type(voice.say("side_normal", s=side, o=one))
        return Question("normal", text, judged(here, "normal"), (), *about(facts, *names))
    sides = [s for s in ("Left", "Right") if any(f.place.startswith(s.lower()) for f in found)]
    answer = "Neither." if not sides else "Both." if len(sides) == 2 else f"{sides[0]} {one}."
    text = voice.type(voice.say("which_side", o=one, p=both))
    return Question("normal", text, answer, (), *about(facts, *(f.name for f in found)))


def whole(facts: Facts, voice: Voice) -> Question:
    """Whether anything is abnormal."""
    template = voice.pick(("all_normal", "all_abnormal"))
    every = tuple(f.name for f in facts.findings)
    good, bad = ("Yes", "No") if template == "all_normal" else ("No", "Yes")
    answer = f"{bad}, {', '.join(every)}." if every else f"{good}."
    return Question("normal", voice.type(voice.say(template)), answer, (), *about(facts, *every))


def listing(facts: Facts, voice: Voice) -> Question:
    """What is seen, as a list or as a report."""
    every = tuple(f.name for f in facts.findings)
    if voice.chance(0.3):
        text = voice.type(voice.say("report"))
        return Question("listing", text, report(facts), (), *about(facts, *every))
    said = ", ".join(every) or NONE
    text = voice.type(voice.say("findings"))
    return Question("listing", text, f"{said[:1].upper()}{said[1:]}.", (), *about(facts, *every))


def scan(facts: Facts, voice: Voice) -> Question:
    """Plane, phase, contrast and region."""
    kind = voice.pick(("plane", "phase", "contrast", "region"))
    if kind == "contrast":
        plain = facts.phase is Phase.NON_CONTRAST
        answer = "No." if plain else f"Yes, {facts.phase.value}."
        return Question("scan", voice.type(voice.say("contrast")), answer)
    truth = {"plane": facts.plane, "phase": facts.phase, "region": facts.region}[kind].value
    if voice.chance(0.5):
        return Question("scan", voice.type(voice.say(kind)), f"{truth.capitalize()}.")
    values: dict[str, tuple[str, ...]] = {
        "plane": tuple(p.value for p in Plane),
        "phase": tuple(p.value for p in PHASES),
        "region": tuple(r.value for r in Region),
    }
    asked = truth if voice.chance(0.5) else voice.pick([v for v in values[kind] if v != truth])
    article = "an" if asked[0] in "aeiou" else "a"
    text = voice.type(voice.say(f"is_{kind}", v=asked, a=article))
    return Question("scan", text, "Yes." if asked == truth else f"No, {truth}.")


def offtopic(facts: Facts, voice: Voice) -> Question:
    """Greetings, what is not about the scan, other languages, no words at all."""
    tables = voice.strange.tables["smalltalk"]
    draw = voice.rng.random()
    if draw < 0.3:
        return Question("offtopic", voice.type(_foreign(voice), frame=False), ENGLISH)
    if draw < 0.33:
        return Question("offtopic", _other_script(voice), ENGLISH)
    if draw < 0.6:
        text = voice.pick(tables["about"])
    elif draw < 0.9:
        text = voice.pick(tables["asks"]).format(t=voice.pick(tables["things"]))
    else:
        text = _noise(voice)
    return Question("offtopic", voice.type(text, frame=False), SCAN_ONLY)


def _foreign(voice: Voice) -> str:
    tables = voice.strange.tables["smalltalk"]
    text = voice.pick(tables["foreign"])
    tongue = voice.pick(("spanish", "german", "french"))
    if tongue in tables and voice.chance(0.7):
        text = voice.pick(tables[tongue]).format(t=voice.pick(tables[f"{tongue}_things"]))
    return f"¿{text}" if voice.chance(0.1) and text.endswith("?") else text


def _other_script(voice: Voice) -> str:
    """Letters of a script that is not Latin; what they say does not matter."""
    first, last = voice.pick(SCRIPTS)
    size = int(voice.rng.integers(3, 16))
    said = "".join(chr(int(voice.rng.integers(first, last))) for _ in range(size))
    return f"{said[: size // 2]} {said[size // 2 :]}?" if voice.chance(0.5) else said


def _noise(voice: Voice) -> str:
    """Letters, digits and marks that are no words."""
    letters = "abcdefghijklmnopqrstuvwxyz" + "0123456789" * int(voice.chance(0.3)) + ".?! "
    size = int(voice.rng.integers(2, 14))
    return "".join(voice.pick(letters) for _ in range(size)).strip() or "?"
