"""Questions about a phantom with their right answers: the five topics of M3D-VQA, and presence.

Closed questions have the published form, `{question} Choices: A. … B. … C. … D. …`, answered by
`{letter}. {text}`, with two to four choices. Every wrong one could be true for all that the words
say (other places of the same finding, other findings of the same organ, "not seen"), so that who
answers without the scan is left with chance. Knows nothing of voxels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from med2e3.geometry import Plane
from med2e3.phantoms.anatomy import PHASES, Region
from med2e3.phantoms.facts import SECTIONS, Facts, report, where
from med2e3.phantoms.findings import KINDS

Rng = np.random.Generator

#: The five topics of M3D-VQA in its order, then ours.
TOPICS = ("plane", "phase", "organ", "abnormality", "location")
ALL_TOPICS = (*TOPICS, "presence", "report")
LETTERS = "ABCD"

#: Keeps what is drawn for questions apart from what was drawn for the phantom of the same seed.
WORDING_STREAM = 1

NOT_SEEN, NONE = "not seen", "no abnormality"


@dataclass(frozen=True)
class Question:
    """A question and its answer.

    `choices` is empty for an open one. `asked` names the kinds of finding that it is about, seen or
    not; `about` those of them that are there: the slices that hold them are where to look.
    `history` are the (question, answer) turns before it.
    """

    topic: str
    text: str
    answer_text: str
    choices: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    history: tuple[tuple[str, str], ...] = ()

    @property
    def is_closed(self) -> bool:
        """Whether it offers choices."""
        return bool(self.choices)

    @property
    def is_present(self) -> bool:
        """Whether some of the findings that it asks about are there."""
        return bool(self.about)

    @property
    def letter(self) -> str:
        """The right choice's letter; empty for an open question."""
        return LETTERS[self.choices.index(self.answer_text)] if self.choices else ""

    @property
    def prompt(self) -> str:
        """What the model is asked."""
        if not self.choices:
            return self.text
        listed = " ".join(f"{a}. {c}" for a, c in zip(LETTERS, self.choices, strict=False))
        return f"{self.text} Choices: {listed}"

    @property
    def turns(self) -> tuple[tuple[str, str], ...]:
        """The whole conversation with its answers."""
        return (*self.history, (self.prompt, self.answer))

    @property
    def answer(self) -> str:
        """What the model should say."""
        if self.choices:
            return f"{self.letter}. {self.answer_text}"
        if self.topic not in TOPICS:
            return self.answer_text
        return f"{self.answer_text[:1].upper()}{self.answer_text[1:]}."


WORDINGS: dict[str, tuple[str, ...]] = {
    "plane": (
        "In which plane is this CT shown?",
        "Which plane is the CT in?",
        "What is the imaging plane of this scan?",
        "Is this an axial, coronal or sagittal CT?",
        "In what plane are these slices stacked?",
        "What is the plane of this image?",
    ),
    "phase": (
        "Which contrast phase is this CT?",
        "In which phase was the scan taken?",
        "What is the contrast phase of this scan?",
        "What phase of enhancement does the CT show?",
        "When after contrast was this scan taken?",
        "What is the phase of this CT scan?",
    ),
    "organ of group": (
        "Which organ has the {group}?",
        "In which organ is the {group}?",
        "What organ is affected by the {group}?",
        "The {group} belongs to which organ?",
    ),
    "affected organ": (
        "Which organ is abnormal?",
        "Which organ shows an abnormality?",
        "What organ is affected in this scan?",
    ),
    "visible organ": (
        "Which organ can be seen in this scan?",
        "Which of these organs is in the scan?",
        "What organ is shown by this CT?",
    ),
    "which abnormality": (
        "Which abnormality is seen?",
        "What abnormality does the scan show?",
        "Which finding is present in this CT?",
        "What is abnormal in this scan?",
        "What abnormality is seen in this image?",
    ),
    "abnormality of organ": (
        "What is abnormal in the {organ}?",
        "Which abnormality is seen in the {organ}?",
        "What does the scan show in the {organ}?",
        "Is anything wrong with the {organ}?",
    ),
    "location": (
        "Where is the {name}?",
        "Where is the {name} located?",
        "In which place is the {name}?",
        "What is the location of the {name}?",
        "Where do you see the {name}?",
    ),
    "any location": (
        "Where is the abnormality?",
        "Where is the abnormality located?",
    ),
    "presence": (
        "Is there {a_name}?",
        "Does the scan show {a_name}?",
        "Can you see {a_name}?",
        "Is {a_name} present?",
        "Do you see {a_name} in this CT?",
    ),
    "report": (
        "Write a report of this scan.",
        "Draft a report.",
        "Please describe the findings of this CT.",
        "Generate a radiology report.",
        "Can you provide a caption consists of findings for this medical image?",
        "What are the findings?",
    ),
}

