"""Tests of an answer do what they say, and their numbers are those of the whole model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import med2e3
from med2e3.errors import Cancelled, InputError, QuestionError
from med2e3.evidence.answer_words import ADDED, REMOVED, SAME, marked, mirrored_words, words_of
from med2e3.evidence.interventions import TESTS, Choices, applicable, run_tests
from med2e3.evidence.leave_one_out import LeaveOneOut, leave_one_out
from med2e3.evidence.outcomes import Outcome
from med2e3.evidence.probing import Probe, grid_of, with_grid
from med2e3.phantoms import Phantom, Wish, make_phantom

QUESTION = "Where is the kidney cyst?"
TINY_QUESTION = "is there a nodule in the left lung ?"


def answered(session: med2e3.Session, question: str = QUESTION, **options: Any) -> med2e3.Answer:
    answer = session.ask(question, **options)
    answer.complete()
    return answer


@torch.inference_mode()
def whole_pass(
    session: med2e3.Session, question: str, weights: np.ndarray | None, count: int
) -> tuple[list[int], list[float]]:
    """The greedy answer by whole passes from the voxels on, with nothing kept, weights forced."""
    network, processor = session.model.backend.network, session.model.backend.processor
    ids = processor.prompt_ids([(question, None)])
    image = network.config.image_token_id
    first = ids.index(image)
    embed = network.get_input_embeddings()
    features = network.encode_images(session.input.grid[None])
    if weights is None:
        text = network.encode_question(torch.tensor([processor.question_ids(question)]))
        scores, _ = network.weigh_slices(features, text, 1)
    else:
        scores = torch.tensor(weights, dtype=torch.float32)[None]
    visual = network.visual_tokens(features, scores)
    tokens: list[int] = []
    probabilities = []
    end = processor.tokenizer.eos_token_id
    while len(tokens) < count:
        after = [*ids[first + processor.num_visual_tokens :], *tokens]
        rows = [embed(torch.tensor([ids[:first]], dtype=torch.long)), visual]
        rows.append(embed(torch.tensor([after])))
        logits = network.language_model(inputs_embeds=torch.cat(rows, dim=1)).logits[0, -1]
        token = int(logits.argmax())
        if token == end:
            break
        tokens.append(token)
        probabilities.append(float(logits.softmax(0)[token]))
    return tokens, probabilities


def forced(scores: np.ndarray, left_out: list[int]) -> np.ndarray:
    """Scores with some at zero, made to sum to 1 again: by hand, without the model's softmax."""
    weights = scores.astype(np.float64).copy()
    weights[left_out] = 0
    return weights / weights.sum()


def test_leaving_slices_out_is_the_model_run_with_these_weights_forced(
    seen: med2e3.Session,
) -> None:
    answer = answered(seen)
    assert answer.scores is not None
    left_out = [scored.band.model_slice for scored in answer.scores.top(3)]
    weights = forced(answer.scores.values, left_out)
    tokens, probabilities = whole_pass(seen, QUESTION, weights, 24)
    again = answered(seen, leave_out=left_out)
    assert again.token_ids == tokens
    np.testing.assert_allclose(again.token_probabilities, probabilities, atol=1e-5)
    probe = Probe(seen, answer)
    np.testing.assert_allclose(probe.without(left_out), weights, atol=1e-6)
    (found,) = probe.under_weights(probe.without(left_out)[None])
    if tokens == answer.token_ids:
        np.testing.assert_allclose(found.probabilities, probabilities, atol=1e-5)
    assert found.same == (tokens == answer.token_ids)


def test_an_answer_that_changes_is_the_one_of_forced_weights(
    tiny_session: med2e3.Session,
) -> None:
    answer = answered(tiny_session, TINY_QUESTION, max_new_tokens=6)
    assert answer.scores is not None
    changed = 0
    for k in range(8):
        (outcome,) = run_tests(tiny_session, answer, ["leave-out"], Choices(bands=(k,)))
        tokens, _ = whole_pass(tiny_session, TINY_QUESTION, forced(answer.scores.values, [k]), 6)
        decode = tiny_session.model.backend.processor.decode
        assert outcome.after == decode(tokens).strip()
        changed += not outcome.same
    assert changed, "the tiny model must show a change for this to prove anything"


