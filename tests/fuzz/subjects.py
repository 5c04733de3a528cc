"""What is damaged: small files of every kind that the product reads, and how each is read.

`read` does what the window does with such a file, in the process that stands for the window's. The
result says what would be seen, and every word that would be said.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import SimpleITK as sitk  # noqa: N813 - the name its manual uses
from pydicom.encaps import encapsulate
from pydicom.fileset import FileSet
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from med2e3.geometry import Geometry
from med2e3.io import write_dicom_series, write_nifti
from med2e3.volume import SeriesInfo, Volume
from tests.app.bodies import phantom
from tests.fuzz.contradictions import inflates_to_dicom, is_json_object

#: (slice, row, column): enough for every compression, little enough for thousands of files.
SHAPE = (5, 40, 48)

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"

#: Names of temporary folders, which differ from one opening to the next.
TEMPORARY = re.compile(r"med2e3-[0-9a-f]+|tmp[a-z0-9_]{8}")

#: Steps that a seen position is rounded to, in mm.
SAME_MM = 3


@dataclass(frozen=True)
class Seen:
    """What is seen, comparable by `==`, and what is said."""

    content: Any
    words: frozenset[str]


@dataclass(frozen=True)
class Subject:
    """A kind of input. `write` fills an empty folder and returns the path to open.

    `victims` are the names of the files that are damaged. The first `text_header` bytes, up to a
    mark, are text without any redundancy. `checked` says that a checksum covers all bytes. `vital`
    says whether a damaged file contradicts itself where its bytes alone do not tell.
    """

    name: str
    write: Callable[[Path], Path]
    read: Callable[[Path], Seen]
    victims: str = "*"
    in_elements: bool = False
    checked: bool = False
    header_ends: bytes = b""
    is_json: bool = False
    is_deflated: bool = False
    weight: int = 10

    def knowable(self, before: bytes, after: bytes, at: int, stated: bool) -> bool:
        """Whether the damaged bytes contradict themselves, `stated` by the damage itself."""
        if self.is_json:
            return not is_json_object(after)
        if self.header_ends and at < before.find(self.header_ends) + len(self.header_ends):
            return False
        if self.is_deflated and inflates_to_dicom(after):
            return False
        return stated or self.checked


# --- volumes -------------------------------------------------------------------------------------


def body() -> Volume:
    """An even CT with a value of its own in every voxel's neighbourhood; 40…2000 in air."""
    choose = np.random.default_rng(11)
    k, row, column = np.indices(SHAPE)
    inside = ((row - 20) / 16) ** 2 + ((column - 24) / 20) ** 2 < 1
    voxels = np.where(inside, 40 + 3 * column + k * 20, -1000) + choose.integers(-9, 9, SHAPE)
    geometry = Geometry.from_spacing(SHAPE, (2.0, 0.8, 0.7), origin_mm=(-17.0, -16.0, 90.0))
    info = SeriesInfo(
        patient_name="Fuzz^Body", patient_id="F1", modality="CT", series_number="3",
        series_description="Body", study_date="20260301",
    )  # fmt: skip
    return Volume(voxels.astype(np.int16), geometry, info)


