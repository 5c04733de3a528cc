"""Phantoms: what a report says is in the voxels, where it says so, in every plane and phase."""

from __future__ import annotations

import numpy as np
import pytest

from med2e3.geometry import Plane
from med2e3.phantoms import KINDS, ORGANS, PHASES, Phantom, Phase, Region, Wish, make_phantom
from med2e3.phantoms.facts import SIZES_MM, draw_facts, findings_in, report
from med2e3.phantoms.questions import (
    ALL_TOPICS,
    NOT_SEEN,
    TOPICS,
    WORDINGS,
    draw_question,
    presence,
)

LABEL = {name: number for number, name in enumerate(ORGANS)}


def with_finding(name: str, place: str | None = None, seed: int = 5, **wish: object) -> Phantom:
    kind = KINDS[name]
    region = next(r for r in kind.regions if place is None or place in kind.places[r])
    phantom = make_phantom(
        seed, Wish(region=region, findings=[(name, place)], **{"phase": Phase.ARTERIAL, **wish})
    )
    assert [f.name for f in phantom.findings] == [name]
    return phantom


def middle_mm(phantom: Phantom) -> np.ndarray:
    """The finding's centre of mass, LPS."""
    centre = np.argwhere(phantom.findings[0].mask).mean(axis=0)
    return phantom.volume.geometry.to_patient_mm(centre)


def organ_mean(phantom: Phantom, organ: str) -> float:
    return float(phantom.volume.voxels[phantom.labels == LABEL[organ]].mean())


def test_the_same_seed_gives_the_same_phantom() -> None:
    first, second = make_phantom(11), make_phantom(11)
    assert np.array_equal(first.volume.voxels, second.volume.voxels)
    assert first.facts == second.facts
    assert [q.prompt for q in first.questions()] == [q.prompt for q in second.questions()]


def test_another_seed_gives_another_phantom() -> None:
    first, second = make_phantom(11), make_phantom(12)
    assert not np.array_equal(first.volume.voxels, second.volume.voxels)


def test_the_aorta_brightens_in_the_arterial_phase_and_fades_after() -> None:
    means = {
        phase: organ_mean(make_phantom(3, Wish(Plane.AXIAL, phase, Region.CHEST, [])), "aorta")
        for phase in PHASES
    }
    assert means[Phase.NON_CONTRAST] < 70
    assert means[Phase.ARTERIAL] > 250
    assert means[Phase.ARTERIAL] > means[Phase.PORTAL_VENOUS] > means[Phase.DELAYED]
    assert means[Phase.DELAYED] > means[Phase.NON_CONTRAST] + 30


def test_the_liver_is_brightest_in_the_portal_venous_phase() -> None:
    means = {
        phase: organ_mean(make_phantom(3, Wish(Plane.AXIAL, phase, Region.ABDOMEN, [])), "liver")
        for phase in PHASES
    }
    assert max(means, key=lambda phase: means[phase]) is Phase.PORTAL_VENOUS


def test_lungs_are_air_and_bones_are_dense() -> None:
    phantom = make_phantom(2, Wish(Plane.AXIAL, Phase.ARTERIAL, Region.CHEST, []))
    assert -900 < organ_mean(phantom, "lung") < -750
    assert organ_mean(phantom, "rib") > 150


@pytest.mark.parametrize("plane", list(Plane))
def test_a_phantom_lies_in_the_display_orientation_of_its_plane(plane: Plane) -> None:
    turn = make_phantom(4, Wish(plane=plane)).volume.geometry.orientation(plane)
    assert turn.axes == (0, 1, 2)
    assert turn.flips == (False, False, False)


@pytest.mark.parametrize("plane", list(Plane))
@pytest.mark.parametrize("name", ["kidney cyst", "liver mass", "lung nodule"])
def test_the_liver_is_right_and_a_side_is_on_its_side(plane: Plane, name: str) -> None:
    for place in KINDS[name].all_places:
        x = middle_mm(with_finding(name, place, plane=plane))[0]
        if name == "liver mass":
            assert x < 15, place
        else:
            assert (x < 0) == place.startswith("right"), place


@pytest.mark.parametrize("plane", list(Plane))
def test_an_upper_lobe_is_above_a_lower_one(plane: Plane) -> None:
    upper = middle_mm(with_finding("lung nodule", "left upper lobe", plane=plane))
    lower = middle_mm(with_finding("lung nodule", "left lower lobe", plane=plane))
    assert upper[2] > lower[2] + 40


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("liver cyst", -40, 60),
        ("kidney cyst", -40, 60),
        ("pleural effusion", -40, 60),
        ("pneumothorax", -1024, -930),
        ("kidney stone", 350, 1100),
        ("lung nodule", -350, 80),
    ],
)
def test_a_finding_has_its_density(name: str, low: float, high: float) -> None:
    phantom = with_finding(name, plane=Plane.AXIAL, shape=(64, 192, 192))
    values = phantom.volume.voxels[phantom.findings[0].mask]
    assert low < float(np.median(values)) < high


@pytest.mark.parametrize("name", list(KINDS))
def test_every_kind_changes_the_voxels_inside_its_mask_only(name: str) -> None:
    phantom = with_finding(name, seed=9)
    if name == "enlarged spleen":
        small = make_phantom(9, Wish(phantom.plane, phantom.phase, phantom.region, []))
        count = [(p.labels == LABEL["spleen"]).sum() for p in (phantom, small)]
        assert count[0] > 1.8 * count[1]
        return
    finding = phantom.findings[0]
    assert 6 <= finding.mask.sum() < finding.mask.size * 0.2
    first, last = finding.box[0]
    assert finding.slices[0] == first
    assert finding.slices[-1] == last
    for axis, (low, high) in enumerate(finding.box):
        inside = np.take(finding.mask, range(low, high + 1), axis=axis)
        assert inside.sum() == finding.mask.sum()


