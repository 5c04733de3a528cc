"""Figures of phantoms, on answers whose figures are known."""

from __future__ import annotations

import dataclasses

import pytest

from med2e3.evaluation.pointing import count_pointing, count_text_dependence
from med2e3.evaluation.records import BLANK, REWORDED, Examined, Pointed, Prediction
from med2e3.evaluation.scoring import count_closed, count_paraphrases, count_reports
from med2e3.evaluation.texts import open_metrics
from med2e3.evidence.answer_words import confidence
from med2e3.evidence.rewording import rewordings
from med2e3.phantoms import make_phantom
from med2e3.phantoms.questions import WORDINGS


def examined(
    *asked: Prediction, findings: tuple[str, ...] = (), pointed: tuple[Pointed, ...] = ()
) -> Examined:
    return Examined(1, "axial", "arterial", "chest", findings, asked, pointed)


CLOSED = Prediction("organ", "Which? Choices: A. x B. y", "A. x", "A", "A. x", choices=2)


def test_closed_answers_count_by_both_rules_beside_a_guess_among_their_choices() -> None:
    careless = dataclasses.replace(CLOSED, answer="B. CTA. scan")
    blind = dataclasses.replace(CLOSED, answer="B. y", use=BLANK)
    figures = count_closed([examined(CLOSED, blind), examined(careless)])
    strict, published = figures["closed organ"], figures["closed organ (published rule)"]
    assert strict is not None
    assert published is not None
    assert (strict.value, strict.chance, strict.count) == (0.5, 0.5, 2)
    assert published.value == 1
    unseen = figures["closed organ, blank volume"]
    assert unseen is not None
    assert (unseen.value, unseen.count) == (0, 1)


def test_a_report_is_held_against_its_own_phantom_and_another_one() -> None:
    said = "Pleura: pleural effusion on the left side. Lungs: lung nodule in the left lung."
    report = Prediction("report", "Report.", "Pleura: pleural effusion.", "", said)
    empty = dataclasses.replace(report, answer="Lungs: normal.", truth="Lungs: normal.")
    figures = count_reports(
        [examined(report, findings=("pleural effusion",)), examined(empty, findings=())],
        open_metrics(),
    )
    values = {name: f.value for name, f in figures.items() if f is not None}
    assert values["report finding precision"] == 0.5
    assert values["report finding recall"] == 1
    assert values["report finding F1"] == pytest.approx(2 / 3)
    f1 = figures["report finding F1"]
    assert f1 is not None
    assert f1.chance == 0  # of the other phantom's findings nothing is claimed
    assert values["report BLEU-1"] > 0.5


def test_paraphrases_agree_where_the_answer_is_the_same_right_or_wrong() -> None:
    wrong = dataclasses.replace(CLOSED, answer="B. y")
    again = [
        dataclasses.replace(wrong, use=REWORDED, repeats=CLOSED.prompt, prompt=prompt, answer=said)
        for prompt, said in (("What?", "B. y"), ("Say?", "A. x"), ("Tell?", "B. why"))
    ]
    figures = count_paraphrases([examined(wrong, *again)])
    same, right = figures["paraphrases organ, same answer"], figures["paraphrases, right answers"]
    assert same is not None
    assert right is not None
    assert (same.value, right.value) == (pytest.approx(2 / 3), pytest.approx(1 / 3))


def test_scores_deaf_to_the_question_show_no_text_dependence() -> None:
    row = (0.7, 0.1, 0.1, 0.1)
    deaf = examined(pointed=(Pointed("a", "a?", row, (0,)), Pointed("b", "b?", row, (2, 3))))
    values = {n: f.value for n, f in count_text_dependence([deaf]).items() if f is not None}
    assert values["pairs: mass on the asked finding"] == pytest.approx((0.7 + 0.2) / 2)
    assert values["pairs: mass on the other finding"] == pytest.approx((0.2 + 0.7) / 2)
    assert values["pairs: mass ratio asked to other"] == pytest.approx(1)
    assert values["pairs: Jensen–Shannon divergence, bits"] == 0
    overlapping = examined(pointed=(Pointed("a", "", row, (0, 1)), Pointed("b", "", row, (1,))))
    assert not any(count_text_dependence([overlapping]).values())


def test_pointing_is_beside_its_chance_by_row_and_over_all() -> None:
    hit = Pointed("a", "", (0.7, 0.1, 0.1, 0.1), (0,))
    miss = Pointed("b", "", (0.7, 0.1, 0.1, 0.1), (2, 3))
    figures = count_pointing([examined(pointed=(hit, miss))])
    values = {name: f.value for name, f in figures.items() if f is not None}
    assert values["pointing"] == 0.5
    assert values["pointing, times chance"] == pytest.approx(1 / 0.75)
    assert values["pointing, times chance by row"] == pytest.approx((1 / 0.25 + 0) / 2)
    assert values["score mass, times uniform"] == pytest.approx((0.7 + 0.2) / 0.75)
    pointing = figures["pointing"]
    assert pointing is not None
    assert pointing.chance == pytest.approx((0.25 + 0.5) / 2)


def test_every_question_of_a_phantom_can_be_asked_in_its_other_wordings() -> None:
    questions = make_phantom(5).questions()
    assert len(questions) > 10
    for question in questions:
        again = rewordings(question)
        size = next(
            len(words) for words in WORDINGS.values() if len(words) == len(again) + 1
        )  # fmt: skip
        assert size >= 2
        assert question.prompt not in again
        assert len(set(again)) == len(again)
        assert not any("{" in prompt for prompt in again)
        rest = question.prompt.removeprefix(question.text)
        assert all(prompt.endswith(rest) for prompt in again)
    unknown = dataclasses.replace(questions[0], text="Where are my keys?")
    assert rewordings(unknown) == []


def test_the_confidence_of_a_choice_is_that_of_its_letter() -> None:
    words = {1: "A", 2: ".", 3: " axial"}

    def decode(ids: list[int]) -> str:
        return "".join(words[i] for i in ids)

    shares = (0.5, 0.8, 0.1)
    assert confidence([1, 2, 3], shares, decode, whole=False) == pytest.approx(0.4)
    assert confidence([1, 2, 3], shares, decode, whole=True) == pytest.approx(0.04)
    assert confidence([1], shares[:1], decode, whole=False) == 0.5
    assert confidence([], [], decode, whole=False) == 0
