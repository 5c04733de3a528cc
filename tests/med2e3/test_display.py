"""What a notebook shows is right: slices through one voxel, weights, words, and nothing private."""

from __future__ import annotations

import base64
import io
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import med2e3
from med2e3.engine.scores import Scores, scores_of
from med2e3.errors import InputError, QuestionError, ResourceError
from med2e3.geometry import Geometry, Plane
from med2e3.preprocessing import Band
from med2e3.volume import SeriesInfo, Volume, Window

#: Where the bright voxel is: (slice, row, column), and in mm (LPS).
SPOT = (3, 10, 6)


@pytest.fixture
def ct() -> Volume:
    """An axial CT of water with one bright voxel, in air of a soft-tissue window."""
    voxels = np.full((8, 30, 20), 40, np.int16)
    voxels[SPOT] = 400
    return Volume(
        voxels,
        Geometry.from_spacing(voxels.shape, (5.0, 1.5, 2.0)),
        SeriesInfo(patient_name="NAME^PRIVATE", modality="CT", series_description="Chest"),
    )


@pytest.mark.parametrize("plane", list(Plane))
def test_the_three_planes_pass_through_the_voxel(ct: Volume, plane: Plane) -> None:
    """The series is stored in another plane; each picture shows the voxel where it is in mm."""
    turned = ct.in_plane(plane)
    spot = tuple(int(k[0]) for k in np.nonzero(turned.voxels == 400))
    figure = turned.plot(at=spot)  # type: ignore[arg-type]
    assert [axes.get_title().split(",")[0] for axes in figure.axes] == list(map(str, Plane))
    for axes, shown in zip(figure.axes, Plane, strict=True):
        (image,) = axes.get_images()
        pixels = np.asarray(image.get_array())
        view = turned.in_plane(shown)
        k, row, column = (int(v[0]) for v in np.nonzero(view.voxels == 400))
        assert pixels[row, column] == 400
        assert axes.get_title() == f"{shown}, slice {k + 1} of {view.shape[0]}"
        left, right, bottom, top = image.get_extent()
        assert (right - left, bottom - top) == pytest.approx(
            (
                pixels.shape[1] * view.geometry.spacing_mm[2],
                pixels.shape[0] * view.geometry.spacing_mm[1],
            )
        )
    letters = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert letters == ["R", "A", "R", "S", "A", "S"]


def test_what_is_black_and_white_follows_the_window(ct: Volume) -> None:
    def limits(figure: object) -> tuple[float, float]:
        return figure.axes[0].get_images()[0].get_clim()  # type: ignore[attr-defined, no-any-return]

    assert limits(ct.plot()) == (-160, 240)
    assert limits(ct.plot(window="lung")) == (-1350, 150)
    assert limits(ct.plot(window=Window(0, 10))) == (-5, 5)
    assert limits(replace(ct, info=SeriesInfo(modality="MR")).plot()) == (40, 400)
    with pytest.raises(InputError, match=r"no window “spleen”.*soft tissue"):
        ct.plot(window="spleen")
    with pytest.raises(InputError, match=r"no voxel \(8, 0, 0\).*\(8, 30, 20\)"):
        ct.plot(at=(8, 0, 0))


def test_a_volume_shows_its_planes_and_no_name_of_the_patient(ct: Volume) -> None:
    html = ct.with_warnings("Slices <missing>.")._repr_html_()
    assert "Chest" in html
    assert "8 slices of 30 × 20, 5 × 1.5 × 2 mm" in html
    assert "values 40 to 400 HU" in html
    assert "Slices &lt;missing&gt;." in html
    assert "PRIVATE" not in html
    (drawn,) = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    picture = Image.open(io.BytesIO(base64.b64decode(drawn)))
    assert picture.format == "PNG"
    assert Image.open(io.BytesIO(ct._repr_png_())).size == picture.size


@pytest.fixture
def scores() -> Scores:
    """Scores of four slices, half of the weight on the third."""
    bands = tuple(Band(k, 10.0 * k, 10.0 * k + 10, (2 * k, 2 * k + 1), (k, k)) for k in range(4))
    values = np.array([0.25, 0.125, 0.5, 0.125], np.float32)
    return scores_of(values, bands, plane=Plane.AXIAL, question="Is there a <nodule>?")


