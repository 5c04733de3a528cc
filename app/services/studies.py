"""Opens studies on the worker for files. Knows no widgets."""

from __future__ import annotations

from app.services.jobs import Context, Jobs, Lane
from app.viewmodels.study import Opened, Preview, Target
from app.viewmodels.work import Job, Listener

#: How much of the work is looking at headers.
SCAN_SHARE = 0.3


class Studies:
    """Reads DICOM, NIfTI and the other formats of `med2e3.io`."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def open(self, target: Target, listener: Listener) -> Job[Opened]:
        """Read a volume; events: `Progress`, `Preview`."""
        return self._jobs.start(Lane.FILES, lambda context: _open(target, context), listener)


def _open(target: Target, context: Context) -> Opened:
    # Imported here: the readers take a third of a second, the window is on the screen by then.
    from med2e3.io import Watch, open_place

    place = open_place(
        target.path,
        progress=lambda fraction, doing: context.progress(fraction * SCAN_SHARE, doing),
        cancelled=context.cancelled,
    )
    chosen = place.choose(target.series)
    watch = Watch(
        context.progress,
        context.cancelled,
        low=SCAN_SHARE,
        first_look=lambda volume: context.emit(Preview(volume)),
    )
    volume = place.load(chosen, watch, resample_gaps=target.resample)
    _ = volume.value_range  # reads every voxel once, here and not on the thread of the window
    return Opened(volume, place.series, chosen)
