"""Which cells stand where in the centre: one view, two by two, one large, or the user's own.

A cell is named once (a plane, or a key of `TITLES`) and shown at most once. Knows no widgets: the
table of what makes each cell is `app.views.window.centre.CELLS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.viewmodels.core.settings import Settings
from app.viewmodels.core.signal import Signal
from med2e3.geometry import Plane

#: Every cell with its title. A new kind of cell adds a line here and its factory in
#: `app.views.window.centre.CELLS`; a test holds the two tables together.
TITLES: dict[str, str] = {
    Plane.AXIAL.value: "Axial",
    Plane.SAGITTAL.value: "Sagittal",
    Plane.CORONAL.value: "Coronal",
    "sheet": "What the model saw",
    "3d": "3D",
    "picture": "Single image",
}

#: The cells that can stand in the fourth place of the grid.
SHEET, SCENE, PICTURE = "sheet", "3d", "picture"

#: Stands for the fourth cell that the study itself suggests.
AUTOMATIC = ""

#: The planes of the grid, before its fourth place.
GRID_PLANES = (Plane.AXIAL, Plane.SAGITTAL, Plane.CORONAL)

#: A place of a custom layout that shows nothing.
NOTHING = ""

#: Largest custom layout: more cells than there are kinds would only stand empty.
LARGEST = (3, 3)


class Kind(StrEnum):
    """How the centre is divided; the values are kept in the preferences."""

    SINGLE = "single"
    GRID = "grid"
    SIDE = "side"
    CUSTOM = "custom"


KIND_TITLES: dict[Kind, str] = {
    Kind.SINGLE: "One view",
    Kind.GRID: "Two by two",
    Kind.SIDE: "One large, three small",
    Kind.CUSTOM: "Custom",
}


@dataclass(frozen=True)
class GridSpan:
    """The first row and column that a cell takes in a grid, and how many of each."""

    row: int
    column: int
    rows: int = 1
    columns: int = 1


@dataclass(frozen=True)
class Custom:
    """The user's own layout: `cells` row by row, `NOTHING` where a place stays empty."""

    rows: int
    columns: int
    cells: tuple[str, ...]

    def with_size(self, rows: int, columns: int) -> Custom:
        """The same cells in another grid; new places take the cells that are not shown yet."""
        rows, columns = min(max(rows, 1), LARGEST[0]), min(max(columns, 1), LARGEST[1])
        kept = [cell for cell in self.cells if cell][: rows * columns]
        spare = [name for name in TITLES if name not in kept]
        cells = (*kept, *spare, *[NOTHING] * (rows * columns))
        return Custom(rows, columns, cells[: rows * columns])

    def with_cell(self, at: int, name: str) -> Custom:
        """Another cell at a place; where it stood before, the replaced one stands now."""
        cells = list(self.cells)
        if name in cells and name != NOTHING:
            cells[cells.index(name)] = cells[at]
        cells[at] = name
        return Custom(self.rows, self.columns, tuple(cells))

    def __str__(self) -> str:
        return f"{self.rows}x{self.columns}:{','.join(self.cells)}"


STANDARD_CUSTOM = Custom(1, 3, (Plane.AXIAL.value, Plane.CORONAL.value, Plane.SAGITTAL.value))


def custom_from(text: str) -> Custom:
    """The layout that `str(Custom)` wrote; the standard one if it cannot be one."""
    size, _, names = text.partition(":")
    rows, _, columns = size.partition("x")
    cells = tuple(names.split(","))
    if not (rows.isdecimal() and columns.isdecimal()):
        return STANDARD_CUSTOM
    inside = 1 <= int(rows) <= LARGEST[0] and 1 <= int(columns) <= LARGEST[1]
    shown = [cell for cell in cells if cell]
    known = len(set(shown)) == len(shown) and set(shown) <= set(TITLES) and bool(shown)
    if not (inside and known and len(cells) == int(rows) * int(columns)):
        return STANDARD_CUSTOM
    return Custom(int(rows), int(columns), cells)


@dataclass(frozen=True)
class Arrangement:
    """What a series was hung as: its main cell, the kind that it asked for, and why."""

    series: tuple[object, ...]
    main: str
    hung: Kind | None
    why: str


