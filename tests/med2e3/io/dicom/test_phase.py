"""The contrast phase that descriptions suggest: whole words, and no word that is denied."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest

from med2e3.io import open_source
from med2e3.io.dicom.phase import phase_in, phase_of_agent
from tests.med2e3.io.mixed import add, body

NAMED = {
    # without contrast medium
    "NO contrast": "non-contrast",
    "No IV Contrast 5.0": "non-contrast",
    "Chest w/o contrast": "non-contrast",
    "CT HEAD W/O": "non-contrast",
    "HEAD WO AXIAL 5MM": "non-contrast",
    "ABDOMEN WITHOUT": "non-contrast",
    "ABD_NON-CON_2.5": "non-contrast",
    "noncontrast axial": "non-contrast",
    "NonCon Brain": "non-contrast",
    "Pre-contrast liver": "non-contrast",
    "un-enhanced": "non-contrast",
    "NC 3.0 B30f": "non-contrast",
    "CTA CHEST NON CON": "non-contrast",
    "Thorax nativ 5.0": "non-contrast",
    "ThoraxNativ": "non-contrast",
    "Nativphase Oberbauch": "non-contrast",
    "Schädel ohne KM": "non-contrast",
    "Abdomen ohne Kontrastmittel": "non-contrast",
    "Abdomen sans injection": "non-contrast",
    "TAP non injecté": "non-contrast",
    # arterial
    "ART 1.0 I30f": "arterial",
    "Late arterial liver": "arterial",
    "ABD_ART_3mm": "arterial",
    "CTA Aorta": "arterial",
    "CT Angio chest PE": "arterial",
    "Oberbauch spätarteriell": "arterial",
    "Leber arterielle Phase": "arterial",
    "Temps artériel": "arterial",
    # portal venous
    "Abdomen portal venous": "portal venous",
    "ABD_PV_5mm": "portal venous",
    "VEN3.0": "portal venous",
    "Leber portalvenös": "portal venous",
    "Abdomen venöse Phase": "portal venous",
    "Temps portal": "portal venous",
    "Foie veineux": "portal venous",
    "CTA runoff venous": "portal venous",
    # delayed and others
    "Delayed 10 min": "delayed",
    "Late phase kidneys": "delayed",
    "CTA delayed endoleak": "delayed",
    "CT Urogram excretory": "delayed",
    "Spätphase Niere": "delayed",
    "Temps tardif": "delayed",
    "Nephrographic phase": "nephrographic",
    "Brain perfusion": "perfusion",
    "Liver dynamic": "perfusion",
}

#: Words within others, denied ones, other things to be without, and several phases in one name.
UNNAMED = [
    "",
    "Thorax 1.0",
    "Template lung",
    "alternative view",
    "Lateral scout",
    "Chest plate",
    "Native kidney",
    "explain plainly",
    "intravenous contrast",
    "Iterative recon spatial",
    "non-contiguous axial",
    "Non-coronary cusp",
    "Metal artifact reduction",
    "Arteriovenous malformation",
    "Cholangiocarcinoma",
    "Portable chest",
    "Hemodynamics",
    "Eventration",
    "no delay",
    "not arterial",
    "W/O oral contrast",
    "ohne Gantry-Kippung",
    "Thorax ohne Arme",
    "without arms",
    "with and without contrast",
    "ABD W/WO",
    "ABD W & W/O CON",
    "Abdomen mit und ohne KM",
    "Leber nativ/arteriell/venös",
    "Pulmonary venous mapping",
]


@pytest.mark.parametrize(("text", "phase"), NAMED.items())
def test_a_phase_is_read_from_whole_words(text: str, phase: str) -> None:
    assert phase_in(text) == phase
    assert phase_in(text.upper()) == phase or text == "ThoraxNativ"  # its letters say two words


@pytest.mark.parametrize("text", UNNAMED)
def test_no_phase_is_read_from_parts_of_words_and_denied_ones(text: str) -> None:
    assert phase_in(text) == ""
    assert phase_in(text.upper()) == ""


@pytest.mark.parametrize(
    ("agent", "phase"),
    [
        ("", ""),
        ("NONE", "non-contrast"),
        ("No", "non-contrast"),
        ("no contrast", "non-contrast"),
        ("ohne", "non-contrast"),
        ("Omnipaque 350", "contrast given"),
        ("intravenous iopromide", "contrast given"),
        ("NO ORAL, 100 ML IV", "contrast given"),
    ],
)
def test_the_contrast_medium_says_whether_any_was_given(agent: str, phase: str) -> None:
    assert phase_of_agent(agent) == phase


@pytest.mark.parametrize(
    ("texts", "facts"),
    [
        (("Thorax", "Chest NO contrast", ""), ("non-contrast", "Chest NO contrast")),
        (("Template lung", "Lung", "NONE"), ("non-contrast", "NONE")),
        (("Abdomen", "Liver w/wo", "Ultravist"), ("contrast given", "Ultravist")),
        (("Abdomen venös", "Leber nativ", ""), ("portal venous", "Abdomen venös")),
        (("Thorax", "Lung", ""), ("", "")),
    ],
)
def test_the_words_that_led_to_a_guess_stand_beside_it(
    tmp_path: Path, texts: tuple[str, str, str], facts: tuple[str, str]
) -> None:
    def edit(dataset: pydicom.Dataset, _k: int) -> None:
        dataset.SeriesDescription, dataset.ProtocolName, dataset.ContrastBolusAgent = texts

    add(tmp_path, "s", body(3), edit)
    (series,) = open_source(tmp_path).series
    assert (series.facts.phase, series.facts.phase_from) == facts