def read_volumes(path: Path) -> Seen:
    """Look through a path and open every volume in it, as the window does."""
    from app.services.thumbnails import thumbnail
    from med2e3.io import Watch, open_source
    from med2e3.io.budget import check_room
    from med2e3.io.tags import read_tags

    source = open_source(path)
    words = {source.skipped_sentence, *source.scan.notes}
    words |= {f"{one.kind}: {one.reason}" for one in source.skipped}
    seen = []
    for series in source.series:
        if not series.is_volume:
            words.add(series.reason)
            continue
        indexed = source.indexed(series)
        if indexed.middle is not None:
            thumbnail(indexed.middle(), series.info)
        check_room(source, series)
        volume = source.load(series, Watch())
        _ = volume.value_range
        words |= set(volume.warnings)
        seen.append(_seen(volume))
    slices = next((one.slices for one in source.scan.series if one.slices), ())
    if slices:  # a series that is no volume may have none
        read_tags(slices[len(slices) // 2].path)
    return Seen(tuple(sorted(seen)), frozenset(_plain(w) for w in words if w))


def _seen(volume: Volume) -> tuple[Any, ...]:
    affine = np.round(volume.geometry.affine_lps, SAME_MM) + 0.0
    values = np.ascontiguousarray(volume.voxels, np.float64)
    return volume.shape, tuple(affine.ravel().tolist()), hash(values.tobytes())


def _plain(words: str) -> str:
    return TEMPORARY.sub("…", words)


# --- DICOM ---------------------------------------------------------------------------------------


def write_dicom(folder: Path, syntax: UID | None = None) -> Path:
    """The body as a series in a transfer syntax."""
    for path in write_dicom_series(body(), folder, seed="fuzz"):
        if syntax is not None:
            _rewrite(path, syntax)
    return folder


def _rewrite(path: Path, syntax: UID) -> None:
    dataset = pydicom.dcmread(path)
    if syntax in (HTJ2KLossless, JPEGLosslessSV1, JPEGBaseline8Bit):
        _pack(dataset, syntax)
    elif syntax.is_compressed and syntax != DeflatedExplicitVRLittleEndian:
        options = {"j2k_cr": [4]} if syntax == JPEG2000 else {}
        dataset.compress(syntax, generate_instance_uid=False, **options)
    elif syntax == ExplicitVRBigEndian:
        dataset.PixelData = dataset.pixel_array.astype(">i2").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    pydicom.dcmwrite(
        path, dataset, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian
    )


def _pack(dataset: pydicom.Dataset, syntax: UID) -> None:
    """Compress with another library what pydicom cannot: 12 bits, or 8 bits in steps of 16."""
    import imagecodecs

    encode, step = {
        HTJ2KLossless: (imagecodecs.htj2k_encode, 1),
        JPEGLosslessSV1: (partial(imagecodecs.ljpeg_encode, bitspersample=12), 1),
        JPEGBaseline8Bit: (partial(imagecodecs.jpeg8_encode, level=90), 16),
    }[syntax]
    values = dataset.pixel_array.astype(int) * int(dataset.RescaleSlope)
    stored = (values + int(dataset.RescaleIntercept) + 1024).clip(0) // step
    frame = encode(stored.astype(np.uint16 if step == 1 else np.uint8))
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.BitsAllocated = 16 if step == 1 else 8
    dataset.BitsStored = 12 if step == 1 else 8
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, 0
    dataset.RescaleSlope, dataset.RescaleIntercept = str(step), "-1024"


def write_enhanced(folder: Path, syntax: UID | None = None) -> Path:
    """The body as one enhanced file, a frame a slice (PS3.3 A.38)."""
    classic = [pydicom.dcmread(p) for p in write_dicom_series(body(), folder, seed="fuzz")]
    for path in list(folder.iterdir()):
        path.unlink()
    first = classic[0]
    stored = np.stack([one.pixel_array for one in classic])
    shared = _groups(
        PixelMeasuresSequence={"PixelSpacing": first.PixelSpacing, "SliceThickness": 2},
        PlaneOrientationSequence={"ImageOrientationPatient": first.ImageOrientationPatient},
        PixelValueTransformationSequence={
            "RescaleSlope": first.RescaleSlope, "RescaleIntercept": first.RescaleIntercept,
        },
    )  # fmt: skip
    frames = [
        _groups(PlanePositionSequence={"ImagePositionPatient": one.ImagePositionPatient})
        for one in classic
    ]
    for keyword in (
        "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope",
        "RescaleIntercept",
    ):  # fmt: skip
        delattr(first, keyword)
    first.SOPClassUID = first.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    first.NumberOfFrames = len(frames)
    first.SharedFunctionalGroupsSequence = [shared]
    first.PerFrameFunctionalGroupsSequence = frames
    first.PixelData = stored.astype(np.int16).tobytes()
    if syntax is not None:
        first.compress(syntax, generate_instance_uid=False)
    first.save_as(folder / "all.dcm")
    return folder / "all.dcm"


def _groups(**content: dict[str, Any]) -> pydicom.Dataset:
    group = pydicom.Dataset()
    for sequence, values in content.items():
        item = pydicom.Dataset()
        item.update(values)
        setattr(group, sequence, [item])
    return group


def write_medium(folder: Path) -> Path:
    """The body on a medium with a DICOMDIR."""
    series = folder / "series"
    medium = FileSet()
    for path in write_dicom_series(body(), series, seed="fuzz"):
        dataset = pydicom.dcmread(path)
        dataset.PatientID, dataset.StudyID, dataset.SeriesNumber = "F1", "1", 3
        dataset.StudyTime = "101112"
        medium.add(dataset)
    shutil.rmtree(series)
    medium.write(folder)
    return folder / "DICOMDIR"


def write_zip(folder: Path, method: int) -> Path:
    """The body's series in an archive."""
    inside = folder / "inside"
    paths = write_dicom_series(body(), inside, seed="fuzz")
    with zipfile.ZipFile(folder / "study.zip", "w", method) as archive:
        for path in paths:
            # A fixed time, so that one seed gives the same bytes every day.
            archive.writestr(zipfile.ZipInfo(f"CT/{path.name}"), path.read_bytes(), method)
    shutil.rmtree(inside)
    return folder / "study.zip"


# --- other formats -------------------------------------------------------------------------------


def write_with_itk(folder: Path, name: str, *, compress: bool = False) -> Path:
    """The body as SimpleITK writes it."""
    volume = body()
    image = sitk.GetImageFromArray(volume.voxels)
    image.SetSpacing([float(x) for x in volume.geometry.spacing_mm[::-1]])
    sitk.WriteImage(image, str(folder / name), useCompression=compress)
    return folder / name


def write_nii(folder: Path, name: str, kind: type = nibabel.Nifti1Image) -> Path:
    """The body as NIfTI-1 or -2."""
    if kind is nibabel.Nifti1Image:
        return write_nifti(body(), folder / name)
    image = kind(body().voxels.T, np.diag([-0.7, -0.8, 2.0, 1.0]))
    image.header.set_xyzt_units("mm")
    nibabel.save(image, folder / name)
    return folder / name


def write_npy(folder: Path) -> Path:
    """The body's values alone."""
    np.save(folder / "body.npy", body().voxels)
    return folder / "body.npy"


# --- files of the viewer -------------------------------------------------------------------------


def write_settings(folder: Path) -> Path:
    """Preferences of which many are not as at first."""
    from app.viewmodels.core.settings import Settings

    path = folder / "settings.json"
    settings = Settings(path)
    settings.update(
        {"theme": "light", "text_size": 115, "recent": ["/a/b", "/c"], "crosshair_gap": 20,
         "shortcuts": {"stop": ["Ctrl+X"]}, "layout": "custom", "hidden_panels": ["series"]}
    )  # fmt: skip
    settings.save()
    return path


def read_settings(path: Path) -> Seen:
    """Start with the preferences, and save them once more."""
    from app.viewmodels.core.settings import Settings

    settings = Settings(path)
    said: list[str] = []
    settings.listen(said.append)
    content = repr(settings.values)
    settings.set("theme", "dark" if settings.values.theme == "light" else "light")
    settings.save()
    return Seen(content, frozenset(said))


class _Stores:
    """The stores of drawings and reports on a loop of their own, made at the first use."""

    def __init__(self) -> None:
        from app.services.jobs import Jobs

        self.loop = asyncio.new_event_loop()
        self.jobs = Jobs(self.loop)

    def outcome(self, job: Any) -> Any:
        from app.viewmodels.core.work import Failed

        async def work() -> Any:
            return await job

        found = self.loop.run_until_complete(work())
        if isinstance(found, Failed):
            raise found.error
        return found.value


_STORES: list[_Stores] = []


def _stores() -> _Stores:
    if not _STORES:
        _STORES.append(_Stores())
    return _STORES[0]


def end() -> None:
    """End the threads that reading has started."""
    while _STORES:
        stores = _STORES.pop()
        stores.jobs.close()
        stores.loop.close()


def write_annotations(folder: Path) -> Path:
    """The recorded drawings of every kind, for the series that they were made on."""
    from app.viewmodels.core.identity import series_key

    key = series_key(phantom())
    recorded = (FIXTURES / "annotations" / "document.json").read_text(encoding="utf-8")
    content = json.loads(recorded) | {"key": key}
    path = folder / f"{key}.json"
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return path


def read_annotations(path: Path) -> Seen:
    """Read the drawings of the body's series, measure and paint them, and save them again."""
    from app.services.annotation_store import AnnotationStore
    from tests.fuzz.painting import paint

    stores, volume = _stores(), phantom()
    store = AnnotationStore(stores.jobs, path.parent)
    found = stores.outcome(store.load(volume))
    paint(found.document, volume)
    stores.outcome(store.save(volume, found.key, found.document))
    return Seen(found.document, frozenset(filter(None, [found.damage])))


def write_report(folder: Path) -> Path:
    """A report with an earlier version."""
    from app.services.report_store import ReportStore
    from app.viewmodels.report.draft import Draft, Version

    key = "0" * 32
    earlier = (Version("Before.", "demo", False, True),)
    draft = Draft("The liver is normal.", "demo", True, False, earlier)
    store = ReportStore(_stores().jobs, folder)
    _stores().outcome(store.load(key))
    return Path(_stores().outcome(store.save(key, {"description": "Body"}, draft)))


def read_report(path: Path) -> Seen:
    """Read a report and save it again."""
    from app.services.report_store import ReportStore

    store = ReportStore(_stores().jobs, path.parent)
    found = _stores().outcome(store.load("0" * 32))
    words = [] if found.kept_aside is None else [found.kept_aside.name]
    _stores().outcome(store.save("0" * 32, {}, found.draft))
    return Seen(repr(found.draft), frozenset(words))


# --- models --------------------------------------------------------------------------------------


def write_model(folder: Path, fixture: str) -> Path:
    """A recorded model of a few thousand parameters, in our own format."""
    from med2e3.checkpoints import convert

    hub = FIXTURES / fixture / "hub"
    return convert(
        FIXTURES / fixture / "checkpoint", folder / "model", hub=hub if hub.is_dir() else None
    )


def read_model(path: Path) -> Seen:
    """Load a model and ask one question."""
    import med2e3

    model = med2e3.load(path, device="cpu")
    shape = model.info.grid_shape
    grid = np.linspace(0, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)
    answer = model.read(grid).ask("Where is it?", max_new_tokens=3)
    answer.complete()
    scores = () if answer.scores is None else tuple(np.round(answer.scores.values, 4).tolist())
    return Seen((answer.text, scores), frozenset(map(str, model.info.notes)))


def _dicom(name: str, syntax: UID | None, **how: Any) -> Subject:
    return Subject(f"DICOM {name}", partial(write_dicom, syntax=syntax), read_volumes, **how)


def _volume(name: str, write: Callable[[Path], Path], **how: Any) -> Subject:
    return Subject(name, write, read_volumes, **how)


SUBJECTS = (
    _dicom("explicit", None, in_elements=True, weight=60),
    _dicom("implicit", ImplicitVRLittleEndian),
    _dicom("big endian", ExplicitVRBigEndian),
    _dicom("deflated", DeflatedExplicitVRLittleEndian, is_deflated=True),
    _dicom("RLE", RLELossless, in_elements=True, weight=20),
    _dicom("JPEG-LS", JPEGLSLossless, in_elements=True, weight=20),
    _dicom("JPEG 2000", JPEG2000Lossless, in_elements=True, weight=20),
    _dicom("JPEG 2000 lossy", JPEG2000, in_elements=True),
    _dicom("JPEG lossless", JPEGLosslessSV1, in_elements=True, weight=20),
    _dicom("JPEG baseline", JPEGBaseline8Bit, in_elements=True, weight=20),
    _dicom("HTJ2K", HTJ2KLossless, in_elements=True),
    _volume("enhanced", write_enhanced, in_elements=True, weight=30),
    _volume("enhanced JPEG 2000", partial(write_enhanced, syntax=JPEG2000Lossless),
            in_elements=True),
    _volume("DICOMDIR", write_medium, victims="DICOMDIR", in_elements=True, weight=20),
    _volume("ZIP", partial(write_zip, method=zipfile.ZIP_DEFLATED), checked=True, weight=20),
    _volume("ZIP stored", partial(write_zip, method=zipfile.ZIP_STORED), checked=True),
    _volume("NIfTI", partial(write_nii, name="body.nii"), weight=30),
    _volume("NIfTI gz", partial(write_nii, name="body.nii.gz"), checked=True, weight=20),
    _volume("NIfTI-2", partial(write_nii, name="body.nii", kind=nibabel.Nifti2Image)),
    _volume("NRRD", partial(write_with_itk, name="body.nrrd"), header_ends=b"\n\n", weight=20),
    _volume("NRRD gz", partial(write_with_itk, name="body.nrrd", compress=True),
            header_ends=b"\n\n", checked=True),
    _volume("NHDR", partial(write_with_itk, name="body.nhdr"), header_ends=b"encoding: raw"),
    _volume("MetaImage", partial(write_with_itk, name="body.mha"), header_ends=b"LOCAL\n",
            weight=20),
    _volume("MetaImage zlib", partial(write_with_itk, name="body.mha", compress=True),
            header_ends=b"LOCAL\n", checked=True),
    _volume("MHD", partial(write_with_itk, name="body.mhd"), header_ends=b".raw\n"),
    _volume("npy", write_npy, weight=20),
    Subject("settings", write_settings, read_settings, "settings.json", is_json=True, weight=20),
    Subject("annotations", write_annotations, read_annotations, "*.json", is_json=True, weight=30),
    Subject("reports", write_report, read_report, "*.json", is_json=True, weight=20),
    Subject("model Med-2E3", partial(write_model, fixture="med2e3"), read_model,
            weight=8),
    Subject("model M3D-LaMed", partial(write_model, fixture="m3d_lamed"), read_model,
            weight=8),
)  # fmt: skip
