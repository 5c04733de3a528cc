"""The line at the bottom: the voxel under the mouse, window, spacing, memory of the volume."""

from __future__ import annotations

from PySide6.QtWidgets import QLabel, QStatusBar

from app.imaging import numbers, windows
from app.viewmodels.images.overlays import Overlays
from app.viewmodels.images.viewer import Viewer
from app.viewmodels.study.pictures import SinglePictures
from app.views.parts.elided import ElidedLabel
from med2e3.words import fine_size_text


class StatusLine(QStatusBar):
    """The status line of one `Viewer`, and of the image that is seen by itself."""

    def __init__(self, viewer: Viewer, pictures: SinglePictures, overlays: Overlays) -> None:
        super().__init__()
        self._overlays = overlays
        self._viewer = viewer
        self.voxel = QLabel()
        self.facts = ElidedLabel()
        self.facts.setProperty("dim", True)
        self.addWidget(self.voxel, 1)
        self.addPermanentWidget(self.facts)
        self.setContentsMargins(8, 0, 10, 0)
        self.setSizeGripEnabled(False)
        viewer.readout_changed.connect(self._show_voxel)
        pictures.readout_changed.connect(lambda: self.voxel.setText(pictures.readout))
        for signal in (viewer.volume_changed, viewer.window_changed):
            signal.connect(self._show_facts)
        self._show_facts()

    def _show_voxel(self) -> None:
        readout = self._viewer.readout
        if readout is None:
            self.voxel.clear()
            return
        where = numbers.sides(readout.patient_mm, digits=1)
        index = " ".join(str(n) for n in readout.index)
        names = ", ".join(self._overlays.names_at(readout.patient_mm))
        value = f"{readout.unit} {numbers.value(readout.value)} at {where} mm"
        self.voxel.setText("  ·  ".join(filter(None, (names, value, f"voxel {index}"))))

    def _show_facts(self) -> None:
        volume = self._viewer.volume
        if volume is None:
            self.facts.clear()
            self.voxel.clear()
            return
        # Columns × rows × slices, as headers and other viewers count.
        shape = " × ".join(str(n) for n in reversed(volume.shape))
        spacing = " × ".join(f"{mm:.2f}" for mm in reversed(volume.geometry.spacing_mm))
        window = windows.describe(self._viewer.window)
        memory = fine_size_text(volume.voxels.nbytes, decimals=0)
        self.facts.setText(f"{window}  ·  {shape}  ·  {spacing} mm  ·  {memory}")