def test_kept_features_give_the_tokens_of_nothing_kept_under_every_condition(
    seen: med2e3.Session,
) -> None:
    grid = grid_of(seen)
    for changed in (torch.zeros_like(grid), grid.flip(3), grid[:, torch.randperm(32)]):
        session = with_grid(seen, changed)
        tokens, probabilities = whole_pass(session, QUESTION, None, 24)
        answer = answered(session)
        assert answer.token_ids == tokens
        np.testing.assert_allclose(answer.token_probabilities, probabilities, atol=1e-5)
        again = Probe(session, answer).elsewhere(session)
        np.testing.assert_allclose(again.probabilities, probabilities, atol=1e-5)


def test_each_slice_left_out_in_a_batch_is_each_left_out_alone(
    tiny_session: med2e3.Session,
) -> None:
    answer = answered(tiny_session, TINY_QUESTION, max_new_tokens=5)
    found = leave_one_out(tiny_session, answer)
    assert len(found.without) == 8
    for k in range(8):
        alone = answered(tiny_session, TINY_QUESTION, max_new_tokens=5, leave_out=[k])
        assert found.changed[k] == (alone.token_ids != answer.token_ids)
        if not found.changed[k]:
            assert found.without[k] == pytest.approx(
                float(np.prod(alone.token_probabilities)), rel=1e-4
            )
    assert any(found.changed)
    assert LeaveOneOut.from_json(found.to_json()) == found


def test_every_test_tells_both_answers_and_how_probable_the_first_still_is(
    seen: med2e3.Session, phantom: Phantom
) -> None:
    answer = answered(seen)
    other = make_phantom(20_000_050, Wish(plane=phantom.plane, findings=[("free fluid", None)]))
    found = run_tests(seen, answer, list(TESTS), Choices(other=other.volume))
    assert {outcome.test for outcome in found} == set(TESTS)
    for outcome in found:
        assert outcome.before == answer.text
        assert outcome.probability_before == pytest.approx(
            float(np.prod(answer.token_probabilities))
        )
        assert [w.text for w in outcome.words] == answer.text.split()
        assert np.prod([w.before for w in outcome.words]) == pytest.approx(
            outcome.probability_before, rel=1e-6
        )
        if not outcome.draws:
            assert np.prod([w.after for w in outcome.words]) == pytest.approx(
                outcome.probability_after, rel=1e-6
            )
        kept = " ".join(p.text for p in outcome.parts if p.change != ADDED)
        assert kept == outcome.before
        assert " ".join(p.text for p in outcome.parts if p.change != REMOVED) == outcome.after
        assert outcome.before in outcome.sentence or outcome.draws
        assert Outcome.from_json(outcome.to_json()) == outcome
    by_name = {outcome.test: outcome for outcome in found}
    assert by_name["blank"].after != answer.text, "the answer must need the volume"
    assert by_name["blank"].probability_after < 0.5
    assert by_name["mirrored"].expected == "Left kidney."
    assert by_name["mirrored"].after == "Left kidney."
    assert "as they should be" in by_name["mirrored"].sentence


def test_random_bands_are_others_than_those_tested_and_repeat_by_their_seed(
    tiny_session: med2e3.Session,
) -> None:
    answer = answered(tiny_session, TINY_QUESTION, max_new_tokens=5)
    one, again, other = (
        run_tests(tiny_session, answer, ["random-bands"], Choices(bands=(0, 1), seed=seed))[0]
        for seed in (3, 3, 4)
    )
    assert one == again
    assert one.draws != other.draws
    assert len(one.draws) == 20
    assert one.probability_after == pytest.approx(np.mean(one.draws))
    assert not set(one.left_out) & {0, 1}
    assert one.changed <= 20


def test_shuffling_repeats_by_its_seed(seen: med2e3.Session) -> None:
    answer = answered(seen)
    runs = [run_tests(seen, answer, ["shuffled"], Choices(seed=s))[0] for s in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0].probability_after != runs[2].probability_after


def test_rewordings_can_be_ones_own(seen: med2e3.Session) -> None:
    answer = answered(seen)
    mine = ("In which kidney is the cyst?",)
    (outcome,) = run_tests(seen, answer, ["rewordings"], Choices(rewordings=mine))
    assert mine[0] in outcome.setting
    assert outcome.after == answered(seen, mine[0]).text


def test_a_drawn_answer_is_drawn_again_with_its_seed(tiny_session: med2e3.Session) -> None:
    answer = answered(tiny_session, TINY_QUESTION, max_new_tokens=6, temperature=2.0, seed=7)
    (outcome,) = run_tests(tiny_session, answer, ["leave-out"], Choices(bands=(2,)))
    alone = answered(
        tiny_session, TINY_QUESTION, max_new_tokens=6, temperature=2.0, seed=7, leave_out=[2]
    )
    assert outcome.after == alone.text


