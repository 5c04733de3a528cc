"""Answers in free words, judged by what they claim; and what is counted of them."""

from __future__ import annotations

import numpy as np
import pytest

from med2e3.evaluation.buttons import fault_of, report_fault
from med2e3.evaluation.free_asking import SYNONYM, WORDED, free_questions_of, other_window
from med2e3.evaluation.free_benchmark import (
    REFUSED,
    REFUSED_WRONGLY,
    RIGHT,
    WRONG,
    FreeAnswer,
    FreeResults,
    judge,
)
from med2e3.evaluation.free_judge import (
    JUDGES,
    OFFTOPIC,
    UNKNOWN,
    claims,
    is_right,
    polarity,
)
from med2e3.evaluation.free_scoring import count_free, count_selective, count_windows, free_right
from med2e3.evaluation.records import FREE, WINDOW, Examined, Prediction
from med2e3.geometry import Plane
from med2e3.phantoms import KINDS, Phase, Region
from med2e3.phantoms.facts import Fact, Facts, draw_facts, report
from med2e3.phantoms.language.lexicon import free_questions
from med2e3.phantoms.language.refusals import is_refusal

CHEST = Facts(
    Plane.AXIAL,
    Phase.ARTERIAL,
    Region.CHEST,
    (Fact("lung nodule", "right upper lobe", 20), Fact("pleural effusion", "both sides", 30)),
)
CLEAR = Facts(Plane.AXIAL, Phase.NON_CONTRAST, Region.CHEST, ())


@pytest.mark.parametrize(
    ("wanted", "right", "wrong"),
    [
        ("presence: lung nodule", ("Yes.", "Yes, in the right upper lobe.", "Right upper lobe."),
         ("No.", "Yes, in the left upper lobe.", "Lung.", "")),
        ("presence: pneumothorax", ("No.", "None seen."), ("Yes, on the right side.", "Pleura.")),
        ("presence: lung nodule, left", ("No.", "No, in the right upper lobe."),
         ("Yes, in the left upper lobe.", "Yes, in the right upper lobe.")),
        ("presence: pleural effusion, left", ("Yes, on both sides.",), ("No.",)),
        ("absence: pleural effusion, left", ("No, pleural effusion on both sides.", "Seen."),
         ("Yes.", "None seen.")),
        ("absence: pneumothorax", ("Yes.", "None seen."), ("No.", "Seen, on the left side.")),
        ("location: pleural effusion", ("Both sides.", "On both sides."), ("Left side.", "No.")),
        ("location: pneumothorax", ("Not seen.",), ("Left side.", "Pleura.")),
        ("size: lung nodule", ("20 mm.", "25 mm.", "about 16 mm"), ("40 mm.", "20", "Not seen.")),
        ("size: pneumothorax", ("Not seen.",), ("20 mm.",)),
        ("phase", ("Arterial.", "A. arterial"), ("Arterial or delayed.", "Portal venous.")),
        ("plane", ("Axial.",), ("Coronal.",)),
        ("region", ("Chest.",), ("Abdomen.", "Lung.")),
        ("contrast", ("Yes, arterial.", "Yes."), ("No.", "Yes, delayed.")),
        ("findings", ("Lung nodule, pleural effusion.", report(CHEST)),
         ("Lung nodule.", "No abnormality.", "Lung nodule, pleural effusion, bone lesion.")),
        ("organ: lung", ("Lung nodule in the right upper lobe.",), ("Normal.", "Consolidation.")),
        ("organ: aorta", ("Normal.", "No abnormality."), ("Yes.", "Aortic aneurysm.")),
        ("normal", ("No, lung nodule.",), ("Yes.", "Lung.")),
        ("normal: aorta", ("Yes.",), ("No.",)),
        ("count", ("Two: lung nodule, pleural effusion.", "2"), ("Three.", "Two: bone lesion.")),
        ("several: lung nodule, pneumothorax",
         ("Lung nodule: yes, in the right upper lobe; pneumothorax: no.",), ("Yes.",)),
    ],
)  # fmt: skip
def test_an_answer_is_judged_by_what_it_claims(
    wanted: str, right: tuple[str, ...], wrong: tuple[str, ...]
) -> None:
    assert [a for a in right if not is_right(wanted, a, CHEST)] == []
    assert [a for a in wrong if is_right(wanted, a, CHEST)] == []


def test_a_clear_scan_has_right_answers_too() -> None:
    for wanted, answer in (
        ("findings", "No abnormality."), ("normal", "Yes."), ("count", "None."),
        ("contrast", "No."),
    ):  # fmt: skip
        assert is_right(wanted, answer, CLEAR), wanted


def test_a_refusal_is_right_or_wrong_by_the_question() -> None:
    said = "I was not trained on pulmonary embolism."
    assert is_refusal(said)
    assert not claims(said)
    assert judge(said, "", "right", CHEST) == REFUSED
    assert judge(said, "presence: lung nodule", "wrong", CHEST) == REFUSED_WRONGLY
    assert judge(said, "presence: lung nodule", "either", CHEST) == REFUSED
    assert judge("No.", "", "right", CHEST) == WRONG
    assert judge("Yes.", "presence: lung nodule", "wrong", CHEST) == RIGHT


