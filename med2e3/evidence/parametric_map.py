"""Slice weights as a DICOM Parametric Map (PS3.3 A.75), which refers to the volume's images.

Viewers such as Slicer and OHIF lay it over the series. Built by highdicom, of the extra `evidence`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import med2e3
from med2e3.engine import Answer
from med2e3.errors import ResourceError
from med2e3.io.write import slice_headers
from med2e3.volume import Volume

#: What the values are, for readers of the file: 64 letters at most (PS3.5 6.2, LO).
LABEL, EXPLANATION = "WEIGHT", "Slice score of the 2D features, sum 1 over model slices"

#: Series are numbered far above those of a scanner, so that the map stands at the end of a study.
SERIES_NUMBER = 9001


def parametric_map(weights: Volume, answer: Answer) -> Any:
    """The dataset of a map of `weights`, whose voxels are those of the volume that was asked about.

    Raises `ResourceError` where highdicom is not installed.
    """
    try:
        import highdicom
        from highdicom.pm import ParametricMap, RealWorldValueMapping
        from pydicom.sr.codedict import codes
    except ImportError as error:
        raise ResourceError(
            "A DICOM Parametric Map needs the library highdicom, which is not installed. "
            "Install it with `pip install 'med2e3[evidence]'`, or write NIfTI."
        ) from error
    values = np.ascontiguousarray(weights.voxels, dtype=np.float32)
    largest = float(values.max()) or 1.0
    record = answer.record
    mapping = RealWorldValueMapping(
        lut_label=LABEL,
        lut_explanation=EXPLANATION,
        unit=codes.UCUM.NoUnits,
        value_range=(0.0, largest),
        slope=1.0,
        intercept=0.0,
    )
    made = ParametricMap(
        source_images=list(slice_headers(weights)),
        pixel_array=values,
        series_instance_uid=highdicom.UID(),
        series_number=SERIES_NUMBER,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="Med-2E3",
        manufacturer_model_name=record["model"]["name"][:64],
        software_versions=med2e3.__version__,
        device_serial_number=record["model"]["weights_sha256"][:16] or "unknown",
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        voi_lut_transformations=[
            # PS3.3 C.11.2.1.3.2: the linear function of DICOM has no widths below 1.
            highdicom.VOILUTTransformation(
                window_center=largest / 2,
                window_width=largest,
                voi_lut_function="LINEAR_EXACT",
            )
        ],
        content_description="Slice weights of an answer by a research model",
        content_label="SLICE_WEIGHTS",
    )
    if weights.info.body_part:
        made.BodyPartExamined = weights.info.body_part
    else:
        made.Laterality = ""  # demanded where the body part might be a paired one
    made.SeriesDescription = f"Slice weights: {record['question']}"[:64]
    return made
