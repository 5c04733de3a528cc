"""What was found in the opened place: patient, study, and the series to switch between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QIcon, QPixmap
from PySide6.QtWidgets import QLabel, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from app.rendering.grey import GreyMap, as_picture
from app.viewmodels import windows
from app.viewmodels.study import Study, Target
from app.viewmodels.viewer import Viewer
from app.views.icons import icon
from med2e3.geometry import Plane
from med2e3.volume import SeriesInfo, Volume

if TYPE_CHECKING:
    from med2e3.io import SeriesSummary

#: Edge of a thumbnail in logical pixels.
THUMBNAIL = 56


class SeriesPanel(QWidget):
    """The list on the left."""

    def __init__(self, study: Study, viewer: Viewer) -> None:
        super().__init__()
        self._study = study
        self._viewer = viewer
        self.patient = QLabel()
        self.patient.setProperty("heading", True)
        self.details = QLabel()
        self.details.setProperty("dim", True)
        for label in (self.patient, self.details):
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
        self.list = QListWidget()
        self.list.setIconSize(QSize(THUMBNAIL, THUMBNAIL))
        self.list.setWordWrap(True)
        self.list.setSpacing(2)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.list.itemClicked.connect(self._clicked)
        self.list.itemActivated.connect(self._clicked)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 10, 6, 6)
        for widget in (self.patient, self.details):
            layout.addWidget(widget)
        layout.addWidget(self.list, 1)
        self.setMinimumWidth(120)
        study.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Take over what was found, and which series is open."""
        volume = self._viewer.volume if self._study.place is not None else None
        self.patient.setText(_patient(volume))
        self.details.setText(_study_text(volume))
        self.list.clear()
        for summary in self._study.series:
            self.list.addItem(self._item(summary, volume))

    def _item(self, summary: SeriesSummary, volume: Volume | None) -> QListWidgetItem:
        item = QListWidgetItem(_series_text(summary))
        item.setData(Qt.ItemDataRole.UserRole, summary)
        item.setIcon(icon("series"))
        item.setToolTip(summary.label)
        if not summary.is_volume:
            item.setFlags(Qt.ItemFlag.NoItemFlags)
            item.setToolTip(f"{summary.label}: not a volume: {summary.reason}")
        if summary is self._study.chosen and volume is not None:
            item.setIcon(_thumbnail(volume, self.devicePixelRatioF()))
            item.setSelected(True)
            self.list.setCurrentItem(item)
        return item

    def _clicked(self, item: QListWidgetItem) -> None:
        summary = item.data(Qt.ItemDataRole.UserRole)
        if summary is not self._study.chosen and self._study.place is not None:
            self._study.start(Target(self._study.place, summary))


def _patient(volume: Volume | None) -> str:
    if volume is None:
        return "No study open"
    name = volume.info.patient_name.replace("^", " ").strip()
    return name or volume.info.patient_id or "Patient not named"


def _study_text(volume: Volume | None) -> str:
    if volume is None:
        return ""
    info = volume.info
    patient = (info.patient_id, info.patient_sex, _date(info.patient_birth_date))
    study = (_date(info.study_date), info.study_description)
    lines = (" · ".join(filter(None, words)) for words in (patient, study))
    return "\n".join(filter(None, lines))


def _date(dicom: str) -> str:
    return f"{dicom[:4]}-{dicom[4:6]}-{dicom[6:8]}" if len(dicom) == 8 else dicom


def _series_text(summary: SeriesSummary) -> str:
    info: SeriesInfo = summary.info
    name = info.series_description or summary.part or "Series"
    number = f"{info.series_number}  " if info.series_number else ""
    size = f"{summary.shape[0]} slices" if summary.is_volume else summary.reason
    return f"{number}{name}\n{' '.join(filter(None, (info.modality, size)))}"


def _thumbnail(volume: Volume, ratio: float) -> QIcon:
    turned = volume.in_plane(Plane.AXIAL)
    middle = turned.voxels[turned.shape[0] // 2]
    step = max(1, min(middle.shape) // round(THUMBNAIL * ratio))
    picture = as_picture(GreyMap(windows.initial(volume)).pixels(middle[::step, ::step]))
    pixmap = QPixmap.fromImage(picture.image.copy())
    edge = round(THUMBNAIL * ratio)
    keep, smooth = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    pixmap = pixmap.scaled(edge, edge, keep, smooth)
    pixmap.setDevicePixelRatio(ratio)
    thumbnail = QIcon(pixmap)
    thumbnail.addPixmap(pixmap, QIcon.Mode.Selected)
    return thumbnail