def test_an_answer_that_leaves_slices_out_itself_keeps_them_out(
    tiny_session: med2e3.Session,
) -> None:
    answer = answered(tiny_session, TINY_QUESTION, max_new_tokens=5, leave_out=[1, 2])
    probe = Probe(tiny_session, answer)
    assert (probe.without([4])[[1, 2, 4]] == 0).all()
    (outcome,) = run_tests(tiny_session, answer, ["leave-out"], Choices(bands=(4,)))
    alone = answered(tiny_session, TINY_QUESTION, max_new_tokens=5, leave_out=[1, 2, 4])
    assert outcome.after == alone.text


def test_work_is_told_and_can_be_stopped(seen: med2e3.Session) -> None:
    answer = answered(seen)
    told: list[float] = []
    run_tests(seen, answer, ["blank", "mirrored"], progress=lambda f, what: told.append(f))
    assert told == [0.0, 0.5, 1.0]
    with pytest.raises(Cancelled):
        run_tests(seen, answer, ["blank"], cancelled=lambda: True)


@pytest.mark.parametrize(
    ("tests", "choices", "error", "said"),
    [
        (["tickle"], Choices(), InputError, "There is no test 'tickle'"),
        ([], Choices(), InputError, "No test was named"),
        (["other-volume"], Choices(), InputError, "needs the volume of another patient"),
        (["leave-out"], Choices(bands=tuple(range(8))), QuestionError, "All 8 slices"),
        (["leave-out"], Choices(bands=(8,)), QuestionError, "are 0 to 7"),
        (["blank-bands"], Choices(bands=(-1,)), QuestionError, "are 0 to 7"),
        (["random-bands"], Choices(bands=tuple(range(8))), QuestionError, "there are none"),
        (["rewordings"], Choices(), QuestionError, "no ready rewordings"),
    ],
)
def test_what_cannot_be_tested_is_said_by_name(
    tiny_session: med2e3.Session,
    tests: list[str],
    choices: Choices,
    error: type[Exception],
    said: str,
) -> None:
    answer = answered(tiny_session, TINY_QUESTION, max_new_tokens=3)
    with pytest.raises(error, match=said):
        run_tests(tiny_session, answer, tests, choices)


def test_unfinished_answers_are_refused(tiny_session: med2e3.Session) -> None:
    with pytest.raises(QuestionError, match="not begun"):
        Probe(tiny_session, tiny_session.ask(TINY_QUESTION))
    stopped = tiny_session.ask(TINY_QUESTION, max_new_tokens=9)
    for _ in stopped:
        break
    with pytest.raises(QuestionError, match="not complete"):
        Probe(tiny_session, stopped)


def test_a_model_without_scores_is_told_so_and_keeps_its_other_tests(
    tiny_folder: Any, block: Any
) -> None:
    model = med2e3.load(tiny_folder(aggregation="max"), device="cpu")
    session = model.read(block)
    answer = answered(session, TINY_QUESTION, max_new_tokens=3)
    with pytest.raises(QuestionError, match="no slice scores"):
        run_tests(session, answer, ["leave-out"])
    with pytest.raises(QuestionError, match="no slice scores"):
        leave_one_out(session, answer)
    names = applicable(has_scores=False)
    assert "leave-out" not in names
    assert "other-volume" not in names
    assert "blank" in names
    run_tests(session, answer, ["blank", "shuffled", "blank-bands"], Choices(bands=(1,)))


def test_marked_words_are_those_that_differ() -> None:
    parts = marked("Yes, in the right kidney.", "Yes, in the left lobe of it.")
    assert [(p.text, p.change) for p in parts] == [
        ("Yes, in the", SAME), ("right kidney.", REMOVED), ("left lobe of it.", ADDED),
    ]  # fmt: skip
    assert mirrored_words("Right kidney, left; upright") == "Left kidney, right; upright"


def test_the_tokens_of_words_are_those_that_spell_them() -> None:
    pieces = {0: "Per", 1: "ito", 2: "neum", 3: ".", 4: " Free", 5: " ", 6: "fluid"}

    def decode(ids: list[int]) -> str:
        return "".join(pieces[i] for i in ids)

    words = words_of([0, 1, 2, 3, 4, 5, 6], [0.5, 0.5, 1, 1, 0.1, 0.2, 0.3], decode)
    assert [w.text for w in words] == ["Peritoneum.", "Free", "fluid"]
    assert [w.probability for w in words] == pytest.approx([0.25, 0.1, 0.06])
