"""The matrix of questions and slices: sorted, compared, and back from JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import med2e3
from med2e3.errors import InputError
from med2e3.evidence.matrix import Matrix, Row, compare, matrix_of


def row(name: str, *scores: float) -> Row:
    return Row(name, "", (), scores)


ROWS = (row("a", 0.7, 0.2, 0.1), row("b", 0.1, 0.1, 0.8), row("c", 0.6, 0.3, 0.1))


def test_two_rows_are_compared() -> None:
    same = compare(ROWS[0], ROWS[0])
    assert (same.correlation, same.divergence_bits) == (pytest.approx(1), 0)
    pair = compare(ROWS[0], ROWS[1])
    assert pair.difference == pytest.approx((-0.6, -0.1, 0.7))
    assert pair.correlation == pytest.approx(np.corrcoef(ROWS[0].scores, ROWS[1].scores)[0, 1])
    p, q = np.array(ROWS[0].scores), np.array(ROWS[1].scores)
    m = (p + q) / 2
    bits = (np.sum(p * np.log2(p / m)) + np.sum(q * np.log2(q / m))) / 2
    assert pair.divergence_bits == pytest.approx(bits)
    assert compare(row("x", 1, 0), row("y", 0, 1)).divergence_bits == pytest.approx(1)
    assert np.isnan(compare(row("flat", 0.5, 0.5), row("y", 0, 1)).correlation)


def test_like_rows_stand_together_and_time_comes_back() -> None:
    matrix = Matrix(ROWS, (0, 1, 2))
    alike = matrix.ordered("similarity")
    assert [r.question for r in alike.rows] == ["a", "c", "b"]
    assert alike.order == (0, 2, 1)
    assert alike.ordered("time") == matrix
    assert alike.ordered("similarity") == alike
    assert len(matrix.pairs()) == 3
    assert matrix.compare(0, 1) == compare(ROWS[0], ROWS[1])
    assert Matrix.from_json(alike.to_json()) == alike
    with pytest.raises(InputError, match="sorted by 'size'"):
        matrix.ordered("size")


def test_a_row_brings_its_answer_and_prompt_back(tiny_session: med2e3.Session) -> None:
    questions = ("is there a nodule ?", "what plane is the scan ?")
    answers = [tiny_session.ask(q, max_new_tokens=3) for q in questions]
    for answer in answers:
        answer.complete()
    matrix = matrix_of(answers)
    for found, answer in zip(matrix.rows, answers, strict=True):
        assert found.answer == answer.text
        assert found.prompt_ids == answer.prompt.ids
        assert answer.scores is not None
        assert found.scores == pytest.approx(answer.scores.values.tolist())


def test_what_makes_no_matrix_is_said(
    tiny: med2e3.Model, tiny_session: med2e3.Session, tiny_folder: Any, block: Any
) -> None:
    with pytest.raises(InputError, match="at least one answer"):
        matrix_of([])
    deaf = med2e3.load(tiny_folder(aggregation="max"), device="cpu").read(block)
    with pytest.raises(InputError, match="no slice scores"):
        matrix_of([deaf.ask("is there a nodule ?")])
    other = tiny.read(block, plane="coronal").ask("is there a nodule ?")
    with pytest.raises(InputError, match="other slices"):
        matrix_of([tiny_session.ask("is there a nodule ?"), other])
