"""Figures: what stands in them is what was handed in, on the fixed scale, and files repeat."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from med2e3 import score_scale
from med2e3.engine.scores import Scores, scores_of
from med2e3.errors import InputError
from med2e3.evaluation.calibration import calibration_error, reliability
from med2e3.figures import reliability_figure, save_figure, score_figure
from med2e3.geometry import Plane
from med2e3.preprocessing import Band


def scores(peak: int, count: int = 32, *, top_mm: float = 320.0) -> Scores:
    """A quarter of the weight on one slice, the rest shared; slices of 10 mm, downwards."""
    values = np.full(count, 0.75 / (count - 1))
    values[peak] = 0.25
    bands = [Band(k, top_mm - 10 * (k + 1), top_mm - 10 * k, (k, k), (k, k)) for k in range(count)]
    return scores_of(values.astype(np.float32), bands)


def texts(figure: Figure) -> str:
    figure.draw_without_rendering()
    return "\n".join(text.get_text() for text in figure.findobj(lambda a: hasattr(a, "get_text")))


def test_one_question_is_bars_on_the_fixed_scale_with_the_line_of_uniform() -> None:
    asked = scores(10)
    figure = score_figure([("Is there a nodule?", asked)], Plane.AXIAL)
    axes, below = figure.axes
    np.testing.assert_allclose([bar.get_height() for bar in axes.patches], asked.times_uniform)
    assert axes.get_ylim() == (0, score_scale.LARGEST)
    assert axes.lines[0].get_ydata() == [1, 1]
    assert axes.transData.transform((0, 1))[1] - axes.transData.transform((0, 0))[
        1
    ] == pytest.approx(axes.bbox.height * score_scale.position(1.0))
    assert below.get_xlim() == (320.0, 0.0), "from superior to inferior, as the slices"
    said = texts(figure)
    assert "Is there a nodule?" in said
    assert "S ← z, mm (LPS) → I" in said
    assert f"spread over {asked.effective_slices:.1f} of 32 slices" in said


def test_a_bar_stands_over_the_millimetres_of_its_band() -> None:
    figure = score_figure([("Where?", scores(10))], Plane.AXIAL)
    axes, below = figure.axes
    figure.draw_without_rendering()
    bar, band = axes.patches[10], scores(10).bands[10]
    middle = bar.get_x() + bar.get_width() / 2
    across = axes.transData.transform((middle, 0))[0]
    assert across == pytest.approx(
        below.transData.transform(((band.from_mm + band.to_mm) / 2, 0))[0]
    )


def test_questions_share_one_scale_which_is_never_stretched() -> None:
    sharp, flat = scores(3), scores_of(np.full(32, 1 / 32, np.float32), scores(3).bands)
    both = score_figure([("One?", sharp), ("Two?", flat)], Plane.AXIAL)
    alone = score_figure([("Two?", flat), ("Again?", flat)], Plane.AXIAL)
    for figure in (both, alone):
        (mesh,) = figure.axes[0].collections
        assert mesh.get_clim() == (0, 32)
    (first,), (second,) = both.axes[0].collections, alone.axes[0].collections
    np.testing.assert_allclose(first.get_array()[1], second.get_array()[0])
    colour = first.cmap(first.norm(float(sharp.times_uniform[3])))[:3]
    np.testing.assert_allclose(np.array(colour) * 255, score_scale.rgb(8.0), atol=3)


@pytest.mark.parametrize("count", [1, 2, 5, 32, 200])
def test_any_number_of_slices_can_be_drawn(count: int, tmp_path: Path) -> None:
    asked = scores_of(np.full(count, 1 / count, np.float32), scores(0, max(count, 2)).bands[:count])
    save_figure(score_figure([("What?", asked)], Plane.CORONAL), tmp_path / "bars.png")
    save_figure(score_figure([("What?", asked)] * 2, Plane.CORONAL), tmp_path / "rows.png")


def test_what_a_question_holds_is_written_not_set_as_a_formula(tmp_path: Path) -> None:
    question = "Is it $x^2$ or a \\frac{1}{0} of 5 %? " + "And so on. " * 60
    figure = score_figure([(question, scores(1))] * 2, Plane.SAGITTAL)
    save_figure(figure, tmp_path / "rows.png")
    figure = score_figure([(question, scores(1))], Plane.SAGITTAL)
    save_figure(figure, tmp_path / "bars.png")
    assert "$x^2$" in texts(figure)


def test_questions_about_other_slices_are_not_drawn_together() -> None:
    with pytest.raises(InputError, match=r"“One\?” and “Two\?” were not answered on the same"):
        score_figure([("One?", scores(1)), ("Two?", scores(1, top_mm=300))], Plane.AXIAL)
    with pytest.raises(InputError, match="at least one question"):
        score_figure([], Plane.AXIAL)


def test_calibration_is_drawn_as_it_was_counted() -> None:
    said = [[(0.95, True), (0.92, True), (0.55, False)], [(0.58, True), (0.71, False)]]
    figure = reliability_figure({"closed": reliability(said), "none": ()}, "demo")
    upper, lower = figure.axes
    points = upper.collections[-1].get_offsets()
    np.testing.assert_allclose(points, [(0.565, 0.5), (0.71, 0), (0.935, 1)])
    assert [bar.get_height() for bar in lower.patches] == [2, 1, 2]
    error = calibration_error(said)
    assert error is not None
    assert f"calibration error {error.value:.3f}, n = 5" in texts(figure)


def test_no_calibration_is_said_not_drawn() -> None:
    with pytest.raises(InputError, match="no answer that is right or wrong"):
        reliability_figure({"closed": ()})


@pytest.mark.parametrize(
    ("suffix", "begins"),
    [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF"), ("PNG", b"\x89")],
)
def test_equal_scores_give_equal_files(suffix: str, begins: bytes, tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_figure(
            score_figure([("What?", scores(7))], Plane.AXIAL), tmp_path / f"{name}.{suffix}"
        )
    one, two = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("one", "two"))
    assert one == two
    assert one.startswith(begins)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"one.{suffix}", f"two.{suffix}"]


def test_nothing_of_a_bar_lies_outside_of_the_picture(tmp_path: Path) -> None:
    for name, asked in (("bars", 1), ("rows", 4)):
        path = tmp_path / f"{name}.png"
        save_figure(score_figure([("What is to be seen?", scores(7))] * asked, Plane.AXIAL), path)
        grey = np.asarray(Image.open(path).convert("L"))
        rim = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
        assert rim.min() == 255, f"{name}: something is cut at the edge"


@pytest.mark.parametrize("name", ["scores.gif", "scores", "nowhere/scores.png"])
def test_a_path_that_cannot_hold_a_figure_is_refused(name: str, tmp_path: Path) -> None:
    figure = score_figure([("What?", scores(7))], Plane.AXIAL)
    with pytest.raises(InputError, match=r"\.png, \.svg, \.pdf|no folder"):
        save_figure(figure, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_drawing_changes_no_setting_of_matplotlib_and_opens_no_window(tmp_path: Path) -> None:
    program = (
        "import sys, matplotlib\n"
        "def settings():\n"  # reading the backend would choose one, by pyplot
        "    return {k: v for k, v in matplotlib.rcParams.copy().items() if k != 'backend'}\n"
        "before = settings()\n"
        "from med2e3.figures import reliability_figure, save_figure\n"
        "from med2e3.evaluation.calibration import reliability\n"
        "from pathlib import Path\n"
        "figure = reliability_figure({'closed': reliability([[(0.9, True)]])})\n"
        f"save_figure(figure, Path({str(tmp_path / 'one.svg')!r}))\n"
        "assert settings() == before\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_scale_and_its_inverse_agree() -> None:
    for place in np.linspace(0, 1, 11):
        assert score_scale.position(score_scale.multiple(place)) == pytest.approx(place)
    assert score_scale.rgb(500) == score_scale.rgb(32)