#: Organs that are always in the scan of a region, and never in the other's.
VISIBLE: dict[Region, tuple[str, ...]] = {
    Region.CHEST: ("heart", "trachea", "sternum", "pulmonary arteries"),
    Region.ABDOMEN: ("kidney", "bladder", "gallbladder", "pancreas", "bowel"),
}

ORGAN_NAMES = tuple(dict.fromkeys(kind.organ for kind in KINDS.values()))
GROUPS = {
    group: tuple(k for k in KINDS.values() if k.group == group)
    for group in dict.fromkeys(k.group for k in KINDS.values())
    if group
}


def draw_question(facts: Facts, topic: str, *, closed: bool, rng: Rng) -> Question:
    """A question of the topic; "presence" and "report" are always open."""
    return MAKERS[topic](facts, closed, rng)


def all_questions(facts: Facts, seed: int) -> list[Question]:
    """One open and one closed question of each topic, presence (yes and no), and the report.

    The seed is that of the phantom, whose plane, phase and region were the first draws from it: the
    wording comes from another stream, or each plane would be asked for in a third of the wordings.
    """
    rng = np.random.default_rng([seed, WORDING_STREAM])
    made = [draw_question(facts, t, closed=c, rng=rng) for t in TOPICS for c in (False, True)]
    absent = [k for k in KINDS if facts.region in KINDS[k].places and k not in facts.names]
    made.append(presence(facts, _pick(rng, absent), rng))
    if facts.findings:
        made.append(presence(facts, _pick(rng, sorted(facts.names)), rng))
    made.append(_report(facts, False, rng))
    return made


def presence(facts: Facts, name: str, rng: Rng) -> Question:
    """Whether there is a finding of this kind."""
    fact = facts.named(name)
    text = _word(rng, "presence", a_name=KINDS[name].with_article())
    answer = f"Yes, {where(fact.place)}." if fact else "No."
    return Question("presence", text, answer, (), (name,), (name,) if fact else ())


def location(facts: Facts, name: str, closed: bool, rng: Rng) -> Question:
    """Where the finding of this kind is; "not seen" is always among the choices."""
    fact, kind = facts.named(name), KINDS[name]
    truth = fact.place if fact else NOT_SEEN
    choices: tuple[str, ...] = ()
    if closed:
        near = [p for p in kind.places.get(facts.region, kind.all_places) if p != truth]
        wrong = [NOT_SEEN, *_shuffled(rng, near)] if fact else _shuffled(rng, near)
        choices = _choices(rng, truth, wrong)
    text = _word(rng, "location", name=name)
    return Question("location", text, truth, choices, (name,), (name,) if fact else ())


def _plane(facts: Facts, closed: bool, rng: Rng) -> Question:
    wrong = [p.value for p in Plane if p is not facts.plane] + ["oblique"]
    choices = _choices(rng, facts.plane.value, wrong) if closed else ()
    return Question("plane", _word(rng, "plane"), facts.plane.value, choices)


def _phase(facts: Facts, closed: bool, rng: Rng) -> Question:
    wrong = [p.value for p in PHASES if p is not facts.phase]
    choices = _choices(rng, facts.phase.value, wrong) if closed else ()
    return Question("phase", _word(rng, "phase"), facts.phase.value, choices)


