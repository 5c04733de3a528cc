"""How sure a model is of an answer, and what is known of that: numbers of the model itself."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import med2e3
from med2e3.errors import DataError, InputError
from med2e3.evaluation.calibration import Bin
from med2e3.evidence.certainty import (
    CLOSED,
    OPEN,
    PRESENCE,
    UNSURE,
    Certainty,
    choices_of,
    form_of,
    how_sure,
    probabilities_of_starts,
)
from med2e3.evidence.familiarity import LEAST_ALIKE, compare, familiarity
from med2e3.evidence.probing import Probe
from med2e3.evidence.reliability import (
    FILE,
    Level,
    Reliability,
    enough_of,
    read_reliability,
    write_reliability,
)
from med2e3.evidence.rewording import known_questions
from med2e3.resources import resource_path
from med2e3.words import percent_text

CLOSED_QUESTION = "In which plane is this CT shown? Choices: A. oblique B. axial C. coronal"


def answered(session: med2e3.Session, question: str, **options: Any) -> med2e3.Answer:
    answer = session.ask(question, **options)
    answer.complete()
    return answer


def test_an_answer_and_its_words_have_the_probabilities_of_their_tokens(
    seen: med2e3.Session,
) -> None:
    answer = answered(seen, "Where is the kidney cyst?")
    found = how_sure(seen, answer)
    product = float(np.prod(answer.token_probabilities))
    assert found.probability == pytest.approx(product)
    assert np.prod([w.probability for w in found.words]) == pytest.approx(product)
    assert [w.text for w in found.words] == answer.text.split()
    assert (found.form, found.deciding) == (OPEN, pytest.approx(product))
    assert f"{product:.3f}" in found.sentence
    assert Certainty.from_json(found.to_json()) == found


def test_each_choice_has_the_probability_that_the_answer_begins_with_it(
    seen: med2e3.Session,
) -> None:
    answer = answered(seen, CLOSED_QUESTION)
    found = how_sure(seen, answer)
    assert answer.text == "B. axial"
    assert [option.text for option in found.options] == ["A. oblique", "B. axial", "C. coronal"]
    by_text = {option.text: option.probability for option in found.options}
    assert by_text["B. axial"] == pytest.approx(found.deciding, abs=1e-5)
    assert sum(by_text.values()) <= 1 + 1e-6
    assert found.form == CLOSED


def test_presence_has_the_opposite(seen: med2e3.Session) -> None:
    found = how_sure(seen, answered(seen, "Is there a kidney cyst?"))
    assert found.form == PRESENCE
    assert {option.text for option in found.options} == {"Yes", "No"}
    assert sum(option.probability for option in found.options) == pytest.approx(1, abs=0.01)


def test_a_start_has_the_probability_that_the_whole_model_gives_it(
    seen: med2e3.Session,
) -> None:
    """The next-token distribution of one whole pass, without keys and values that were kept."""
    import torch

    network, processor = seen.model.backend.network, seen.model.backend.processor
    question = "Is there a kidney cyst?"
    with torch.inference_mode():
        logits = network(**processor(question, seen.input.grid[None])).logits[0, -1]
    probe = Probe(seen, answered(seen, question))
    for word in ("Yes", "No", "Coronal"):
        (token,) = processor.answer_ids(question, word)
        (value,) = probabilities_of_starts(probe, [word])
        assert value == pytest.approx(float(logits.softmax(0)[token]), abs=1e-5)


def test_a_report_is_told_by_sentence(seen: med2e3.Session) -> None:
    found = how_sure(seen, answered(seen, "Write a report of this scan."))
    said = found.sentences
    assert " ".join(sentence.text for sentence in said) == found.answer
    assert np.prod([sentence.probability for sentence in said]) == pytest.approx(found.probability)
    assert len(said) > 3
    assert "not of reports" in found.note


def test_the_form_is_told_by_question_and_answer() -> None:
    assert choices_of(CLOSED_QUESTION) == [("A", "oblique"), ("B", "axial"), ("C", "coronal")]
    assert choices_of("Which plane?") == []
    assert form_of("Is there a cyst?", "No.") == PRESENCE
    assert form_of("Is there a cyst?", "Nothing.") == OPEN
    assert form_of("Is there a cyst? Choices: A. yes B. no", "B. no") == CLOSED


def test_the_shipped_reliability_is_of_the_shipped_weights(
    demo: med2e3.Model, seen: med2e3.Session
) -> None:
    known = read_reliability(demo.info)
    assert known is not None
    assert set(known.forms) == {CLOSED, PRESENCE, OPEN}
    found = how_sure(seen, answered(seen, CLOSED_QUESTION))
    assert found.level == known.level(CLOSED, found.deciding)
    assert found.level is not None
    assert f"right in {percent_text(found.level.right)} of {found.level.count}" in found.known
    assert found.known in found.sentence


def test_what_an_evaluation_counted_comes_back(tmp_path: Path, demo: med2e3.Model) -> None:
    bins = {"closed": (Bin(0.0, 0.1, 3, 0.05, 1 / 3), Bin(0.9, 1.0, 40, 0.97, 0.95)), "open": ()}
    write_reliability(tmp_path / FILE, "abc", "40 phantoms", bins)
    info = dataclasses.replace(demo.info, path=str(tmp_path), weights_sha256="abc")
    known = read_reliability(info)
    assert known is not None
    assert known.level(CLOSED, 1.0) == Level(0.9, 1.0, 40, 0.95)
    assert known.level(CLOSED, 0.9) == Level(0.9, 1.0, 40, 0.95)
    assert known.level(CLOSED, 0.5) is None
    assert known.level(OPEN, 0.95) is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read"),
        ('{"format": 1}', "cannot be read"),
        ('{"format": 9, "weights_sha256": "", "what": "", "forms": {}}', "has format 9"),
        ('{"format": 1, "weights_sha256": "0", "what": "", "forms": {}}', "of other weights"),
    ],
)
def test_a_file_of_another_model_or_format_is_not_used_and_named(
    content: str, said: str, tmp_path: Path, demo: med2e3.Model, tiny_session: med2e3.Session,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / FILE).write_text(content)
    info = dataclasses.replace(tiny_session.model.info, path=str(tmp_path))
    with pytest.raises(DataError, match=said):
        read_reliability(info)
    monkeypatch.setattr(tiny_session.model, "info", info)
    answer = answered(tiny_session, "is there a nodule ?", max_new_tokens=3)
    found = how_sure(tiny_session, answer)
    assert found.level is None
    assert said in found.note


def test_a_probability_that_was_not_met_is_said(seen: med2e3.Session) -> None:
    known = Reliability(1, "", "two phantoms", {"closed": (Level(0.0, 0.1, 2, 0.5),)})
    found = how_sure(seen, answered(seen, CLOSED_QUESTION), known)
    assert found.level is None
    assert "two phantoms" in found.note


def test_questions_of_the_training_are_known_and_others_are_named(demo: med2e3.Model) -> None:
    for question in known_questions():
        found = familiarity(question, demo.info)
        assert found is not None
        assert (found.likeness, found.unknown_words, found.sentence) == (1.0, (), "")
    fracture = familiarity("Is there a fracture?", demo.info)
    assert fracture is not None
    assert fracture.unknown_words == ("fracture",)
    assert "“fracture” never occurred" in fracture.sentence
    choices = familiarity("Which abnormality is seen? Choices: A. stroke B. liver cyst", demo.info)
    assert choices is not None
    assert choices.unknown_words == ("stroke",)
    alike = compare("Lung spleen organ plane?", known_questions())
    assert alike.likeness < LEAST_ALIKE
    assert "outside what the model was trained on; the nearest" in alike.sentence


def test_of_a_model_whose_questions_are_not_known_nothing_is_said(
    tiny_session: med2e3.Session,
) -> None:
    assert familiarity("Is there a fracture?", tiny_session.model.info) is None


def test_the_threshold_is_what_its_comment_says() -> None:
    """Of the phantoms' questions 95 % share at least this much with another one."""
    known = known_questions()
    likeness = [compare(q, [other for other in known if other != q]).likeness for q in known]
    assert len(known) == 257
    assert float(np.percentile(likeness, 5)) == pytest.approx(LEAST_ALIKE)