def test_scores_draw_and_list_themselves(scores: Scores) -> None:
    axes = scores.plot().axes[0]
    assert [bar.get_height() for bar in axes.patches[:4]] == [1.0, 0.5, 2.0, 0.5]
    assert axes.get_title(loc="left") == "Is there a <nodule>?"
    html = scores._repr_html_()
    assert html.index("×2.0 uniform: 20.0 to 30.0 mm, model slice 3") < html.index("×1.0 uniform")
    assert scores._repr_png_()
    bare = scores_of(scores.values, scores.bands)
    assert bare._repr_png_() is None
    assert "img" not in bare._repr_html_()
    with pytest.raises(InputError, match="do not know their plane"):
        bare.plot()


def test_scores_become_a_frame(scores: Scores, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = scores.to_frame()
    assert frame.loc[2].to_dict() == {
        "model_slice": 2, "from_mm": 20.0, "to_mm": 30.0, "first_slice": 4, "last_slice": 5,
        "weight": 0.5, "times_uniform": 2.0,
    }  # fmt: skip
    assert frame["weight"].sum() == 1
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ResourceError, match=r"pip install 'med2e3\[notebook\]'.*columns\(\)"):
        scores.to_frame()
    assert scores.columns()["weight"] == [0.25, 0.125, 0.5, 0.125]


@pytest.fixture(scope="module")
def session(tiny_folder: Callable[..., Path]) -> med2e3.Session:
    """A random model that has read a little CT."""
    rng = np.random.default_rng(3)
    voxels = rng.integers(-100, 200, (16, 24, 24)).astype(np.int16)
    geometry = Geometry.from_spacing(voxels.shape, (4.0, 2.0, 2.0))
    model = med2e3.load(tiny_folder(score_norm="layer_norm"), device="cpu")
    return model.read(Volume(voxels, geometry, SeriesInfo(modality="CT")))


def test_an_answer_shows_what_is_known_of_it(session: med2e3.Session) -> None:
    answer = session.ask("Is there a nodule?", max_new_tokens=3)
    assert "Not computed yet" in answer._repr_html_()
    assert not answer.token_ids, "showing computes nothing"
    answer.complete()
    html = answer._repr_html_()
    assert "<strong>Is there a nodule?</strong>" in html
    assert f"probability of these words {np.prod(answer.token_probabilities):.3f}, length" in html
    assert "data:image/png" in html
    assert session.model.info.notice in html
    assert answer.scores is not None
    assert answer.scores.plane is session.input.plane
    assert answer.scores.question == "Is there a nodule?"


def test_a_session_without_bands_asks_as_one_that_leaves_them_out(session: med2e3.Session) -> None:
    def said(answer: med2e3.Answer) -> tuple[str, list[int]]:
        answer.complete()
        return answer.text, answer.record["left_out"]

    whole = session.ask("Is there a nodule?", max_new_tokens=4)
    assert whole.scores is not None
    top = whole.scores.top(2)
    view = session.without(top)
    numbers = sorted(one.band.model_slice for one in top)
    assert said(view.ask("Is there a nodule?", max_new_tokens=4)) == said(
        session.ask("Is there a nodule?", max_new_tokens=4, leave_out=numbers)
    )
    less = view.without([whole.scores.bands[0], 7]).ask("What?", leave_out=[6], max_new_tokens=1)
    assert said(less)[1] == sorted({*numbers, 0, 6, 7})
    assert less.scores is not None
    assert less.scores.values[[0, 6, 7, *numbers]].sum() == 0
    assert whole.scores.values.sum() == pytest.approx(1)
    assert view.input is session.input
    assert said(session.ask("What?", max_new_tokens=1))[1] == [], "the session itself is as it was"
    with pytest.raises(QuestionError, match=r"\[99\] cannot be left out"):
        session.without([99])
    with pytest.raises(QuestionError, match="All 8 slices are left out"):
        session.without(range(8))
