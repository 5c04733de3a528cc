"""Text metrics: equal to the recorded ones, and missing ones are named, never replaced."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from med2e3.errors import CheckpointError
from med2e3.evaluation import texts
from med2e3.evaluation.texts import bleu1, find_bertscore, meteor, open_metrics, rouge1


@pytest.fixture
def golden(fixtures: Path) -> Any:
    return json.loads((fixtures / "metrics" / "golden.json").read_text(encoding="utf-8"))


def test_bleu1_and_rouge1_equal_the_recorded_values(golden: Any) -> None:
    for case in golden["text"]:
        pair = case["prediction"], case["reference"]
        assert bleu1(*pair) == pytest.approx(case["bleu1"], abs=1e-9)
        assert rouge1(*pair) == pytest.approx(case["rouge1_f"], abs=1e-9)


def test_an_empty_answer_scores_nothing_by_any_metric() -> None:
    metrics = open_metrics()
    for values in metrics.score(["", " \n", "a liver cyst"], ["a liver cyst"] * 3).values():
        assert values[:2] == [0.0, 0.0]
        assert values[2] > 0.9
    assert bleu1(" ", "liver") == 0


#: WordNet's own file layout with four synsets: tumour and neoplasm mean one thing.
NOUNS = {
    "neoplasm": "00000000 26 n 02 tumour 0 neoplasm 0 000 | a growth  \n",
    "kidney": "00000051 26 n 01 kidney 0 000 | an organ  \n",
}


@pytest.fixture
def nltk_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The two data packages that METEOR reads, as small as their formats allow."""
    nltk = pytest.importorskip("nltk")
    wordnet = tmp_path / "corpora" / "wordnet"
    wordnet.mkdir(parents=True)
    lines = list(NOUNS.values())
    first = f"{0:08d}{lines[0][8:]}"
    second = f"{len(first.encode()):08d}{lines[1][8:]}"
    (wordnet / "data.noun").write_text(first + second, encoding="utf-8")
    index = [
        f"{word} n 1 0 1 0 {offset:08d}  \n"
        for word, offset in (("kidney", len(first.encode())), ("neoplasm", 0), ("tumour", 0))
    ]
    (wordnet / "index.noun").write_text("".join(index), encoding="utf-8")
    for part in ("verb", "adj", "adv"):
        (wordnet / f"data.{part}").write_text("")
        (wordnet / f"index.{part}").write_text("")
    for part in ("noun", "verb", "adj", "adv"):
        (wordnet / f"{part}.exc").write_text("")
    (wordnet / "lexnames").write_text(
        "".join(f"{k:02d}\tnoun.{k}\t1\n" for k in range(45)), encoding="utf-8"
    )
    (wordnet / "cntlist.rev").write_text("")
    (wordnet / "index.sense").write_text("")
    punkt = tmp_path / "tokenizers" / "punkt_tab" / "english"
    punkt.mkdir(parents=True)
    for name in ("collocations.tab", "sent_starters.txt", "abbrev_types.txt", "ortho_context.tab"):
        (punkt / name).write_text("")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    nltk.data.clear_cache()
    nltk.tokenize._get_punkt_tokenizer.cache_clear()
    from nltk.corpus import wordnet as corpus

    state = dict(corpus.__dict__), corpus.__class__
    yield tmp_path
    corpus.__class__ = state[1]
    corpus.__dict__.clear()
    corpus.__dict__.update(state[0])
    nltk.data.clear_cache()
    nltk.tokenize._get_punkt_tokenizer.cache_clear()


@pytest.mark.usefixtures("nltk_data")
def test_meteor_knows_words_stems_and_synonyms() -> None:
    assert texts.meteor_needs() == ""
    # All words in one piece: 1 − 0.5 · (1 chunk / 3 words)³.
    whole = 1 - 0.5 * (1 / 3) ** 3
    assert meteor("a kidney tumour", "a kidney tumour") == pytest.approx(whole)
    assert meteor("a kidney neoplasm", "a kidney tumour") == pytest.approx(whole)  # synonym
    assert meteor("a kidney tumours", "a kidney tumour") == pytest.approx(whole)  # stem
    # Two of three words: P = R = 2/3, one chunk of two.
    assert meteor("a kidney stone", "a kidney tumour") == pytest.approx(
        (2 / 3) * (1 - 0.5 * (1 / 2) ** 3)
    )
    assert "METEOR" in open_metrics().scorers
    assert meteor("", "a kidney") == 0


def test_meteor_without_its_data_is_not_computed_and_says_what_to_get(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nltk

    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    metrics = open_metrics()
    assert "METEOR" not in metrics.scorers
    assert "python -m nltk.downloader punkt_tab wordnet" in metrics.missing["METEOR"]


def test_bertscore_names_what_it_misses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts.importlib.util, "find_spec", lambda name: None)
    assert "pip install 'bert-score>=0.3.13'" in str(find_bertscore(None))
    monkeypatch.setattr(texts.importlib.util, "find_spec", lambda name: object())
    assert "holds no config.json" in str(find_bertscore(tmp_path))
    assert "roberta-large" in open_metrics(tmp_path).missing["BERTScore"]
    (tmp_path / "config.json").write_text("{}")
    assert find_bertscore(tmp_path) == tmp_path


def test_a_folder_that_bertscore_cannot_use_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"cannot use the model in .*remove --bertscore"):
        texts._BertScore(tmp_path)(["a"], ["a"])