def test_every_free_question_is_one_that_can_be_judged() -> None:
    for row in free_questions():
        kind, _, rest = row.get("right", "").partition(":")
        assert row["refusal"] in ("right", "wrong", "either")
        assert bool(kind) == (row["refusal"] != "right")
        assert not kind or kind in JUDGES
        named = rest.split(",")[0].strip()
        assert not named or named in KINDS or named in {k.organ for k in KINDS.values()}


def test_the_table_of_free_questions_counts_and_lists_them() -> None:
    rows = (FreeAnswer("Where?", ("A nodule?",), "a | b", RIGHT), FreeAnswer("Hi", (), "x", WRONG))
    results = FreeResults("demo", {}, rows)
    assert results.counts == {RIGHT: 1, WRONG: 1, REFUSED: 0, REFUSED_WRONGLY: 0}
    assert "| 1 | 1 | 0 | 0 |" in results.table()
    assert r"| A nodule? → Where? | a \| b | right |" in results.table()
    assert results.as_dict()["answers"][0]["after"] == ["A nodule?"]


def free(topic: str, truth: str, answer: str, confidence: float = 0.5) -> Prediction:
    return Prediction(topic, "?", truth, "", answer, FREE, confidence=confidence)


def examined(*asked: Prediction) -> Examined:
    return Examined(1, "axial", "arterial", "chest", (), asked)


def test_free_answers_are_right_by_their_yes_or_no_else_by_their_words() -> None:
    assert free_right(free("wording", "Yes, in the sternum.", "Yes, in the thoracic spine."))
    assert not free_right(free("wording", "None seen.", "No."))
    assert free_right(free("size", "20 mm.", "24 mm."))
    assert not free_right(free("size", "20 mm.", "Not seen."))
    assert free_right(free("place", "Right side.", "right side"))
    assert not free_right(free("place", "Right side.", "Left side."))
    assert free_right(
        free("followup", "I was not trained on goitre.", "I was not trained on that.")
    )


def test_what_is_not_known_is_counted_as_refused_or_asserted() -> None:
    asked = (
        free(UNKNOWN, "I was not trained on that.", "I was not trained on emphysema."),
        free(UNKNOWN, "I was not trained on that.", "Yes, in the sternum."),
        free(UNKNOWN, "I was not trained on that.", "No."),
        free(OFFTOPIC, "I only answer questions about this scan.", "Right upper lobe."),
    )
    figures = count_free([examined(*asked)])
    values = {name: round(f.value, 3) for name, f in figures.items() if f is not None}
    assert values["free unknown, refused"] == 0.333
    assert values["free unknown, asserted"] == 0.333
    assert values["free offtopic, asserted"] == 1
    assert values["free offtopic, refused"] == 0


def test_synonyms_are_counted_balanced() -> None:
    asked = [free(SYNONYM, "Yes, in the liver.", said) for said in ("Yes.", "No.")]
    asked.append(free(SYNONYM, "No.", "No."))
    figure = count_free([examined(*asked)])["free synonyms, balanced accuracy"]
    assert figure is not None
    assert figure.value == 0.75


def test_the_surest_answers_are_told_by_coverage() -> None:
    sure = [free("wording", "No.", "No.", 0.9 + k / 1000) for k in range(8)]
    unsure = [free("wording", "No.", "Yes.", 0.1), free("wording", "No.", "Yes.", 0.2)]
    figures = count_selective([examined(*sure, *unsure)])
    values = {name: round(f.value, 3) for name, f in figures.items() if f is not None}
    assert values["selective free words, 1.00"] == 0.8
    assert values["selective free words, 0.90"] == 0.889
    assert values["selective free words, 0.80"] == 1


def test_windows_are_counted_apart() -> None:
    lung = Prediction("lung", "?", "Yes, here.", "", "No.", WINDOW)
    figures = count_windows([examined(lung)])
    assert figures["window bone, presence"] is None
    wrong = figures["window lung, presence"]
    assert wrong is not None
    assert wrong.value == 0
    assert {other_window(seed) for seed in range(9)} == {"", "soft tissue", "lung", "bone"}


def test_every_phantom_is_asked_every_row_in_words_of_its_own() -> None:
    rng = np.random.default_rng(3)
    texts = set()
    for seed in range(30):
        asked = list(free_questions_of(draw_facts(rng), seed))
        assert {row for row, _ in asked} >= {*WORDED, UNKNOWN, OFFTOPIC, SYNONYM}
        for row, question in asked:
            assert row != UNKNOWN or is_refusal(question.answer)
            assert polarity(question.answer) is not None or row != SYNONYM
            texts.add(question.prompt)
    assert len(texts) > 250


def test_buttons_are_right_where_they_say_all_and_no_more() -> None:
    assert fault_of("Organ", "Lung, pleura.", CHEST) == ""
    assert "is not" in fault_of("Organ", "Lung.", CHEST)
    assert fault_of("Location", "both sides, right upper lobe", CHEST) == ""
    assert fault_of("Abnormality", "No abnormality.", CLEAR) == ""
    said = report(CHEST)
    assert report_fault(said, CHEST) == ""
    assert report_fault(said.replace("20 mm", "25 mm"), CHEST) == ""
    assert "20 mm" in report_fault(said.replace("20 mm", "35 mm"), CHEST)
    assert "Pleura" in report_fault(said.replace("both sides", "the left side"), CHEST)
    assert "Aorta" in report_fault(said.replace("Aorta: normal", "Aorta: aneurysm"), CHEST)
    assert "open with" in report_fault(said.replace("arterial", "delayed"), CHEST)