def _organ(facts: Facts, closed: bool, rng: Rng) -> Question:
    draw = rng.random()
    if closed and draw < 0.25:
        return _visible_organ(facts, rng)
    shared = any(_has_one(facts, group) for group in _shared_groups(facts.region))
    grouped = shared or not closed or draw > 0.9  # mostly of what is there: "not seen" stays rare
    if facts.findings and (draw < 0.55 or not grouped):
        return _affected_organ(facts, closed, rng)
    if closed and not grouped:
        return _visible_organ(facts, rng)
    return _organ_of_group(facts, closed, rng)


def _organ_of_group(facts: Facts, closed: bool, rng: Rng) -> Question:
    """Whose cyst, stone, effusion …: a word that several kinds share."""
    here = [g for g, kinds in GROUPS.items() if any(facts.region in k.places for k in kinds)]
    if closed:
        here = _shared_groups(facts.region)
    there = [g for g in here if _has_one(facts, g)]
    gone = [g for g in here if not any(k.name in facts.names for k in GROUPS[g])]
    seen = there and (rng.random() < 0.85 or not gone)
    group = _pick(rng, there if seen else (gone or here))
    found = next((k for k in GROUPS[group] if k.name in facts.names), None)
    truth = found.organ if found else NOT_SEEN
    # Only organs that can have it, and "not seen": any other would be ruled out by the words alone.
    choices: tuple[str, ...] = ()
    if closed:
        able = list(dict.fromkeys(k.organ for k in GROUPS[group]))
        choices = tuple(_shuffled(rng, [*able, NOT_SEEN]))
    asked = tuple(k.name for k in GROUPS[group])
    text = _word(rng, "organ of group", group=group)
    return Question("organ", text, truth, choices, asked, (found.name,) if found else ())


def _shared_groups(region: Region) -> list[str]:
    """Words that several organs of the region share."""
    return [
        group
        for group, kinds in GROUPS.items()
        if len({k.organ for k in kinds if region in k.places}) > 1
    ]


def _has_one(facts: Facts, group: str) -> bool:
    return sum(k.name in facts.names for k in GROUPS[group]) == 1


def _affected_organ(facts: Facts, closed: bool, rng: Rng) -> Question:
    if not closed:
        every = tuple(f.name for f in facts.findings)
        truth = _listed(_affected(facts))
        return Question("organ", _word(rng, "affected organ"), truth, (), every, every)
    organ = _pick(rng, _affected(facts))
    wrong = [o for o in _organs(facts.region) if o not in _affected(facts)]
    more = [o for o in ORGAN_NAMES if o not in _affected(facts) and o not in wrong]
    listed = [*_shuffled(rng, wrong), *_shuffled(rng, more)]
    about = tuple(f.name for f in facts.of_organ(organ))
    choices = _choices(rng, organ, listed)
    return Question("organ", _word(rng, "affected organ"), organ, choices, about, about)


def _visible_organ(facts: Facts, rng: Rng) -> Question:
    other = next(r for r in Region if r is not facts.region)
    truth = _pick(rng, VISIBLE[facts.region])
    # Two choices: among more, the only one of its region would stand out.
    choices = _choices(rng, truth, [_pick(rng, VISIBLE[other])])
    return Question("organ", _word(rng, "visible organ"), truth, choices)


def _abnormality(facts: Facts, closed: bool, rng: Rng) -> Question:
    organs = [o for o in _organs(facts.region) if len(_kinds_of(facts.region, o)) > 1]
    single = any(len(facts.of_organ(o)) == 1 for o in organs)
    if rng.random() < (0.5 if single or not closed else 0.85):
        return _which_abnormality(facts, closed, rng)
    return _abnormality_of_organ(facts, closed, rng)


def _which_abnormality(facts: Facts, closed: bool, rng: Rng) -> Question:
    if not closed:
        every = tuple(f.name for f in facts.findings)
        truth = _listed(every) if every else NONE
        return Question("abnormality", _word(rng, "which abnormality"), truth, (), every, every)
    truth = _pick(rng, sorted(facts.names)) if facts.findings else NONE
    wrong: Sequence[str] = [k for k in _kinds(facts.region) if k not in facts.names]
    wrong = _shuffled(rng, wrong)
    if facts.findings and rng.random() < 0.4:
        wrong = [NONE, *wrong]
    about = (truth,) if facts.findings else ()
    choices = _choices(rng, truth, wrong)
    return Question("abnormality", _word(rng, "which abnormality"), truth, choices, about, about)


