"""From logits to tokens to text."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from med2e3.engine.decoding import SamplingParams, TextStream, TokenSampler

#: Token ids → bytes; 2 and 3 are the halves of "µ".
BYTES = {0: b" three", 1: b" mm", 2: b"\xc2", 3: b"\xb5", 4: b" ", 5: b"."}


def stream(ids: list[int]) -> tuple[list[str], str]:
    texts = TextStream(lambda ids: b"".join(BYTES[i] for i in ids).decode(errors="replace"))
    pieces = [texts.push(ids[: n + 1]) for n in range(len(ids))]
    return [*pieces, texts.flush(ids)], texts.text


def test_half_characters_wait_for_their_other_half() -> None:
    assert stream([0, 2, 3, 5]) == (["three", "", "µ", ".", ""], "threeµ.")


def test_an_unfinished_character_at_the_end_is_shown_as_such() -> None:
    assert stream([0, 2])[1] == "three\N{REPLACEMENT CHARACTER}"


def test_white_space_at_the_ends_is_no_part_of_an_answer() -> None:
    pieces, text = stream([4, 0, 4, 1, 4])
    assert text == "three  mm"
    assert "".join(pieces) == text


def test_top_p_never_takes_a_token_outside_the_nucleus() -> None:
    logits = torch.tensor([2.0, 1.9, 0.0, -1.0])
    chooser = TokenSampler(SamplingParams(temperature=1.0, top_p=0.8, seed=3))
    assert {chooser.choose(logits) for _ in range(200)} == {0, 1}


def test_the_nucleus_ends_where_it_holds_its_share() -> None:
    """Halves and quarters are exact in binary: the first token alone holds a half."""
    logits = torch.log(torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64))
    for top_p, held in ((0.5, {0}), (0.5001, {0, 1, 2}), (0.25, {0})):
        chooser = TokenSampler(SamplingParams(temperature=1.0, top_p=top_p, seed=3))
        assert {chooser.choose(logits) for _ in range(200)} <= held
        assert chooser.choose(logits) in held


def test_temperature_shapes_the_shares() -> None:
    logits = torch.log(torch.tensor([0.8, 0.2]))
    chooser = TokenSampler(SamplingParams(temperature=0.5, seed=1))
    share = sum(chooser.choose(logits) == 0 for _ in range(2000)) / 2000
    assert share == pytest.approx(0.64 / 0.68, abs=0.02)


def test_importing_the_package_does_not_load_torch() -> None:
    code = (
        "import sys, med2e3; assert 'torch' not in sys.modules; "
        "med2e3.Volume; assert 'torch' not in sys.modules; assert 'load' in dir(med2e3)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
