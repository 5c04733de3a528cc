"""What was found in the opened places: search, patient → study → series, what was left out."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.imaging import windows
from app.rendering.grey import GreyMap, as_picture
from app.viewmodels.core.patients import details, patient_name
from app.viewmodels.images.viewer import Viewer
from app.viewmodels.study.browser import PatientRow, SeriesRow, browse
from app.viewmodels.study.pictures import SinglePictures
from app.viewmodels.study.study import Study
from app.views.study.skipped_dialog import SkippedDialog
from app.views.study.study_browser import PICTURE, ROW, THUMBNAIL, StudyTree, pixmap_of
from med2e3.geometry import Plane
from med2e3.volume import Volume
from med2e3.words import counted

if TYPE_CHECKING:
    from med2e3.io.series import Grouping, IndexedSeries

#: What the buttons call the groupings of `med2e3.io.series.Grouping`.
GROUPING_WORDS = {
    "apart": "Split again",
    "joined": "Join again",
    "acquisitions": "Split by acquisition",
}


class SeriesPanel(QWidget):
    """The list on the left."""

    def __init__(self, study: Study, viewer: Viewer, pictures: SinglePictures) -> None:
        super().__init__()
        self._pictured = pictures
        self._study = study
        self._viewer = viewer
        self._opened = study.chosen
        self._pictures: dict[tuple[Path | None, float], QPixmap] = {}
        self.patient = QLabel()
        self.patient.setProperty("heading", True)
        self.details = QLabel()
        self.details.setProperty("dim", True)
        for label in (self.patient, self.details):
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search series, date, …")
        self.search.setClearButtonEnabled(True)
        self.search.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.search.textChanged.connect(lambda _: self.refresh())
        self.tree = StudyTree()
        self.tree.name_of = study.name_of
        self.tree.itemClicked.connect(lambda item, _: self._clicked(item))
        self.tree.itemActivated.connect(lambda item, _: self._clicked(item))
        self.tree.customContextMenuRequested.connect(self._menu)
        self.split = QFrame()
        self.reason = QLabel()
        self.reason.setWordWrap(True)
        self.reason.setTextFormat(Qt.TextFormat.PlainText)
        self.reason.setProperty("dim", True)
        self.ways = QHBoxLayout()
        column = QVBoxLayout(self.split)
        column.setContentsMargins(0, 4, 0, 0)
        column.addWidget(self.reason)
        column.addLayout(self.ways)
        self.skipped = QPushButton()
        self.skipped.setFlat(True)
        self.skipped.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.skipped.clicked.connect(self.show_skipped)
        self.dialog: SkippedDialog | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 10, 6, 6)
        layout.setSpacing(4)
        for widget in (self.patient, self.details, self.search):
            layout.addWidget(widget)
        layout.addWidget(self.tree, 1)
        layout.addWidget(self.split)
        layout.addWidget(self.skipped)
        self.setMinimumWidth(160)
        study.changed.connect(self.refresh)
        study.thumbnails_changed.connect(self._draw_pictures)
        viewer.volume_changed.connect(self._show_patient)
        pictures.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Take over what was found, and which series is open."""
        self._show_patient()
        study = self._study
        self.search.setVisible(bool(study.series))
        self.tree.show_rows(self._rows())
        self._draw_pictures()
        self._show_split()
        if study.chosen is not self._opened:  # from now on the arrow keys are for slices
            self._opened = study.chosen
            self.tree.clearFocus()
        sentence = study.skipped_sentence
        self.skipped.setVisible(bool(sentence))
        number = len(study.skipped)
        self.skipped.setText(f"{counted(number, 'file')} left out…")
        self.skipped.setToolTip(sentence)

    def _show_patient(self) -> None:
        """Whose images are seen, those of a series that is still being read, too."""
        seen = self._study.path is not None or self._viewer.previewing
        volume = self._viewer.volume if seen else None
        self.patient.setText("No study open" if volume is None else patient_name(volume.info))
        self.details.setText("" if volume is None else details(volume.info))
        self.details.setVisible(bool(self.details.text()))

    def _rows(self) -> tuple[PatientRow, ...]:
        study = self._study
        kinds = {one.path: one.kind for one in study.skipped}
        words = self.search.text()
        return browse(study.series, study.chosen, words, kinds, self._pictured.summary)

    def show_skipped(self) -> SkippedDialog:
        """Open the list of what was left out."""
        if self.dialog is None:
            self.dialog = SkippedDialog(self._study, self)
        self.dialog.show()
        self.dialog.raise_()
        return self.dialog

    # --- series ----------------------------------------------------------------------------

    def _clicked(self, item: QTreeWidgetItem) -> None:
        row = item.data(0, ROW)
        if not isinstance(row, SeriesRow):
            return
        if row.summary.is_volume:
            self._study.pick(row.summary)
        elif row.opens:
            self._pictured.show(row.summary)

    def _menu(self, place: QPoint) -> None:
        item = self.tree.itemAt(place)
        row = item.data(0, ROW) if item is not None else None
        if isinstance(row, SeriesRow):
            menu = self.menu_of(row)
            menu.aboutToHide.connect(menu.deleteLater)
            menu.popup(self.tree.viewport().mapToGlobal(place))

    def menu_of(self, row: SeriesRow) -> QMenu:
        """What can be done with a series."""
        study, summary = self._study, row.summary
        menu = QMenu(self)
        if row.opens and not summary.is_volume:
            menu.addAction("Show this image", lambda: self._pictured.show(summary))
        opening = menu.addAction("Open", lambda: study.pick(summary))
        beside = menu.addAction("Open beside as comparison", lambda: study.open_beside(summary))
        opening.setEnabled(summary.is_volume and not row.is_open)
        beside.setEnabled(summary.is_volume)
        for way in summary.ways:
            menu.addAction(GROUPING_WORDS[way], partial(study.regroup, summary, way))
        if study.skipped:
            menu.addSeparator()
            menu.addAction("Files left out…", self.show_skipped)
        return menu

    def _show_split(self) -> None:
        """Why the open series is apart from others, and how to undo that."""
        chosen = self._study.chosen if self._study.listed is self._study.source else None
        ways = chosen.ways if chosen is not None else ()
        reason = f"Split by {chosen.split_by}" if chosen is not None and chosen.split_by else ""
        self.reason.setText(reason)
        self.reason.setVisible(bool(reason))
        while (old := self.ways.takeAt(0)) is not None:
            if (widget := old.widget()) is not None:
                widget.deleteLater()
        for way in ways:
            button = QPushButton(GROUPING_WORDS[way])
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.clicked.connect(partial(self._regroup, way))
            self.ways.addWidget(button)
        self.split.setVisible(bool(reason or ways))

    def _regroup(self, way: Grouping, _checked: bool = False) -> None:
        if self._study.chosen is not None:
            self._study.regroup(self._study.chosen, way)

    # --- thumbnails ------------------------------------------------------------------------

    def _draw_pictures(self) -> None:
        ratio, source = self.devicePixelRatioF(), self._study.listed
        indexed = {} if source is None else {id(s.summary): s for s in source.scan.series}
        for item in self.tree.items:
            row = item.data(0, ROW)
            picture = self._picture(row, _middle(indexed.get(id(row.summary))), ratio)
            if picture is not None:
                item.setData(0, PICTURE, picture)

    @property
    def _is_whole(self) -> bool:
        return not self._viewer.previewing

    def _picture(self, row: SeriesRow, middle: Path | None, ratio: float) -> QPixmap | None:
        key, volume = (middle, ratio), self._viewer.volume
        if middle is None:
            return None
        if key not in self._pictures:
            grey = self._study.thumbnails.get(middle)
            if grey is not None:
                self._pictures[key] = pixmap_of(grey, ratio)
            elif row.summary is self._study.chosen and volume is not None and self._is_whole:
                self._pictures[key] = _of_volume(volume, ratio)
        return self._pictures.get(key)


def _middle(series: IndexedSeries | None) -> Path | None:
    """The file of the image that stands for a series."""
    if series is None or not series.slices:
        return None
    return series.slices[len(series.slices) // 2].path


def _of_volume(volume: Volume, ratio: float) -> QPixmap:
    turned = volume.in_plane(Plane.AXIAL)
    middle = turned.voxels[turned.shape[0] // 2]
    step = max(1, min(middle.shape) // round(THUMBNAIL * ratio))
    picture = as_picture(GreyMap(windows.initial(volume)).pixels(middle[::step, ::step]))
    edge = round(THUMBNAIL * ratio)
    keep, smooth = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    pixmap = QPixmap.fromImage(picture.image.copy()).scaled(edge, edge, keep, smooth)
    pixmap.setDevicePixelRatio(ratio)
    return pixmap
