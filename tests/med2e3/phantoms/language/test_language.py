"""What people type: the grammar's answers are true, and what is held out is never drawn."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import pytest

from med2e3.geometry import Plane
from med2e3.model.follow_ups import guide_of, leans
from med2e3.phantoms import KINDS, Phase, Region
from med2e3.phantoms.facts import Fact, Facts, draw_facts
from med2e3.phantoms.language import EVERY_TOPIC, LANGUAGE_TOPICS, ask, ask_freely
from med2e3.phantoms.language.findings import at_answer, on_side, presence
from med2e3.phantoms.language.lexicon import free_questions, held_out, trained, without_article
from med2e3.phantoms.language.refusals import ENGLISH, SCAN_ONLY
from med2e3.phantoms.language.scans import judged
from med2e3.phantoms.language.strange import strange_name
from med2e3.phantoms.language.talk import HISTORY_TURNS
from med2e3.phantoms.language.voice import Voice, normalised, own_term, training_voice
from med2e3.phantoms.questions import ALL_TOPICS, Question

#: Draws of training that are compared with what is held out: of the short form, and of all.
FEW, ALL = 1_500, 20_000
CHEST = Facts(
    Plane.AXIAL,
    Phase.ARTERIAL,
    Region.CHEST,
    (Fact("lung nodule", "right upper lobe", 20), Fact("pleural effusion", "left side", 30)),
)


def drawn(count: int, seed: int = 3) -> Iterator[Question]:
    rng = np.random.default_rng(seed)
    for k in range(count):
        topic = LANGUAGE_TOPICS[k % len(LANGUAGE_TOPICS)]
        yield ask(draw_facts(rng), topic, closed=False, rng=rng)


@lru_cache(maxsize=2)
def trained_texts(draws: int) -> tuple[frozenset[str], str]:
    """Whole texts of so many training draws, and all of them in one."""
    said = frozenset(normalised(text) for q in drawn(draws) for text, _ in q.turns)
    return said, f" {' | '.join(said)} "


def quiet(rng: np.random.Generator) -> Voice:
    """Training's words without typos."""
    return Voice(rng, trained(), trained(), trained(), typed=False)


def test_no_entry_is_both_trained_and_held_out() -> None:
    both = [{normalised(e) for e in part.entries()} for part in (trained(), held_out())]
    assert not both[0] & both[1]
    assert min(map(len, both)) > 250


many = pytest.mark.parametrize("draws", [FEW, pytest.param(ALL, marks=pytest.mark.slow)])


@many
def test_nothing_held_out_is_drawn_in_training(draws: int) -> None:
    said, whole = trained_texts(draws)
    held = held_out().tables
    names = [*held["unknown"]["findings"], *held["unknown"]["organs"]]
    names += [t.bare for terms in held_out().terms.values() for t in terms]
    assert not [n for n in names if f" {normalised(without_article(n))} " in whole]
    asked = held_out_texts(Voice(np.random.default_rng(4), *3 * [held_out()], typed=False))
    assert len(asked) > 400
    assert not asked & said


@many
def test_held_out_templates_are_not_drawn_in_training_either(draws: int) -> None:
    voice = Voice(np.random.default_rng(6), held_out(), trained(), trained(), typed=False)
    whole = ("unknown", "offtopic")  # what is asked there has no template
    assert not held_out_texts(voice, without=whole) & trained_texts(draws)[0]


def held_out_texts(voice: Voice, without: tuple[str, ...] = ()) -> set[str]:
    """What this voice says in 1,000 draws, follow-ups aside."""
    topics = [t for t in LANGUAGE_TOPICS if t not in (*without, "followup")]
    return {
        normalised(ask_freely(draw_facts(voice.rng), topics[k % len(topics)], voice).text)
        for k in range(1000)
    }


@many
def test_the_free_questions_are_sixty_and_never_drawn(draws: int) -> None:
    assert len(free_questions()) == 60
    assert not {normalised(row["ask"]) for row in free_questions()} & trained_texts(draws)[0]


def test_most_training_questions_are_unlike_one_another() -> None:
    assert len(trained_texts(FEW)[0]) > 0.7 * FEW


def test_every_topic_is_drawn_and_the_five_of_m3d_vqa_stay_as_they_were() -> None:
    assert EVERY_TOPIC[: len(ALL_TOPICS)] == ALL_TOPICS
    rng = np.random.default_rng(1)
    for topic in EVERY_TOPIC:
        question = ask(draw_facts(rng), topic, closed=False, rng=rng)
        assert question.topic == topic
        assert question.prompt
        assert question.answer


def test_presence_is_answered_truly_in_every_wording_of_every_finding() -> None:
    rng = np.random.default_rng(2)
    texts: dict[str, set[str]] = {}
    for _ in range(1500):
        facts = draw_facts(rng)
        name = list(KINDS)[int(rng.integers(len(KINDS)))]
        question = presence(facts, quiet(rng), name)
        assert question.answer.startswith("Yes" if name in facts.names else "No")
        assert question.about == ((name,) if name in facts.names else ())
        texts.setdefault(name, set()).add(question.text)
    assert min(map(len, texts.values())) > 60


