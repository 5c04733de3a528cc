"""The faithfulness of one answer: its curves are runs of the model, and its parts are put back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import med2e3
from med2e3.errors import Cancelled, InputError, QuestionError
from med2e3.evidence.conditions import STABILITY, Conditions
from med2e3.evidence.faithfulness import Faithfulness, Settings, faithfulness, localisation
from med2e3.evidence.randomising import parts_of, randomised, randomised_scores

QUESTION = "is there a nodule in the left lung ?"
FEW = Settings(orders=4, subsets=6, sizes=(1, 3))


def answered(session: med2e3.Session, **options: Any) -> med2e3.Answer:
    answer = session.ask(QUESTION, max_new_tokens=4, **options)
    answer.complete()
    return answer


@pytest.fixture(scope="module")
def measured(tiny_session: med2e3.Session) -> Faithfulness:
    return faithfulness(tiny_session, answered(tiny_session), settings=FEW, held=[2, 3])


@torch.inference_mode()
def probability_of(session: med2e3.Session, tokens: list[int], weights: np.ndarray) -> float:
    """The tokens' probability by one whole pass from the voxels on, with these slice weights."""
    network, processor = session.model.backend.network, session.model.backend.processor
    ids = processor.prompt_ids([(QUESTION, None)])
    first = ids.index(network.config.image_token_id)
    after = [*ids[first + processor.num_visual_tokens :], *tokens]
    features = network.encode_images(session.input.grid[None])
    visual = network.visual_tokens(features, torch.tensor(weights, dtype=torch.float32)[None])
    embed = network.get_input_embeddings()
    before = embed(torch.tensor([ids[:first]], dtype=torch.long))
    rows = torch.cat([before, visual, embed(torch.tensor([after]))], dim=1)
    shares = network.language_model(inputs_embeds=rows).logits[0].softmax(1)
    last = rows.shape[1] - 1
    places = range(last - len(tokens), last)
    return float(np.prod([float(shares[k, t]) for k, t in zip(places, tokens, strict=True)]))


def test_the_curves_are_whole_passes_of_the_model_with_these_weights(
    tiny_session: med2e3.Session, measured: Faithfulness
) -> None:
    answer = answered(tiny_session)
    scores = np.array(measured.scores)
    order = np.argsort(-scores, kind="stable")
    for k in range(8):
        for gone, curve in ((order[:k], measured.deletion), (order[k + 1 :], measured.insertion)):
            weights = scores.copy()
            weights[gone] = 0
            found = probability_of(tiny_session, answer.token_ids, weights / weights.sum())
            assert curve[k] == pytest.approx(found, rel=1e-3)
    assert measured.insertion[-1] == pytest.approx(measured.probability, rel=1e-4)
    assert measured.deletion[-1] != pytest.approx(measured.probability, rel=1e-2)


def test_everything_is_measured_and_comes_back_from_json(measured: Faithfulness) -> None:
    assert len(measured.deletion) == len(measured.insertion) == len(measured.scores) == 8
    assert len(measured.deletion_aopc.draws) == 4
    assert measured.deletion_aopc.value == pytest.approx(
        np.mean(measured.deletion[0] - np.array(measured.deletion))
    )
    assert list(measured.sensitivity_n) == ["1", "3"]
    assert measured.faithfulness_correlation == measured.sensitivity_n["3"]
    assert set(measured.stability) == set(STABILITY)
    assert measured.localisation["relevance mass accuracy"] == pytest.approx(
        sum(measured.scores[2:4]), rel=1e-6
    )
    again = Faithfulness.from_json(measured.to_json())
    assert again.to_json() == measured.to_json()
    low, high = measured.deletion_aopc.interval
    assert f"{low:.3f} to {high:.3f}" in measured.sentence


def test_the_same_seed_gives_the_same_numbers(
    tiny_session: med2e3.Session, measured: Faithfulness
) -> None:
    again = faithfulness(tiny_session, answered(tiny_session), settings=FEW, held=[2, 3])
    assert again.to_json() == measured.to_json()


