"""Slices that the reader marks as ones that matter: key images of the open series.

Joins what knows the slices, the `Viewer`, with what keeps the marks, the `Annotations`.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.viewmodels.annotation.annotations import Annotations
from app.viewmodels.images.viewer import Viewer
from med2e3.geometry import Plane
from med2e3.measures import SlicePlane


class SliceMarks:
    """The planes of all marks, and a mark on the slice that is shown."""

    def __init__(self, viewer: Viewer, annotations: Annotations) -> None:
        self._viewer = viewer
        self._annotations = annotations

    @property
    def planes(self) -> Sequence[SlicePlane]:
        """The planes of the marked slices."""
        return [image.plane for image in self._annotations.document.key_images]

    def toggle(self, plane: Plane) -> None:
        """Mark the slice that a plane of the volume is at, or take its mark away."""
        state = self._viewer.planes.get(plane)
        if state is not None:
            marked = SlicePlane.of_slice(state.geometry, state.slice_index)
            self._annotations.toggle_key_image(marked)