def test_text_that_is_no_certainty_is_refused() -> None:
    for text in ("{", "[]", '{"question": 1, "what": 2}', "{}"):
        with pytest.raises(InputError, match="no Certainty"):
            Certainty.from_json(text)


def test_a_copy_of_the_demo_model_keeps_its_reliability(tmp_path: Path) -> None:
    shutil.copytree(resource_path("demo-model"), tmp_path / "copy")
    model = med2e3.load(tmp_path / "copy", device="cpu")
    assert read_reliability(model.info) is not None


def test_people_s_own_words_are_known_to_models_that_were_trained_on_them() -> None:
    talks: Any = SimpleNamespace(is_demo=True, history_turns=2)
    before: Any = SimpleNamespace(is_demo=True, history_turns=0)
    for question in ("any ascites?", "splenomegaly", "how big is it?", "Rule out a PTX."):
        known, then = familiarity(question, talks), familiarity(question, before)
        assert known is not None
        assert then is not None
        assert not known.is_outside, question
        assert then.is_outside, question
    strange = familiarity("Does the tibia show a bimalleolar avulsion?", talks)
    assert strange is not None
    assert strange.unknown_words == ("tibia", "bimalleolar", "avulsion")


def test_answers_are_sure_from_where_nearly_all_were_right() -> None:
    levels = [Level(0.7, 0.8, 10, 0.5), Level(0.8, 0.9, 10, 0.9), Level(0.9, 1.0, 100, 1.0)]
    assert enough_of(levels) == 0.8  # 109 of 110; with the next level 114 of 120
    assert enough_of([Level(0.9, 1.0, 10, 0.9)]) == 1.0
    assert enough_of([]) == 1.0


def test_an_answer_below_that_says_that_the_model_is_not_sure(seen: med2e3.Session) -> None:
    answer = answered(seen, "Is there a kidney cyst?")
    found = {}
    for enough in (0.0, 1.1):
        known = Reliability(1, "", "made up", {}, {PRESENCE: enough})
        found[enough] = how_sure(seen, answer, known)
    assert not found[0.0].unsure
    assert found[1.1].unsure
    assert found[1.1].sentence.startswith(UNSURE)
    assert UNSURE not in found[0.0].sentence


def test_the_shipped_model_has_a_threshold_for_every_form(demo: med2e3.Model) -> None:
    known = read_reliability(demo.info)
    assert known is not None
    assert known.enough == {form: enough_of(levels) for form, levels in known.forms.items()}
    assert set(known.enough) == {CLOSED, PRESENCE, OPEN}
    assert all(0.3 < least < 1 for least in known.enough.values())


def test_an_answer_of_absence_has_an_opposite() -> None:
    assert form_of("No gallstone?", "None seen.") == PRESENCE
    assert form_of("No gallstone?", "Seen, in the gallbladder.") == PRESENCE