def test_parts_drawn_anew_change_the_scores_and_are_put_back(
    tiny_session: med2e3.Session,
) -> None:
    model = tiny_session.model
    answer = answered(tiny_session)
    assert answer.scores is not None
    before = {k: v.clone() for k, v in model.backend.network.state_dict().items()}
    found = randomised_scores(tiny_session, [answer.prompt])
    assert set(found) >= {"connector2d", "vision2d", "vision3d", "word embeddings"}
    after = model.backend.network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not np.allclose(found["connector2d"][0], answer.scores.values)
    np.testing.assert_allclose([rows[0].sum() for rows in found.values()], 1, atol=1e-5)


def test_a_text_projection_drawn_anew_is_what_the_published_loader_runs(
    released: med2e3.Model, golden_volumes: Any
) -> None:
    """Scores with a random `text_mlp` differ; with the trained one put back they are the first."""
    session = released.read(golden_volumes["case0"])
    first = session.ask("Is there a nodule?").scores
    part = parts_of(released.backend.network)["text_projection"]
    with randomised(part, 3):
        other = session.ask("Is there a nodule?").scores
    again = session.ask("Is there a nodule?").scores
    assert first is not None
    assert other is not None
    assert again is not None
    assert not np.allclose(first.values, other.values, atol=1e-4)
    np.testing.assert_array_equal(first.values, again.values)


def test_parts_are_put_back_when_the_work_fails(tiny_session: med2e3.Session) -> None:
    part = tiny_session.model.backend.network.connector2d
    before = [p.clone() for p in part.parameters()]
    with pytest.raises(RuntimeError, match="midway"), randomised(part, 0):
        raise RuntimeError("midway")
    assert all(torch.equal(a, b) for a, b in zip(before, part.parameters(), strict=True))


def test_conditions_change_the_grid_as_they_say(tiny_session: med2e3.Session) -> None:
    grid = tiny_session.input.grid
    cases = Conditions(tiny_session)
    shifted = cases("shift by one slice").input.grid
    torch.testing.assert_close(shifted[:, 1:], grid[:, :-1])
    assert not cases("blank volume").input.grid.any()
    shuffled = cases("shuffled slices").input.grid
    assert not torch.equal(shuffled, grid)
    torch.testing.assert_close(shuffled.sum((0, 2, 3)).sort()[0], grid.sum((0, 2, 3)).sort()[0])
    middle = (0, 4, 16, 16)
    assert cases("window −10 %").input.grid[middle] == pytest.approx(
        float((grid[middle] - 0.5) / 0.9 + 0.5), abs=1e-6
    )
    wider = cases("crop +5 %").input.grid
    assert float(wider[:, :, 0].abs().max()) < float(grid[:, :, 0].abs().max()), "black around it"
    assert cases("shuffled slices") is cases("shuffled slices")


def test_localisation_of_marks() -> None:
    found = localisation(np.array([0.1, 0.6, 0.2, 0.1]), [1, 2])
    assert found == pytest.approx(
        {"pointing game": 1.0, "relevance mass accuracy": 0.8, "relevance rank accuracy": 1.0,
         "top 3": 2 / 3}
    )  # fmt: skip
    assert localisation(np.array([0.5, 0.5]), []) == {}


def test_what_cannot_be_measured_is_said(
    tiny_session: med2e3.Session, tiny_folder: Callable[..., Any], block: Any
) -> None:
    answer = answered(tiny_session)
    with pytest.raises(QuestionError, match="0 to 7"):
        faithfulness(tiny_session, answer, settings=FEW, held=[8])
    with pytest.raises(QuestionError, match="asked without 1 slices"):
        faithfulness(tiny_session, answered(tiny_session, leave_out=[3]), settings=FEW)
    with pytest.raises(InputError, match="orders is 1"):
        Settings(orders=1)
    with pytest.raises(InputError, match="Sizes"):
        Settings(sizes=())
    with pytest.raises(Cancelled):
        faithfulness(tiny_session, answer, settings=FEW, cancelled=lambda: True)
    deaf = med2e3.load(tiny_folder(aggregation="max"), device="cpu").read(block)
    with pytest.raises(QuestionError, match="no slice scores"):
        faithfulness(deaf, answered(deaf), settings=FEW)