@pytest.mark.parametrize(
    ("topic", "right"),
    [
        ("size", {"20 mm.", "30 mm.", "Not seen."}),
        ("place", {"Right upper lobe.", "Left side.", "Not seen."}),
        ("scan", {"Axial.", "Arterial.", "Chest.", "Yes.", "Yes, arterial.", "No, axial.",
                  "No, arterial.", "No, chest."}),
        ("count", {"Two: lung nodule, pleural effusion.", "One, in the right upper lobe.",
                   "One, on the left side.", "None."}),
        ("normal", {"Yes.", "No.", "Normal.", "Not in this scan.",
                    "No, lung nodule in the right upper lobe.",
                    "Yes, lung nodule in the right upper lobe.",
                    "Lung nodule in the right upper lobe.",
                    "No, pleural effusion on the left side.",
                    "Yes, pleural effusion on the left side.",
                    "Pleural effusion on the left side.", "Right lung.",
                    "No, lung nodule, pleural effusion.", "Yes, lung nodule, pleural effusion."}),
    ],
)  # fmt: skip
def test_answers_take_few_forms_and_all_of_them(topic: str, right: set[str]) -> None:
    rng = np.random.default_rng(8)
    said = {ask(CHEST, topic, closed=False, rng=rng).answer for _ in range(800)}
    assert said == right


def test_a_question_of_absence_is_answered_without_yes_or_no() -> None:
    rng = np.random.default_rng(5)
    asked = [ask(CHEST, "wording", closed=False, rng=rng) for _ in range(900)]
    answers = {q.answer for q in asked if q.answer[:4] in ("None", "Seen")}
    assert answers == {"None seen.", "Seen, in the right upper lobe.", "Seen, on the left side."}


def test_a_side_that_is_asked_for_decides_the_answer() -> None:
    nodule = CHEST.named("lung nodule")
    lobes = KINDS["lung nodule"].places[Region.CHEST]
    assert at_answer(nodule, on_side(lobes, "right")) == "Yes, in the right upper lobe."
    assert at_answer(nodule, on_side(lobes, "left")) == "No, in the right upper lobe."
    assert at_answer(None, on_side(lobes, "left")) == "No."
    sides = KINDS["pleural effusion"].places[Region.CHEST]
    assert at_answer(Fact("pleural effusion", "both sides", 9), on_side(sides, "left")) == (
        "Yes, on both sides."
    )
    assert on_side(KINDS["gallstone"].places[Region.ABDOMEN], "left") == ()


def test_an_organ_is_judged_by_what_was_asked_of_it() -> None:
    found = CHEST.of_organ("lung")
    assert judged(found, "normal") == "No, lung nodule in the right upper lobe."
    assert judged(found, "abnormal") == "Yes, lung nodule in the right upper lobe."
    assert judged(found, "describe") == "Lung nodule in the right upper lobe."
    assert [judged((), kind) for kind in ("normal", "abnormal", "describe")] == [
        "Yes.", "No.", "Normal.",
    ]  # fmt: skip


def test_what_is_not_known_is_refused_by_its_name_where_the_name_can_be_copied() -> None:
    named = 0
    for question in drawn(2000):
        if question.topic != "unknown":
            continue
        assert not question.about
        name = question.answer.removeprefix("I was not trained on ").rstrip(".")
        if name != "that":
            named += 1
            assert f" {name}" in question.text
    assert named > 70


def test_a_combined_name_is_never_that_of_a_known_finding() -> None:
    rng = np.random.default_rng(9)
    known = {t.bare for terms in trained().terms.values() for t in terms}
    known |= {own_term(name).bare for name in KINDS} | {"lung nodule", "hepatic mass"}
    assert not {strange_name(training_voice(rng)) for _ in range(1500)} & known


def test_talk_that_is_not_about_the_scan_is_told_so() -> None:
    answers = {q.answer for q in drawn(1000) if q.topic == "offtopic"}
    assert answers == {SCAN_ONLY, ENGLISH}


def test_follow_ups_have_a_history_that_is_true_too() -> None:
    lengths = set()
    for question in drawn(1000):
        lengths.add(len(question.history))
        assert bool(question.history) == (question.topic == "followup")
        assert question.turns == (*question.history, (question.prompt, question.answer))
    assert lengths == {0, 1, HISTORY_TURNS}


def test_a_question_that_names_nothing_leans_on_the_one_before() -> None:
    assert guide_of(["Is there a cyst?", "how big is it?"]) == "Is there a cyst? how big is it?"
    assert guide_of(["A cyst?", "Where?", "And on the left?"]) == "A cyst? And on the left?"
    assert guide_of(["A cyst?", "And a pneumothorax?"]) == "And a pneumothorax?"
    assert guide_of(["Where is it?"]) == "Where is it?"
    assert not leans("")


def test_follow_ups_without_a_name_all_lean() -> None:
    for template in ("then_where", "then_size", "then_side"):
        for lexicon in (trained(), held_out()):
            for text in lexicon.templates[template]:
                assert leans(text.format(s="left")), text
