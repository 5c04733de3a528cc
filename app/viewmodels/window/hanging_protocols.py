"""Hanging protocols: how a series is first shown, by what its file says about it. One table.

The first rule that fits decides; the interface says which one it was and why. Knows no widgets.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from app.viewmodels.images.viewer import Viewer
from app.viewmodels.window.layouts import Kind, Layouts
from med2e3.geometry import Plane
from med2e3.volume import WINDOWS, Volume, Window

#: Words of a description or body part, as whole words, in English and German.
SCOUT = {"scout", "localizer", "localiser", "topogram", "surview", "scanogram", "topo"}
HEAD = {"head", "brain", "skull", "neuro", "cranium", "kopf", "schaedel", "hirn"}
CHEST = {"chest", "thorax", "lung", "lungs", "lunge", "hrct"}
ELSEWHERE = {
    "neck", "hals", "spine", "hws", "bws", "lws", "abdomen", "abd", "pelvis", "becken", "liver",
    "leber", "polytrauma", "body",
}  # fmt: skip
LUNG = {"lung", "lungs", "lunge", "hrct", "yc", "fc51", "fc52", "fc55", "fc56"}
BONE = {"bone", "bones", "knochen", "boneplus", "fc30", "fc35"}

#: Siemens names kernels by sharpness: 50 to 69 are read as lung, above as bone.
SIEMENS = re.compile(r"^b[rlvf]?(\d\d)[a-z]*$")
SIEMENS_LUNG = range(50, 70)
SIEMENS_BONE = range(70, 100)


@dataclass(frozen=True)
class Rule:
    """What a series is, in words, and how it is shown; None: as it would be anyway."""

    name: str
    why: str
    fits: Callable[[Volume], bool]
    kind: Kind | None = None
    window: str | None = None


@dataclass(frozen=True)
class Hanging:
    """What was decided for one series. `main` is the plane that is large, or alone."""

    main: Plane
    kind: Kind | None = None
    window: Window | None = None
    why: str = ""


def words(volume: Volume) -> set[str]:
    """What the file calls the series, its body part and its kernel, as lower-case words."""
    info = volume.info
    text = " ".join((info.series_description, info.body_part, info.kernel, info.study_description))
    return words_of(text)


def is_of(volume: Volume, region: set[str]) -> bool:
    """Whether the series is of a region by what it is called itself.

    Only where it names none, the study's name counts, and only if that names no other one: a study
    of head, chest and abdomen has series of each.
    """
    info = volume.info
    own = words_of(f"{info.series_description} {info.body_part} {info.kernel}")
    if own & (HEAD | CHEST | ELSEWHERE):
        return bool(own & region)
    of_study = words_of(info.study_description) & (HEAD | CHEST | ELSEWHERE)
    return bool(of_study) and of_study <= region


def is_scout(volume: Volume) -> bool:
    """A single image, or one that is called a scout."""
    said = set(re.split(r"[^a-z]+", volume.info.series_description.lower()))
    return volume.shape[0] == 1 or bool(said & SCOUT)


def kernel(volume: Volume) -> str:
    """Lung, bone, or an empty string, by the kernel or the description of the series."""
    said = words(volume)
    for word in said:
        match = SIEMENS.match(word)
        if match and int(match[1]) in SIEMENS_LUNG:
            return "lung"
        if match and int(match[1]) in SIEMENS_BONE:
            return "bone"
    if said & BONE:
        return "bone"
    of_series = words_of(volume.info.series_description + " " + volume.info.kernel)
    return "lung" if of_series & LUNG else ""


def words_of(text: str) -> set[str]:
    """Lower-case words of a text."""
    return set(re.split(r"[^a-z0-9]+", text.lower())) - {""}


#: The rules about windows and single images; the plane of the stack is looked at besides.
RULES: tuple[Rule, ...] = (
    Rule("scout", "a scout stands alone", is_scout, kind=Kind.SINGLE),
    Rule(
        "head, bone kernel",
        "a head with a bone kernel opens in the bone window",
        lambda v: is_of(v, HEAD) and kernel(v) == "bone",
        window="bone",
    ),
    Rule(
        "head",
        "a head opens in the brain window",
        lambda v: is_of(v, HEAD),
        window="brain",
    ),
    Rule(
        "chest, lung kernel",
        "a chest with a lung kernel opens in the lung window",
        lambda v: is_of(v, CHEST) and kernel(v) == "lung",
        window="lung",
    ),
)


def hang(volume: Volume) -> Hanging:
    """How a series is first shown, and why."""
    plane = volume.geometry.plane
    rule = next((rule for rule in RULES if rule.fits(volume)), None)
    reasons = [rule.why] if rule is not None else []
    kind = rule.kind if rule is not None else None
    if kind is None and plane is not Plane.AXIAL:
        kind = Kind.SIDE
        reasons.append(f"a {plane} series opens with the {plane} plane large")
    window = None
    if rule is not None and rule.window is not None and volume.info.may_be_ct:
        window = WINDOWS[rule.window]
    return Hanging(plane, kind, window, "; ".join(reasons))


class HangingProtocols:
    """Applies the rules once to each series, when it is first seen.

    A series that does not open, although a preview of it was seen, leaves the layout as it was.
    """

    def __init__(self, viewer: Viewer, layouts: Layouts) -> None:
        self._viewer = viewer
        self._layouts = layouts
        viewer.on_preview(self._put_away)
        viewer.first_seen.connect(self._hang)

    def _put_away(self) -> Callable[[], object]:
        """Return what restores the layout, should the series on its way not open."""
        return partial(self._layouts.arrange_as, self._layouts.arrangement)

    def _hang(self) -> None:
        volume = self._viewer.volume
        if volume is None or not self._layouts.hangs:
            return
        decided = hang(volume)
        self._layouts.hang(_series(volume), decided.main.value, decided.kind, decided.why)
        if decided.window is not None:
            self._viewer.open_with(decided.window)


def _series(volume: Volume) -> tuple[object, ...]:
    """The same for a volume and for the first look at it."""
    geometry = volume.geometry
    return volume.info.series_uid, geometry.shape, geometry.affine_lps.tobytes()
