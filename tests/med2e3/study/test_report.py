"""The report says what the table says, in one page that asks for nothing else."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow

from med2e3 import score_scale
from med2e3.study.charts import (
    MOST_ANSWERS,
    answer_figure,
    certainty_figure,
    inline_svg,
    score_map,
    time_figure,
)
from med2e3.study.columns import schema
from med2e3.study.plan import Plan, PlannedModel, PlannedQuestion, PlannedVolume
from med2e3.study.report import write_report

QUESTIONS = ("Is there a <nodule>?", "Which plane?")


def make_plan(models: tuple[str, ...] = ("demo",)) -> Plan:
    return Plan(
        tuple(PlannedVolume(Path(f"/scans/{k}"), f"ct-{k}") for k in range(3)),
        tuple(PlannedQuestion(q, q) for q in QUESTIONS),
        tuple(PlannedModel(name, name) for name in models),
        title="Nodules & planes",
    )


def make_rows(plan: Plan) -> list[dict[str, Any]]:
    """The second volume was unreadable; the others hold the same voxels."""
    rows = []
    for volume in plan.volumes:
        for model in plan.models:
            for question in plan.questions:
                row: dict[str, Any] = {
                    "volume": volume.name, "model": model.name, "question_name": question.name,
                    "question": question.question, "error": "", "answer": "Yes & <b>no</b>.",
                    "probability": 0.75, "scores": [0.1, 0.7, 0.1, 0.1], "dtype": "float32",
                    "kind": "med2e3", "volume_sha256": "same", "weights_sha256": "c0ffee",
                    "processor": "x86_64 AVX2", "seconds_reading": 0.1, "seconds_encoding": 0.2,
                    "seconds": 0.3, "worker": "host-1", "med2e3": "0.1.0",
                }  # fmt: skip
                if volume.name == "ct-1":
                    row |= {"error": "ct-1 is <damaged>.", "answer": None, "probability": None}
                    row |= {"scores": None, "volume_sha256": ""}
                rows.append(row)
    return rows


class Page(HTMLParser):
    """Ids, texts, and whatever a browser would fetch."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.fetched: list[str] = []
        self.texts: list[str] = []
        self.tags: Counter[str] = Counter()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        self.tags[tag] += 1
        self.ids += [said["id"] or ""] if "id" in said else []
        self.fetched += [
            str(value) for name, value in attrs
            if name in {"src", "href", "xlink:href", "action", "data"}
            and not str(value).startswith("#")
        ]  # fmt: skip

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def page_of(plan: Plan, path: Path) -> tuple[str, Page]:
    table = pyarrow.Table.from_pylist(make_rows(plan), schema=schema())
    write_report(plan, table, path)
    html = path.read_text(encoding="utf-8")
    return html, Page(html)


def test_the_page_fetches_nothing_and_each_id_is_there_once(tmp_path: Path) -> None:
    html, page = page_of(make_plan(("demo", "other")), tmp_path / "report.html")
    assert page.fetched == []
    assert page.tags["script"] == 0
    assert "default-src 'none'" in html
    addresses = set(re.findall(r"https?://[^\s\"'<)]+", html))
    assert addresses == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert not re.findall(r"url\((?!#)", html)
    twice = [name for name, count in Counter(page.ids).items() if count > 1]
    assert twice == []
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', html))
    assert used
    assert used <= set(page.ids)


def test_the_page_says_what_the_table_says(tmp_path: Path) -> None:
    html, page = page_of(make_plan(), tmp_path / "report.html")
    assert page.tags["svg"] == 5, "certainty, score map, two questions, times"
    counts = {"volumes": 3, "questions": 2, "models": 1, "answers": 4, "not answered": 2}
    for name, count in counts.items():
        assert f"<dt>{name}</dt><dd>{count}</dd>" in html
    assert "ct-1 is <damaged>." in page.text
    assert "Yes & <b>no</b>." in page.text
    assert "<b>no</b>" not in html, "answers are text, never markup"
    assert "These volumes hold the same voxels: ct-0, ct-2." in page.text
    assert "c0ffee" in page.text
    assert "drafts, not findings" in page.text


def test_text_and_lines_take_the_colours_of_the_page_and_both_grounds_have_some(
    tmp_path: Path,
) -> None:
    html, _ = page_of(make_plan(), tmp_path / "report.html")
    light, dark = re.findall(r":root \{([^}]+)\}", html)
    names = set(re.findall(r"var\((--\w+)\)", html))
    for ground in (light, dark):
        assert names <= set(re.findall(r"(--\w+):", ground))
    assert "fill: var(--ink)" in html
    assert "#1d2026" not in html.split("</style>", 1)[1], "no ink of its own in a figure"
    assert "stroke: #000000" not in html.split("</style>", 1)[1]


def test_a_study_without_any_answer_still_has_a_report(tmp_path: Path) -> None:
    plan = make_plan()
    rows = [row | {"error": "away", "answer": None, "scores": None} for row in make_rows(plan)]
    path = tmp_path / "report.html"
    write_report(plan, pyarrow.Table.from_pylist(rows, schema=schema()), path)
    assert "There is no answer to draw." in Page(path.read_text()).text


def test_answers_are_counted_most_often_first_and_rare_ones_together() -> None:
    counts = {f"answer {k}": k + 1 for k in range(MOST_ANSWERS + 2)}
    axes = answer_figure(counts, sum(counts.values())).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [8, 7, 6, 5, 4, 3, 3]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[0] == "answer 7"
    assert labels[-1] == "2 other answers"
    assert axes.get_xlim()[1] == 36


def test_every_probability_is_a_point_and_the_median_a_line() -> None:
    axes = certainty_figure({"a": [0.2, 0.4, 0.9], "b": [1.0]}).axes[0]
    points, median = axes.lines[0], axes.lines[1]
    np.testing.assert_array_equal(points.get_xdata(), [0.2, 0.4, 0.9])
    np.testing.assert_array_equal(points.get_ydata(), [0, 0, 0])
    np.testing.assert_array_equal(median.get_xdata(), [0.4, 0.4])
    assert axes.get_ylim() == (1.5, -0.5), "the first question on top"


def test_mean_scores_are_drawn_on_the_fixed_scale() -> None:
    axes = score_map({"a": np.array([1.0, 2.0, 32.0]), "b": np.array([0.0, 0.5, 1.0])}).axes[0]
    (mesh,) = axes.collections
    drawn = np.asarray(mesh.get_array()).reshape(2, 3)
    wanted = [[score_scale.position(t) for t in row] for row in ((1, 2, 32), (0, 0.5, 1))]
    np.testing.assert_allclose(drawn, wanted)
    red, green, blue, _ = mesh.cmap(mesh.norm(drawn[0, 2]), bytes=True)
    assert (red, green, blue) == score_scale.rgb(32)


def test_times_keep_their_order_of_size() -> None:
    axes = time_figure({"reading": [0.1, 10.0], "none": []}).axes[0]
    assert axes.get_xscale() == "log"
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), [0.1, 10.0])


def test_equal_figures_are_equal_text() -> None:
    def drawn(name: str) -> str:
        return inline_svg(answer_figure({"Yes.": 3}, 3), name, "answers")

    assert drawn("one") == drawn("one")
    assert drawn("one") != drawn("two")
    assert drawn("one").startswith("<svg role=")
