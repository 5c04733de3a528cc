"""The one exception tree of the project.

Every message names the value that was wrong, the cause, and the way out; it is written for the
person at the workstation, and the command line and the window show it unchanged. Knows nothing of
where an error is shown.

    Med2E3Error
        Cancelled
            Terminated
        CheckpointError
        DownloadError
        InputError
            DataError
            GeometryError
                GapError
            ImageReadError
            PreprocessingError
            QuestionError
            RecipeError
            SeriesChoiceError
        ResourceError
"""

from __future__ import annotations


class Med2E3Error(Exception):
    """Base of everything that this package raises on purpose."""


class InputError(Med2E3Error):
    """What the user handed in cannot be used as it is."""


class ImageReadError(InputError):
    """A file or folder holds no readable image: wrong format, truncated, corrupt, or empty."""


class GeometryError(InputError):
    """The position of the voxels in the patient is missing, contradictory or degenerate."""


class GapError(GeometryError):
    """Slices are missing or unevenly spaced; `load_volume(..., resample_gaps=True)` opens it."""


class SeriesChoiceError(InputError):
    """The requested series does not exist among those found."""


class QuestionError(InputError):
    """A question is empty, or longer than the model can take."""


class PreprocessingError(InputError):
    """The volume cannot be brought onto the model's grid (no foreground, bad window, ...)."""


class DataError(InputError):
    """An entry of a data set cannot be used; names the file and the row."""


class RecipeError(InputError):
    """A key of a recipe or a study's plan is unknown, missing, of the wrong type or out of range.

    `key` is the path to it: ("stages", "tune", "steps"), with a number for an entry of a list;
    empty where the sentence says already in which line of which file it stands.
    """

    def __init__(self, sentence: str, key: tuple[str | int, ...] = ()) -> None:
        super().__init__(sentence)
        self.key = key


class CheckpointError(Med2E3Error):
    """Weights, config or tokenizer of a model are missing, damaged, or of another model."""


class ResourceError(Med2E3Error):
    """Not enough memory or disk for what was asked, or no such device, package or precision.

    Names the need and what was free, or what can be chosen.
    """


class DownloadError(Med2E3Error):
    """A download that the user asked for did not complete or did not verify."""


class Cancelled(Med2E3Error):  # noqa: N818 - not a failure, but the end of work somebody stopped
    """The caller stopped the work; nothing is wrong."""


class Terminated(Cancelled):
    """The system ended the work (SIGTERM); what was done so far is kept."""
