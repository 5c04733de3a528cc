"""The attributes that tell images apart which lie at one place, in the order in which they count.

Three tables, tried one after the other: what is read of every image; what is read only where that
does not tell them apart; and what grows from image to image, so that only its order tells scans
apart. Knows nothing of positions.
"""

from __future__ import annotations

from typing import NamedTuple


class Telling(NamedTuple):
    """An attribute whose value differs from scan to scan.

    `name` is its word in the name of a stack. `keyword` is that of a classic image; an enhanced one
    may state `frame_keyword` in its functional group `group`. `why` says when it tells scans apart.
    """

    name: str
    keyword: str
    why: str
    group: str = ""
    frame_keyword: str = ""


class Ordered(NamedTuple):
    """An attribute that grows from image to image, and so from scan to scan.

    `keywords` are looked for in turn; a pair is a date and a time. `is_time` says that the value is
    a moment, and not a plain number.
    """

    name: str
    keywords: tuple[str | tuple[str, str], ...]
    why: str
    is_time: bool = True


_CONTENT = "FrameContentSequence"
_HEART = "CardiacSynchronizationSequence"

#: Read of every image (`Frame.moment`). The numbers that scanners give to scans go before what the
#: images are of, and that before the times, of which some scanners write one for each image.
MOMENT: tuple[Telling, ...] = (
    Telling("acquisition", "AcquisitionNumber", "a number for each scan", _CONTENT,
            "FrameAcquisitionNumber"),
    Telling("time", "TemporalPositionIdentifier", "the place in a dynamic series", _CONTENT,
            "TemporalPositionIndex"),
    Telling("cardiac phase", "NominalPercentageOfCardiacPhase", "reconstructions of one heartbeat",
            _HEART, "NominalPercentageOfCardiacPhase"),
    Telling("stack", "StackID", "the groups of slices of one protocol", _CONTENT, "StackID"),
    Telling("echo", "EchoNumbers", "echoes of one MR excitation"),
    Telling("image type", "ImageType", "energies, mixtures and maps of dual energy",
            "CTImageFrameTypeSequence", "FrameType"),
    Telling("kernel", "ConvolutionKernel", "reconstructions of one scan",
            "CTReconstructionSequence", "ConvolutionKernel"),
    Telling("slice thickness", "SliceThickness", "reconstructions of one scan",
            "PixelMeasuresSequence", "SliceThickness"),
    Telling("tube voltage", "KVP", "the energies of dual energy", "CTXRayDetailsSequence", "KVP"),
    Telling("trigger time", "TriggerTime", "phases of the heart in ms after the R wave", _HEART,
            "NominalCardiacTriggerDelayTime"),
    Telling("scan options", "ScanOptions", "some scanners write the cardiac phase here alone"),
    Telling("acquired at", "AcquisitionTime", "scans one after the other"),
    Telling("made at", "ContentTime", "reconstructions one after the other"),
)  # fmt: skip

#: Read only where images lie at one place that all above does not tell apart.
LATER: tuple[Telling, ...] = (
    Telling("series number", "SeriesNumber", "series that were given one UID by mistake"),
    Telling("description", "SeriesDescription", "series that were given one UID by mistake"),
    Telling("protocol", "ProtocolName", "series that were given one UID by mistake"),
    Telling("energy", "MonoenergeticEnergyEquivalent", "virtual monoenergetic images, in keV"),
    Telling("energy bin", "EffectiveBinEnergy", "bins of a photon-counting detector, in keV"),
    Telling("contrast", "ContrastBolusAgentPhase", "before and after the contrast agent"),
    Telling("contrast agent", "ContrastBolusAgent", "before and after the contrast agent"),
    Telling("respiratory phase", "NominalPercentageOfRespiratoryPhase", "gated 4D CT"),
    Telling("filter", "FilterType", "energies by filtration; body and head filters"),
    Telling("reconstruction", "ReconstructionAlgorithm", "filtered back projection, iterative"),
    Telling("field of view", "ReconstructionDiameter", "reconstructions of one scan, in mm"),
    Telling("irradiation event", "IrradiationEventUID", "one UID for each scan"),
    Telling("acquisition UID", "AcquisitionUID", "one UID for each scan"),
    Telling("echo time", "EchoTime", "echoes of MR, in ms"),
    Telling("b value", "DiffusionBValue", "diffusion weighting of MR, in s/mm²"),
    Telling("inversion time", "InversionTime", "inversions of MR, in ms"),
    Telling("flip angle", "FlipAngle", "excitations of MR, in degrees"),
    Telling("sequence", "SequenceName", "MR: some scanners write the b value here alone"),
    Telling("component", "ComplexImageComponent", "magnitude and phase of MR"),
    Telling("exposure time", "ExposureTime", "energies, in ms"),
    Telling("tube current", "XRayTubeCurrent", "energies, in mA"),
    Telling("exposure", "Exposure", "energies, in mAs"),
    Telling("comment", "ImageComments", "what a workstation says of its maps"),
    Telling("derivation", "DerivationDescription", "what a workstation says of its maps"),
    Telling("study time", "StudyTime", "studies that were given one UID by mistake"),
    Telling("series time", "SeriesTime", "series that were given one UID by mistake"),
    Telling("station", "StationName", "series that were given one UID by mistake"),
)

#: Tried last: their values may differ in every image, and scans follow each other in their order.
ORDERED: tuple[Ordered, ...] = (
    Ordered("trigger time", ("NominalCardiacTriggerDelayTime", "TriggerTime"),
            "phases of a heart that beats unevenly, in ms", is_time=False),
    Ordered("acquired at", ("FrameAcquisitionDateTime", "AcquisitionDateTime",
                            ("AcquisitionDate", "AcquisitionTime")), "a time for each image"),
    Ordered("reference time", ("FrameReferenceDateTime",), "the middle of what an image shows"),
    Ordered("frame time", ("FrameReferenceTime",), "the same of PET, in ms", is_time=False),
    Ordered("made at", (("ContentDate", "ContentTime"),), "the reconstruction of each image"),
    Ordered("stored at", (("InstanceCreationDate", "InstanceCreationTime"),),
            "the storage of each image"),
    Ordered("instance number", ("InstanceNumber",), "images numbered through all scans",
            is_time=False),
)  # fmt: skip

#: The names of the values of `Frame.moment`, in their order, as sentences use them.
MOMENT_NAMES = tuple(row.name for row in MOMENT)