def test_questions_and_reports_say_what_is_there() -> None:
    for seed in range(8):
        phantom = make_phantom(seed)
        names = {f.name for f in phantom.findings}
        assert findings_in(phantom.report) == names
        for question in phantom.questions():
            assert set(question.about) <= names
            if question.topic == "plane":
                assert question.answer_text == phantom.plane.value
            if question.topic == "phase":
                assert question.answer_text == phantom.phase.value
            if question.topic == "presence":
                assert question.answer.startswith("Yes") == (question.asked[0] in names)


def test_facts_that_nobody_painted_have_sizes_that_painted_ones_have() -> None:
    rng = np.random.default_rng(4)
    drawn: dict[str, set[int]] = {}
    for _ in range(3000):
        for fact in draw_facts(rng).findings:
            drawn.setdefault(fact.name, set()).add(fact.size_mm)
    assert {n: (min(s), max(s)) for n, s in drawn.items()} == SIZES_MM
    assert all(size % 5 == 0 for sizes in drawn.values() for size in sizes)
    for body, end in (("simple", 40), ("detailed", 4)):
        for seed in range(end):
            for fact in make_phantom(seed, body=body).facts.findings:
                low, high = SIZES_MM[fact.name]
                assert low - 5 <= fact.size_mm <= high + 10, (body, seed, fact)


def test_closed_questions_offer_the_truth_once() -> None:
    rng = np.random.default_rng(0)
    seen = dict.fromkeys(TOPICS, 0)
    ranks = []
    for _ in range(200):
        facts = draw_facts(rng)
        for topic in TOPICS:
            question = draw_question(facts, topic, closed=True, rng=rng)
            assert 2 <= len(set(question.choices)) == len(question.choices) <= 4
            assert question.choices.count(question.answer_text) == 1
            assert question.answer == f"{question.letter}. {question.answer_text}"
            assert f"Choices: A. {question.choices[0]} B. " in question.prompt
            ranks.append("ABCD".index(question.letter) / (len(question.choices) - 1))
            seen[topic] += question.answer_text in (NOT_SEEN, "no abnormality")
    assert np.mean(ranks) == pytest.approx(0.5, abs=0.05)  # the letter alone tells nothing
    assert seen["location"] > 20
    assert seen["abnormality"] > 20


@pytest.mark.parametrize("topic", TOPICS)
def test_who_reads_the_choices_alone_is_left_near_chance(topic: str) -> None:
    rng = np.random.default_rng(2)
    truths: dict[frozenset[str], list[str]] = {}
    chance = []
    for _ in range(4000):
        question = draw_question(draw_facts(rng), topic, closed=True, rng=rng)
        truths.setdefault(frozenset(question.choices), []).append(question.answer_text)
        chance.append(1 / len(question.choices))
    common = {c: t for c, t in truths.items() if len(t) >= 40}  # rarer ones overfit
    best = sum(max(map(t.count, set(t))) for t in common.values())
    assert best / sum(map(len, common.values())) < 1.5 * np.mean(chance)


def test_wrong_choices_are_never_true() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        facts = draw_facts(rng)
        for topic in ("organ", "abnormality"):
            question = draw_question(facts, topic, closed=True, rng=rng)
            wrong = set(question.choices) - {question.answer_text}
            if question.text.startswith(("Which abnormality is seen?", "What is abnormal in this")):
                assert not wrong & facts.names
            if question.text == "Which organ is abnormal?":
                assert not wrong & {f.kind.organ for f in facts.findings}


def test_a_fair_share_of_presence_questions_is_answered_no() -> None:
    rng = np.random.default_rng(2)
    answers = [
        draw_question(draw_facts(rng), "presence", closed=False, rng=rng).answer for _ in range(300)
    ]
    assert 0.35 < np.mean([a.startswith("No") for a in answers]) < 0.7


def test_a_report_reads_back_and_a_denied_finding_is_none() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        facts = draw_facts(rng)
        assert findings_in(report(facts)) == facts.names
    assert findings_in("There is no pleural effusion. A lung nodule is seen.") == {"lung nodule"}


def test_presence_of_what_is_not_there_is_denied() -> None:
    rng = np.random.default_rng(4)
    facts = make_phantom(1, Wish(findings=[], region=Region.CHEST)).facts
    for name in KINDS:
        assert presence(facts, name, rng).answer == "No."


def test_every_topic_has_several_wordings() -> None:
    rng = np.random.default_rng(5)
    for topic in ALL_TOPICS:
        texts = {
            draw_question(draw_facts(rng), topic, closed=False, rng=rng).text for _ in range(80)
        }
        assert len(texts) >= 5, topic


def test_wording_does_not_follow_from_what_the_seed_drew_for_the_phantom() -> None:
    """It did: each plane was asked for in a third of the wordings."""
    said: dict[Plane, set[str]] = {plane: set() for plane in Plane}
    for seed in range(20_100_000, 20_100_150):
        phantom = make_phantom(seed, Wish(shape=(8, 32, 32)))
        said[phantom.plane] |= {q.text for q in phantom.questions() if q.topic == "plane"}
    assert all(texts == set(WORDINGS["plane"]) for texts in said.values())