def _abnormality_of_organ(facts: Facts, closed: bool, rng: Rng) -> Question:
    organs = _organs(facts.region)
    if closed:
        organs = [o for o in organs if len(_kinds_of(facts.region, o)) > 1]
    good = [o for o in organs if len(facts.of_organ(o)) == 1]
    clear = [o for o in organs if not facts.of_organ(o)]
    organ = _pick(rng, good if good and (rng.random() < 0.7 or not clear) else (clear or organs))
    found = facts.of_organ(organ)
    truth = found[0].name if found else NONE
    same = _kinds_of(facts.region, organ)
    unseen = [k for k in same if k not in facts.names]
    asked = tuple(k.name for k in KINDS.values() if k.organ == organ)
    text = _word(rng, "abnormality of organ", organ=organ)
    choices = tuple(_shuffled(rng, list(dict.fromkeys([truth, NONE, *unseen])))) if closed else ()
    return Question("abnormality", text, truth, choices, asked, tuple(f.name for f in found))


def _location(facts: Facts, closed: bool, rng: Rng) -> Question:
    if not closed and rng.random() < 0.15:
        every = tuple(f.name for f in facts.findings)
        truth = _listed([f.place for f in facts.findings]) if every else NOT_SEEN
        return Question("location", _word(rng, "any location"), truth, (), every, every)
    kinds = _kinds(facts.region)
    if closed:  # a kind of one place alone would be a question of presence
        kinds = [k for k in kinds if len(KINDS[k].places[facts.region]) > 1]
    there = [k for k in kinds if k in facts.names]
    absent = [k for k in kinds if k not in facts.names]
    seen = there and (rng.random() < 0.85 or not absent)
    return location(facts, _pick(rng, there if seen else absent), closed, rng)


def _presence(facts: Facts, closed: bool, rng: Rng) -> Question:
    absent = [k for k in _kinds(facts.region) if k not in facts.names]
    if facts.findings and rng.random() < 0.5:
        return presence(facts, _pick(rng, sorted(facts.names)), rng)
    if rng.random() < 0.12:
        absent = [k for k in KINDS if k not in facts.names]
    return presence(facts, _pick(rng, absent), rng)


def _report(facts: Facts, closed: bool, rng: Rng) -> Question:
    about = tuple(f.name for f in facts.findings)
    return Question("report", _word(rng, "report"), report(facts), (), about, about)


MAKERS: dict[str, Callable[[Facts, bool, Rng], Question]] = {
    "plane": _plane,
    "phase": _phase,
    "organ": _organ,
    "abnormality": _abnormality,
    "location": _location,
    "presence": _presence,
    "report": _report,
}


def _word(rng: Rng, template: str, **names: str) -> str:
    return _pick(rng, WORDINGS[template]).format(**names)


def _listed(items: Sequence[str]) -> str:
    """Each once, in order, with commas."""
    return ", ".join(dict.fromkeys(items))


def _pick(rng: Rng, items: Sequence[str]) -> str:
    return items[int(rng.integers(len(items)))]


def _shuffled(rng: Rng, items: Sequence[str]) -> list[str]:
    return [items[int(k)] for k in rng.permutation(len(items))]


def _choices(rng: Rng, truth: str, wrong: Sequence[str]) -> tuple[str, ...]:
    """The truth and the first three wrong ones, in random order."""
    return tuple(_shuffled(rng, [truth, *wrong[:3]]))


def _kinds(region: Region) -> list[str]:
    return [k.name for k in KINDS.values() if region in k.places]


def _kinds_of(region: Region, organ: str) -> list[str]:
    return [k for k in _kinds(region) if KINDS[k].organ == organ]


def _organs(region: Region) -> list[str]:
    return list(SECTIONS[region].values())


def _affected(facts: Facts) -> list[str]:
    return [o for o in _organs(facts.region) if facts.of_organ(o)]
