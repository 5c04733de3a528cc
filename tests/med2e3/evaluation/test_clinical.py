"""Clinical figures equal what was counted by hand; reports that are all alike are told."""

from __future__ import annotations

import json
import socket
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from med2e3.errors import CheckpointError, InputError
from med2e3.evaluation.clinical import (
    LABELS,
    collapse_figures,
    crg,
    label_figures,
    label_table,
)
from med2e3.evaluation.report_labels import (
    RadBert,
    find_radbert,
    no_network,
    open_clinical,
    open_radeval,
)

#: Three reports of four labels: there, and said.
TRUTH = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0]], bool)
SAID = np.array([[1, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]], bool)


def test_crg_equals_hand_counted_cases() -> None:
    # T = 12, A = 4, w = 8 / 8 = 1: TP 2, FN 2, FP 2 → s = 2 − 2 − 2 = −2, CRG = 4 / (8 + 2)
    assert crg(TRUTH, SAID) == pytest.approx(0.4)
    assert crg(TRUTH, TRUTH) == 1
    # Nothing said: s = −A·w, so that CRG is a third, whatever is there.
    assert crg(TRUTH, np.zeros_like(TRUTH)) == pytest.approx(1 / 3)
    # Everything wrong: s = −A·w − (T − A) = −3·A·w, so that CRG is a fifth.
    assert crg(TRUTH, ~TRUTH) == pytest.approx(0.2)
    # T = 20, A = 2, w = 18 / 4 = 4.5: TP 1, FN 1, FP 3 → s = 4.5 − 4.5 − 3, CRG = 9 / (18 + 3)
    truth, said = np.zeros((5, 4), bool), np.zeros((5, 4), bool)
    truth[0, 0] = truth[1, 1] = said[0, 0] = True
    said[2, :3] = True
    assert crg(truth, said) == pytest.approx(9 / 21)
    assert np.isnan(crg(np.zeros((2, 4), bool), said[:2]))


def test_f1_equals_hand_counted_cases() -> None:
    """By label: TP, FP, FN are (2, 0, 0), (0, 0, 1), (0, 1, 1), (0, 1, 0)."""
    figures = label_figures(TRUTH, SAID, ["a", "b", "c"])
    assert figures["labels, macro F1"].value == pytest.approx((1 + 0 + 0 + 0) / 4)
    assert figures["labels, micro F1"].value == pytest.approx(2 * 2 / (2 * 2 + 2 + 2))
    assert figures["labels, weighted F1"].value == pytest.approx((1 * 2 + 0 * 1 + 0 * 1) / 4)
    assert figures["CRG"].value == pytest.approx(0.4)
    # Chance holds each report against the next one's labels: {0} and {0, 1}, {0, 2} and {2},
    # {3} and {0}, so that TP 2, FP 2, FN 2; macro F1: 2·1/(2 + 1 + 1) of label 0, 1 of label 2.
    assert figures["labels, micro F1"].chance == pytest.approx(4 / (4 + 2 + 2))
    assert figures["labels, macro F1"].chance == pytest.approx((0.5 + 0 + 1 + 0) / 4)
    for figure in figures.values():
        assert figure.low <= figure.value <= figure.high


def test_f1_is_that_of_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    truth, said = rng.random((40, 18)) < 0.2, rng.random((40, 18)) < 0.3
    truth[:, 3] = said[:, 3] = False
    figures = label_figures(truth, said, [str(k) for k in range(40)])
    for kind in ("macro", "micro", "weighted"):
        wanted = sklearn.f1_score(truth, said, average=kind, zero_division=0)
        assert figures[f"labels, {kind} F1"].value == pytest.approx(wanted)


