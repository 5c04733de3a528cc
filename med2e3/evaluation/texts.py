"""How near an answer's words are to the wanted ones: M3D-Bench's text metrics, by kept libraries.

BLEU-1 and ROUGE-1 are always there. METEOR needs data of NLTK, BERTScore a library and a language
model; where these are missing the metric is not computed, and `open_metrics` says what it needs.
Nothing is downloaded, and nothing takes a missing metric's place. An empty answer scores 0.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from med2e3.errors import CheckpointError

#: The model of M3D-Bench's BERTScore for English, and the layer whose states are compared.
BERTSCORE_MODEL, BERTSCORE_LAYER = "roberta-large", 17
#: Under which names the model may lie on this computer.
BERTSCORE_NAMES = ("FacebookAI/roberta-large", "roberta-large")

#: Scores many answers against as many wanted texts, 0..1 each.
Scorer = Callable[[Sequence[str], Sequence[str]], list[float]]


@dataclass(frozen=True)
class TextMetrics:
    """The metrics that can be computed here, by name, and why each of the others cannot."""

    scorers: dict[str, Scorer]
    missing: dict[str, str]

    def score(self, answers: Sequence[str], wanted: Sequence[str]) -> dict[str, list[float]]:
        """Every metric of every pair; an empty answer scores 0."""
        said = [k for k, answer in enumerate(answers) if answer.strip()]
        scores = {}
        for name, scorer in self.scorers.items():
            row = [0.0] * len(answers)
            if said:
                found = scorer([answers[k] for k in said], [wanted[k] for k in said])
                for k, value in zip(said, found, strict=True):
                    row[k] = value
            scores[name] = row
        return scores


def open_metrics(bertscore: str | Path | None = None) -> TextMetrics:
    """All text metrics that this computer allows; `bertscore` is the folder of its model."""
    opened = {name: metric(bertscore) for name, metric in TEXT_METRICS.items()}
    return TextMetrics(
        {name: scorer for name, scorer in opened.items() if not isinstance(scorer, str)},
        {name: needs for name, needs in opened.items() if isinstance(needs, str)},
    )


def one_by_one(metric: Callable[[str, str], float]) -> Scorer:
    """A scorer of many pairs from a metric of one answer and its wanted text."""
    return lambda answers, wanted: [metric(a, w) for a, w in zip(answers, wanted, strict=True)]


def bleu1(answer: str, wanted: str) -> float:
    """Clipped unigram precision times brevity penalty, by 13a words; 0..1.

    M3D-Bench's BLEU: one n-gram order, case kept, no smoothing.
    """
    if not answer.strip():
        return 0.0
    return min(1.0, float(_bleu().corpus_score([answer], [[wanted]]).score) / 100)


@cache
def _bleu() -> Any:
    from sacrebleu.metrics import BLEU

    return BLEU(max_ngram_order=1, tokenize="13a", smooth_method="none", effective_order=False)


def rouge1(answer: str, wanted: str) -> float:
    """F1 of the words in common, case and punctuation aside, without stemming; 0..1."""
    return float(_rouge().score(wanted, answer)["rouge1"].fmeasure)


def rouge_l(answer: str, wanted: str) -> float:
    """F1 of the longest common run of words, gaps allowed, as `rouge1`; 0..1."""
    return float(_rouge().score(wanted, answer)["rougeL"].fmeasure)


@cache
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rouge1", "rougeL"], use_stemmer=False)


def meteor(answer: str, wanted: str) -> float:
    """METEOR with NLTK's words, stems and synonyms, and its usual weights; 0..1.

    As M3D-Bench has it: α 0.9, β 3, γ 0.5. Raises LookupError where `meteor_needs` says something.
    """
    from nltk import word_tokenize
    from nltk.translate.meteor_score import single_meteor_score

    if not answer.strip():
        return 0.0
    return float(
        single_meteor_score(
            word_tokenize(wanted), word_tokenize(answer), alpha=0.9, beta=3, gamma=0.5
        )
    )


def meteor_needs() -> str:
    """What METEOR misses on this computer, as a sentence; empty where nothing.

    It reads `punkt_tab` to find where sentences end, and `wordnet` for words of one meaning.
    """
    from nltk import word_tokenize
    from nltk.corpus import wordnet

    trials: dict[str, Callable[[], Any]] = {
        "punkt_tab": lambda: word_tokenize("One. Two."),
        "wordnet": lambda: wordnet.synsets("kidney"),
    }
    absent = []
    for package, trial in trials.items():
        try:
            trial()
        except (LookupError, OSError):
            absent.append(package)
    if not absent:
        return ""
    return (
        f"METEOR needs NLTK's data {' and '.join(absent)}, which is not, or not whole, on this "
        f"computer. Get it once: python -m nltk.downloader {' '.join(absent)} (or name the folder "
        "that holds it in NLTK_DATA)."
    )


def find_bertscore(folder: str | Path | None) -> Path | str:
    """The folder of BERTScore's model, or the sentence that says what is missing."""
    if importlib.util.find_spec("bert_score") is None:
        return (
            "BERTScore needs the package bert-score, which is not installed. Install it: "
            "pip install 'bert-score>=0.3.13'."
        )
    if folder is not None:
        if (Path(folder) / "config.json").is_file():
            return Path(folder)
        return f"BERTScore needs the model {BERTSCORE_MODEL}; {folder} holds no config.json."
    from med2e3.checkpoints import Hub

    for name in BERTSCORE_NAMES:
        place = Hub().repo(name)
        if place is not None and (place / "config.json").is_file():
            return place
    return (
        f"BERTScore needs the model {BERTSCORE_MODEL}, which is not on this computer. Download "
        "it once and name its folder with --bertscore."
    )


class _BertScore:
    """BERTScore F1, without rescaling; the model loads at the first use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._scorer: Any = None

    def __call__(self, answers: Sequence[str], wanted: Sequence[str]) -> list[float]:
        if self._scorer is None:
            self._scorer = self._load()
        _, _, f1 = self._scorer.score(list(answers), list(wanted))
        return [float(value) for value in f1]

    def _load(self) -> Any:
        """Raises `CheckpointError` where the folder is not what the library can use."""
        from med2e3.model.inert import check_opened_by_library

        check_opened_by_library(
            self.folder
        )  # the library's own defaults would ask whether to run code
        try:
            from bert_score import BERTScorer

            return BERTScorer(model_type=str(self.folder), num_layers=BERTSCORE_LAYER, lang="en")
        except (AssertionError, ImportError, OSError, RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"BERTScore cannot use the model in {self.folder}: {error}. It must be "
                f"{BERTSCORE_MODEL} with its tokenizer; remove --bertscore to go without."
            ) from error


def _open_meteor(_: object) -> Scorer | str:
    return meteor_needs() or one_by_one(meteor)


def _open_bertscore(folder: str | Path | None) -> Scorer | str:
    found = find_bertscore(folder)
    return _BertScore(found) if isinstance(found, Path) else found


#: Metrics of open answers and reports, by the names of their figures. Each row takes the folder of
#: BERTScore's model and gives a scorer, or the sentence that says what this computer lacks. A new
#: metric is a function and a row: tables and reports of what is missing follow.
TEXT_METRICS: dict[str, Callable[[str | Path | None], Scorer | str]] = {
    "BLEU-1": lambda _: one_by_one(bleu1),
    "ROUGE-1": lambda _: one_by_one(rouge1),
    "ROUGE-L": lambda _: one_by_one(rouge_l),
    "METEOR": _open_meteor,
    "BERTScore": _open_bertscore,
}