class Layouts:
    """The layout in use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        stored = settings.values.layout
        self.kind = Kind(stored) if stored in list(Kind) else Kind.GRID
        self.custom = custom_from(settings.values.custom_layout)
        self.main: str = Plane.AXIAL.value
        stored = settings.values.corner
        #: What the reader wants in the fourth place; `fourth` is what stands there.
        self.corner = stored if stored in (SHEET, SCENE, PICTURE) else AUTOMATIC
        #: Whether the open study has an image to be seen by itself: a scout.
        self._has_scout = False
        self.alone: str | None = None
        stored = settings.values.second_cell if settings.values.restore_window else ""
        #: The cell that stands in a window of its own; empty: none.
        self.second = stored if stored in TITLES else ""
        self.titles = dict(TITLES)
        self.why = ""
        self._hung: Kind | None = None
        self._series: tuple[object, ...] = ()
        self.changed: Signal[[]] = Signal()
        #: A layout was asked for: a plane that fills the centre would hide it.
        self.chosen: Signal[[]] = Signal()

    @property
    def shown_kind(self) -> Kind:
        """How the centre is divided now: as the series asks for, or as the user chose."""
        return self._hung or self.kind

    @property
    def hangs(self) -> bool:
        """Whether each series is arranged by its kind."""
        return self._settings.values.hanging

    def toggle_hanging(self) -> None:
        """Arrange series by their kind, or leave the layout alone."""
        self._settings.set("hanging", not self.hangs)
        self._hung, self.why = None, ""
        self._remember()

    def hang(self, series: tuple[object, ...], main: str, kind: Kind | None, why: str) -> None:
        """Arrange a series by its kind until the user chooses; once for each series."""
        if series == self._series or not self.hangs:
            return
        self._series = series
        self.main, self.why = main, why
        # A plane that is large anyway, or alone, needs no other layout.
        fits = kind is Kind.SIDE and self.kind is Kind.SINGLE
        self._hung = None if fits else kind
        self.changed.emit()
        if kind is not None:
            self.chosen.emit()

    @property
    def arrangement(self) -> Arrangement:
        """How the open series is arranged."""
        return Arrangement(self._series, self.main, self._hung, self.why)

    def arrange_as(self, before: Arrangement) -> None:
        """Arrange the series again as it was before."""
        self._series, self.main = before.series, before.main
        self._hung, self.why = before.hung, before.why
        self.changed.emit()

    def describe(self) -> str:
        """The layout in words, and why it is the one."""
        title = KIND_TITLES[self.shown_kind].lower()
        return f"{title} ({self.why})" if self.why else title

    def choose(self, kind: Kind) -> None:
        """Divide the centre in another way, and remember it."""
        self.kind, self.alone = kind, None
        self._hung, self.why = None, ""
        self._remember()
        self.chosen.emit()

    def choose_main(self, name: str) -> None:
        """Choose the cell that is large, or alone."""
        self.main = name
        self.changed.emit()
        self.chosen.emit()

    def choose_main_after(self, name: str) -> None:
        """Make the cell after this one large, or alone."""
        names = list(TITLES)
        self.choose_main(names[(names.index(name) + 1) % len(names)])

    def use_custom(self, custom: Custom) -> None:
        """Use a layout of the user's own, and remember it."""
        self.custom = custom
        self.choose(Kind.CUSTOM)

    @property
    def fourth(self) -> str:
        """The cell in the fourth place: the reader's, else a scout, else 3D."""
        return self.corner or (PICTURE if self._has_scout else SCENE)

    def offer_scout(self, *, there: bool) -> None:
        """Say whether the study has a scout on which its slices can be seen."""
        if there != self._has_scout:
            self._has_scout = there
            self.changed.emit()

    def show_picture(self) -> None:
        """Bring the single image into view; where it is there, the layout stays."""
        if PICTURE not in self.places():
            self.corner, self.alone = PICTURE, None
            self.choose(Kind.GRID)

    def toggle_scene(self) -> None:
        """Show 3D in the fourth cell of the grid; where it is there, what the model saw."""
        self.alone = None
        shown = SCENE in self.places()
        self.corner = SHEET if shown else SCENE
        if shown and self.kind is not Kind.GRID:
            self.corner = SCENE
        self.choose(Kind.GRID)

    def detach(self, name: str) -> None:
        """Show a cell in a window of its own; where it is there, show it in its place again."""
        self.second = "" if self.second == name else name
        if self.alone == name:
            self.alone = None
        self._remember()

    def attach(self) -> None:
        """Show every cell in the main window."""
        self.second = ""
        self._remember()

    def toggle_alone(self, name: str) -> None:
        """Fill the centre with one cell; where it does, show the layout again."""
        if name == self.second:
            return
        self.alone = None if self.alone == name else name
        self.changed.emit()

    def places(self) -> dict[str, GridSpan]:
        """Where each cell stands; cells that are not named are not shown.

        Where the one in the second window would stand, a cell stands that was not shown.
        """
        places = self._all_places()
        at = places.pop(self.second, None)
        if at is not None:
            spare = (n for n in TITLES if n not in places and n != self.second)
            if (name := next(spare, None)) is not None:
                places[name] = at
        return places

    def _all_places(self) -> dict[str, GridSpan]:
        if self.alone is not None:
            return {self.alone: GridSpan(0, 0)}
        kind = self.shown_kind
        if kind is Kind.SINGLE:
            return {self.main: GridSpan(0, 0)}
        if kind is Kind.SIDE:
            small = self._others()[:3]
            return {self.main: GridSpan(0, 0, 3, 2)} | {
                n: GridSpan(k, 2) for k, n in enumerate(small)
            }
        if kind is Kind.CUSTOM:
            return _in_rows(self.custom.cells, self.custom.columns)
        return _in_rows((*(plane.value for plane in GRID_PLANES), self.fourth), 2)

    def _others(self) -> list[str]:
        return [name for name in TITLES if name != self.main]

    def _remember(self) -> None:
        self._settings.update(
            {
                "layout": self.kind.value,
                "custom_layout": str(self.custom),
                "corner": self.corner,
                "second_cell": self.second,
            }
        )
        self._settings.save()
        self.changed.emit()


def _in_rows(cells: Sequence[str], columns: int) -> dict[str, GridSpan]:
    return {name: GridSpan(*divmod(k, columns)) for k, name in enumerate(cells) if name != NOTHING}