def test_rare_labels_have_a_recall_of_their_own() -> None:
    truth, said = np.zeros((30, 18), bool), np.zeros((30, 18), bool)
    truth[:, 0] = said[:, 0] = True
    truth[:2, 5] = truth[2, 6] = said[0, 5] = True
    figures = label_figures(truth, said, [str(k // 2) for k in range(30)])
    assert figures["rare labels, recall"].value == pytest.approx(1 / 3)
    table = label_table(truth, said, [str(k) for k in range(30)])
    assert table[f"label {LABELS[0]}, F1"].value == 1
    assert table[f"label {LABELS[5]}, recall"].value == 0.5
    assert table[f"label {LABELS[7]}, recall"] is None


def test_reports_that_are_all_alike_are_told() -> None:
    figures = collapse_figures(["No finding.", "no  finding.", "A nodule.", "No finding."])
    assert figures["reports, distinct"].value == 0.5
    assert figures["reports, commonest one"].value == 0.75
    assert figures["reports, commonest one"].chance == 0.25
    assert collapse_figures([]) == {}


@pytest.fixture(scope="module")
def radbert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with random weights and 18 labels, in the layout of the published classifier."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder = tmp_path_factory.mktemp("radbert")
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nno\nnodule\na\n.\n")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=9, intermediate_size=16, num_labels=18, **sizes)
    model = BertForSequenceClassification(config)
    model.bert.embeddings.word_embeddings.weight.data.mul_(100)
    for part in (*model.bert.encoder.parameters(), *model.bert.pooler.parameters()):
        part.data.mul_(20)
    model.classifier.weight.data.mul_(60)
    model.save_pretrained(folder)
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def test_labels_are_those_of_the_classifier_on_disk(radbert: Path, tmp_path: Path) -> None:
    assert find_radbert(radbert) == radbert
    marks = RadBert(radbert)(["a nodule .", "no nodule ."] * 10)
    assert marks.shape == (20, 18)
    assert marks.dtype == bool
    np.testing.assert_array_equal(marks[0], marks[18])
    assert (marks[0] != marks[1]).any()
    assert RadBert(radbert)([]).shape == (0, 18)
    assert "holds no config.json" in str(find_radbert(tmp_path))
    assert "not on this computer" in str(find_radbert(None, tmp_path))
    found = open_clinical(None, (), tmp_path)
    assert found.labeller is None
    assert list(found.missing) == ["Labels of reports (F1, CRG)"]


def test_a_classifier_of_other_labels_is_refused(radbert: Path, tmp_path: Path) -> None:
    import shutil

    other = tmp_path / "other"
    shutil.copytree(radbert, other)
    config = json.loads((other / "config.json").read_text())
    config["id2label"] = {"0": "a"}
    config["label2id"] = {"a": 0}
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"cannot be loaded|has 1 labels"):
        RadBert(other)(["a"])


@pytest.fixture
def radeval(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the package: a metric of its kind, one without weights, one of a service."""

    class Good:
        def compute(self, refs: list[str], hyps: list[str], per_sample: bool) -> dict[str, Any]:
            with pytest.raises(OSError, match="refused"):
                socket.create_connection(("127.0.0.1", 9), timeout=1)
            return {"ratescore": [float(r == h) for r, h in zip(refs, hyps, strict=True)]}

    class Absent:
        def __init__(self) -> None:
            raise OSError("no such file")

    class Service:
        is_api_based = True

    classes = {"ratescore": Good, "radgraph": Absent, "radfact_ct": Service, "green": Good}
    registry = types.ModuleType("radeval.metrics._registry")
    registry.METRIC_REGISTRY = dict.fromkeys(classes)  # type: ignore[attr-defined]
    registry.get_metric_class = classes.__getitem__  # type: ignore[attr-defined]
    package = types.ModuleType("radeval")
    package.__spec__ = types.SimpleNamespace()  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "radeval", package)
    monkeypatch.setitem(sys.modules, "radeval.metrics", types.ModuleType("radeval.metrics"))
    monkeypatch.setitem(sys.modules, "radeval.metrics._registry", registry)


@pytest.mark.usefixtures("radeval")
def test_metrics_of_radeval_run_without_a_network_or_say_what_is_missing() -> None:
    scorer = open_radeval("ratescore")
    assert not isinstance(scorer, str)
    assert scorer(["a", "b"], ["a", "c"]) == [1.0, 0.0]
    assert "cannot be loaded from this computer: no such file" in str(open_radeval("radgraph"))
    found = open_clinical(None, ("ratescore", "radgraph"), Path("nowhere"))
    assert list(found.scorers) == ["ratescore"]
    assert "radgraph" in found.missing


@pytest.mark.usefixtures("radeval")
def test_what_would_send_reports_away_is_refused() -> None:
    with pytest.raises(InputError, match="radfact_ct sends reports to a service"):
        open_radeval("radfact_ct")
    with pytest.raises(InputError, match="no metric 'green'"):
        open_radeval("green")


def test_without_radeval_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "med2e3[clinical]" in str(open_radeval("ratescore"))


def test_no_connection_opens_within_and_all_is_as_before_after() -> None:
    from huggingface_hub import constants

    before = (socket.socket.connect, constants.HF_HUB_OFFLINE)
    with no_network():
        assert constants.HF_HUB_OFFLINE is True
        with pytest.raises(OSError, match="may reach the network"):
            socket.create_connection(("127.0.0.1", 9), timeout=1)
    assert (socket.socket.connect, constants.HF_HUB_OFFLINE) == before
