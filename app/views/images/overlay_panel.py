"""What lies over the images, as a legend that switches it: layers, labels with their ml, boxes.

Shown below the series list while there is anything. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap
from PySide6.QtWidgets import (
    QCheckBox,
    QColorDialog,
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QMenu,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.imaging.colour_names import ColourMap
from app.rendering.colour_maps import swatch
from app.viewmodels.images.layers import BoxMark, Label, Layer
from app.viewmodels.images.overlay_surfaces import SURFACE_TYPES, surface_file, surface_name
from app.viewmodels.images.overlays import Overlays
from app.views.parts import theme
from app.views.parts.elided import ChoiceBox
from app.views.parts.file_dialogs import Saver, ask_for_file
from app.views.parts.icons import dress
from app.views.parts.range_slider import RangeSlider

#: Size of a colour beside a name, and of a strip that shows a colour map.
DOT, STRIP = 10, QSize(48, 10)

#: Space at the left and right, as in the series list above.
EDGES = (10, 6)

#: The panel takes at most this height, in logical pixels; more labels scroll.
TALLEST = 360

#: Segmentations offered at most; all are in the list of files left out.
MOST_OFFERS = 4


#: Takes the brush for one label of a layer.
Paint = Callable[[Layer, int], object]


class OverlayPanel(QWidget):
    """The legend."""

    def __init__(self, overlays: Overlays, saver: Saver, paint: Paint) -> None:
        super().__init__()
        self._overlays = overlays
        self._paint = paint
        self._saver = saver
        self.rows: list[LayerRow] = []
        self.boxes: list[QCheckBox] = []
        self._shape: tuple[object, ...] = ()
        self.heading = QLabel("Overlays")
        self.heading.setProperty("heading", True)
        self.heading.setContentsMargins(EDGES[0], 6, EDGES[1], 2)
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.offers = QWidget()
        self._offers = QVBoxLayout(self.offers)
        self._offers.setContentsMargins(EDGES[0], 2, EDGES[1], 4)
        self._offers.setSpacing(3)
        self._offered: tuple[Path, ...] = ()
        for widget in (self.heading, self.offers, self._scroll):
            column.addWidget(widget)
        overlays.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Take over the overlays; rows are made again only when there are others."""
        overlays = self._overlays
        self.heading.setText(f"Opening {overlays.loading}…" if overlays.loading else "Overlays")
        self._refresh_offers()
        there = not overlays.empty
        self.setVisible(bool(overlays.loading or overlays.offered) or there)
        self._scroll.setVisible(there)
        shape = (
            tuple((x.name, id(x.voxels), _named(x.labels)) for x in overlays.layers),
            tuple(box.name for box in overlays.boxes),
        )
        if shape != self._shape:
            self._shape = shape
            self._rebuild()
        for row, layer in zip(self.rows, overlays.layers, strict=True):
            row.show_layer(layer)
        for check, box in zip(self.boxes, overlays.boxes, strict=True):
            check.setChecked(box.visible)

    def _refresh_offers(self) -> None:
        """A button for each segmentation of the study that does not lie over the images yet."""
        offered = self._overlays.offered
        self.offers.setVisible(bool(offered))
        if offered == self._offered:
            return
        self._offered = offered
        while (item := self._offers.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.deleteLater()
        for path in offered[:MOST_OFFERS]:
            button = QPushButton(f"Segmentation: {path.name}")
            button.setToolTip(f"Lay this DICOM Segmentation of the study over the images\n{path}")
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            button.clicked.connect(lambda _=False, p=path: self._overlays.start(p))
            self._offers.addWidget(button)

    def _rebuild(self) -> None:
        body = QWidget()
        column = QVBoxLayout(body)
        column.setContentsMargins(EDGES[0], 2, EDGES[1], 8)
        column.setSpacing(3)
        self.rows = [
            LayerRow(self._overlays, k, self._saver, self._paint)
            for k in range(len(self._overlays.layers))
        ]
        self.boxes = [self._box_check(k, box) for k, box in enumerate(self._overlays.boxes)]
        for widget in (*self.rows, *self.boxes):
            column.addWidget(widget)
        column.addStretch(1)
        # The old rows may be in the middle of telling of a click: they go when that is over.
        if (old := self._scroll.takeWidget()) is not None:
            old.deleteLater()
        self._scroll.setWidget(body)
        self._scroll.setFixedHeight(min(body.sizeHint().height() + 4, TALLEST))

    def _box_check(self, k: int, box: BoxMark) -> QCheckBox:
        check = narrow(QCheckBox(box.name.split(":")[0]))
        check.setIcon(dot(box.colour))
        check.setToolTip(box.name)
        check.clicked.connect(lambda _=False: self._overlays.toggle_box(self._overlays.boxes[k]))
        return check


class LayerRow(QWidget):
    """One layer: on or off, opacity, and its labels or its colour map and threshold."""

    def __init__(self, overlays: Overlays, k: int, saver: Saver, paint: Paint) -> None:
        super().__init__()
        self._overlays = overlays
        self._paint = paint
        self._k = k
        self._saver = saver
        self.menu = QMenu(self)
        layer = overlays.layers[k]
        self.check = narrow(QCheckBox(layer.name))
        self.check.setToolTip(layer.name)
        self.check.clicked.connect(lambda on: overlays.change(self.layer, visible=bool(on)))
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(0, 100)
        self.opacity.setToolTip("Opacity")
        self.opacity.setAccessibleName(f"Opacity of {layer.name}")
        self.opacity.valueChanged.connect(self._set_opacity)
        self.percent = _number("100 %")
        self.ends = (_number(""), _number(""))
        self.maps: ChoiceBox | None = None
        self.range: RangeSlider | None = None
        self.labels: list[QCheckBox] = []
        self._lay_out(layer)

    @property
    def layer(self) -> Layer:
        """The layer as it is now."""
        return self._overlays.layers[self._k]

    def show_layer(self, layer: Layer) -> None:
        """Take over what is shown."""
        self.check.setChecked(layer.visible)
        if self.opacity.value() != round(layer.opacity * 100):
            self.opacity.setValue(round(layer.opacity * 100))
        self.percent.setText(f"{self.opacity.value()} %")
        for check, label in zip(self.labels, layer.labels, strict=False):
            check.setChecked(label.value not in layer.hidden)
            check.setText(f"{label.name}  {label.millilitres:.1f} ml")
            check.setToolTip(f"{label.name}: {label.millilitres:.2f} ml")
        if self.maps is not None and self.range is not None:
            self.maps.setCurrentIndex(self.maps.findData(layer.colours))
            self.range.show_values(*(self._fraction(v) for v in (layer.low, layer.high)))
            self.range.setToolTip(f"Shown from {layer.low:g} to {layer.high:g}")
            for end, value in zip(self.ends, (layer.low, layer.high), strict=True):
                end.setText(f"{value:.4g}".replace("-", "−"))

    def _lay_out(self, layer: Layer) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 4)
        column.setSpacing(4)
        head = QHBoxLayout()
        head.addWidget(self.check, 1)
        if layer.labels:
            head.addWidget(self._menu_button())
        if not layer.of_answer:
            close = QToolButton()
            close.setToolTip("Take this overlay away")
            dress(close, "close", "dim")
            close.clicked.connect(lambda _=False: self._overlays.remove(self.layer))
            head.addWidget(close)
        column.addLayout(head)
        if layer.note:
            note = QLabel(layer.note)
            note.setWordWrap(True)
            note.setProperty("warning", True)
            column.addWidget(note)
        if layer.about:
            about = QLabel(layer.about)
            about.setWordWrap(True)
            about.setProperty("dim", True)
            column.addWidget(about)
        row = QHBoxLayout()
        row.setSpacing(8)
        title = QLabel("Opacity")
        title.setProperty("dim", True)
        row.addWidget(title)
        row.addWidget(self.opacity, 1)
        row.addWidget(self.percent)
        column.addLayout(row)
        for widget in self._label_checks(layer) if layer.labels else self._value_controls(layer):
            column.addWidget(widget)

    def _menu_button(self) -> QToolButton:
        button = QToolButton()
        button.setToolTip("What can be done with this overlay")
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        dress(button, "more", "dim")
        button.setMenu(self.menu)
        return button

    def _save_surface(self, label: Label) -> None:
        self._saver.ask(surface_name(label), surface_file(self.layer, label), types=SURFACE_TYPES)

    def _label_checks(self, layer: Layer) -> list[QWidget]:
        for label in layer.labels:
            check = narrow(QCheckBox(label.name))
            check.setIcon(dot(label.colour))
            check.clicked.connect(
                lambda _=False, value=label.value: self._overlays.toggle_label(self.layer, value)
            )
            check.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
            for words, act in self._label_acts(label):
                check.addAction(words).triggered.connect(act)
            self.labels.append(check)
        self._fill_menu(layer)
        return list(self.labels)

    def _label_acts(self, label: Label) -> list[tuple[str, Callable[[], object]]]:
        """What can be done with one structure."""
        overlays, value = self._overlays, label.value
        return [
            ("Go to it", lambda: overlays.go_to_label(self.layer, value)),
            ("Show it alone, or all", lambda: overlays.show_only(self.layer, value)),
            ("Name…", lambda: self._ask_name(label)),
            ("Colour…", lambda: self._ask_colour(label)),
            ("Paint on it", lambda: self._paint(self.layer, value)),
            ("Save surface…", lambda: self._save_surface(label)),
        ]

    def _fill_menu(self, layer: Layer) -> None:
        overlays, menu = self._overlays, self.menu
        if len(layer.labels) == 1:
            menu.addAction("Save surface…", partial(self._save_surface, layer.labels[0]))
            only = layer.labels[0].value
            menu.addAction("Go to it", lambda: overlays.go_to_label(self.layer, only))
            menu.addAction("Paint on it", lambda: self._paint(self.layer, only))
        else:
            for label in layer.labels:
                one = menu.addMenu(label.name)
                for words, act in self._label_acts(label):
                    one.addAction(words).triggered.connect(act)
            menu.addSeparator()
            menu.addAction("Show all", lambda: overlays.show_labels(self.layer, shown=True))
            menu.addAction("Show none", lambda: overlays.show_labels(self.layer, shown=False))
        menu.addSeparator()
        menu.addAction("Names from a file…", self._ask_names)
        menu.addAction("Names of TotalSegmentator", self._name_as_total_segmentator)

    def _ask_name(self, label: Label) -> None:
        dialog = QInputDialog(self)
        dialog.setWindowTitle("Name of the structure")
        dialog.setLabelText(f"Name of label {label.value}:")
        dialog.setTextValue(label.name)
        dialog.textValueSelected.connect(
            lambda name: self._overlays.name(self.layer, {label.value: name})
        )
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _ask_colour(self, label: Label) -> None:
        dialog = QColorDialog(QColor(label.colour), self)
        dialog.setOption(QColorDialog.ColorDialogOption.DontUseNativeDialog)
        dialog.colorSelected.connect(
            lambda colour: self._overlays.recolour(self.layer, label.value, colour.name())
        )
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _ask_names(self) -> None:
        ask_for_file(
            self.window(),
            "File with the names of the labels",
            lambda path: self._overlays.start_naming(self.layer, path),
            types="Names (*.txt *.json *.csv *.tsv *.ctbl *.label);;All files (*)",
        )

    def _name_as_total_segmentator(self) -> None:
        from med2e3.io.label_names import total_segmentator

        self._overlays.name(self.layer, total_segmentator())

    def _value_controls(self, layer: Layer) -> list[QWidget]:
        self.maps = ChoiceBox()
        self.maps.setIconSize(STRIP)
        self.maps.setToolTip("Colour map of this overlay")
        for name in ColourMap:
            strip = QPixmap.fromImage(swatch(name, STRIP.width(), STRIP.height()))
            self.maps.addItem(QIcon(strip), str(name), name)
        self.maps.activated.connect(self._use_map)
        self.range = RangeSlider(f"Threshold of {layer.name}")
        self.range.moved.connect(self._set_end)
        shown = QWidget()
        row = QHBoxLayout(shown)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.ends[0])
        row.addWidget(self.range, 1)
        row.addWidget(self.ends[1])
        return [self.maps, shown]

    def _use_map(self, row: int) -> None:
        assert self.maps is not None
        self._overlays.change(self.layer, colours=ColourMap(self.maps.itemData(row)))

    def _set_opacity(self, percent: int) -> None:
        if percent != round(self.layer.opacity * 100):
            self._overlays.change(self.layer, opacity=percent / 100)

    def _fraction(self, value: float) -> float:
        low, high = self.layer.value_range
        return (value - low) / max(high - low, 1e-9)

    def _set_end(self, end: int, fraction: float) -> None:
        low, high = self.layer.value_range
        value = low + fraction * (high - low)
        if end == 0:
            self._overlays.change(self.layer, low=min(value, self.layer.high))
        else:
            self._overlays.change(self.layer, high=max(value, self.layer.low))


def _named(labels: tuple[Label, ...]) -> tuple[tuple[int, str, str], ...]:
    """What rows are made of; the sizes of labels change while they are painted."""
    return tuple((one.value, one.name, one.colour) for one in labels)


def _number(widest: str) -> QLabel:
    """A number beside a slider, which does not move while the number changes."""
    label = QLabel(widest)
    label.setProperty("dim", True)
    label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    label.setMinimumWidth(label.sizeHint().width())
    return label


def narrow(check: QCheckBox) -> QCheckBox:
    """A long name is cut at the edge of the panel, and whole in the tooltip."""
    check.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return check


def dot(colour: str) -> QIcon:
    """A square of one colour, rimmed so that it is seen on any ground."""
    pixmap = QPixmap(DOT, DOT)
    pixmap.fill(QColor(theme.DARK.line))
    inner = QPixmap(DOT - 2, DOT - 2)
    inner.fill(QColor(colour))
    painter = QPainter(pixmap)
    painter.drawPixmap(1, 1, inner)
    painter.end()
    return QIcon(pixmap)
