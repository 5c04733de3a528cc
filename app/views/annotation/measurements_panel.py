"""The list of annotations and key images, with names, values, report and export.

A click on a row goes to its slice. The panel decides nothing: it shows `Annotations` and hands on
what the reader asks of them.
"""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QSignalBlocker, Qt
from PySide6.QtGui import QAction, QGuiApplication, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.imaging import numbers
from app.rendering import key_image as pictures
from app.viewmodels.annotation import exports, location, values
from app.viewmodels.annotation.annotations import Annotations
from app.viewmodels.annotation.books import Books
from app.viewmodels.annotation.model import LONGEST_TEXT, Annotation, KeyImage
from app.viewmodels.window.workspace import Workspace
from app.views.annotation.histogram import Histogram
from app.views.annotation.profile_curve import ProfileCurve
from app.views.parts.elided import ChoiceBox
from app.views.parts.export_button import export_button
from app.views.parts.file_dialogs import Saver
from app.views.parts.icons import dress
from med2e3.volume import Volume

EMPTY = "Nothing is measured on this series. Choose a tool (L: length), or mark a key image (K)."

#: Before the name of a key image.
STAR = "★"

#: Rows of the list that are seen at least, whatever is shown of the selected one.
LEAST_ROWS = 3

#: Space at the left and right, in logical pixels.
MARGIN = 10

#: Letters side by side below which the list has no room for all of its columns.
LETTERS = 45

#: Columns of the list.
NAME, VALUE, SLICE = 0, 1, 2

UID = Qt.ItemDataRole.UserRole


class MeasurementsPanel(QWidget):
    """The list, and below it the details of the selected row."""

    def __init__(self, workspace: Workspace, saver: Saver, actions: dict[str, QAction]) -> None:
        super().__init__()
        self._workspace = workspace
        self._books = workspace.books
        self.side = _sides(workspace.books)
        self.said = QLabel()
        self.said.setProperty("dim", True)
        self.said.setWordWrap(True)
        self.said.hide()
        self.empty = QLabel(EMPTY)
        self.empty.setProperty("dim", True)
        self.empty.setWordWrap(True)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.list = _list()
        self.list.itemClicked.connect(self._chosen)
        self.list.itemActivated.connect(self._chosen)
        self.list.itemChanged.connect(self._renamed)
        self.detail = QLabel()
        self.detail.setWordWrap(True)
        self.detail.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.histogram = Histogram()
        self.profile = ProfileCurve()
        self.to_report = QPushButton("To report")
        self.to_report.setToolTip("Add what is selected, else everything, to the report")
        self.to_report.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.to_report.clicked.connect(self._report)
        self.export = export_button(exports.FORMATS, self._drawn, saver)
        self._head = QWidget()
        head = QHBoxLayout(self._head)
        head.setContentsMargins(0, 0, 0, 0)
        head.addWidget(self.said, 1)
        head.addWidget(_tool_button(actions["delete"]))
        head.addWidget(self.to_report)
        head.addWidget(self.export)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN, 6, MARGIN, 6)
        layout.setSpacing(6)
        layout.addWidget(self.side)
        layout.addWidget(self._head)
        layout.addWidget(self.empty, 1)
        layout.addWidget(self.list, 1)
        layout.addWidget(self.detail)
        layout.addWidget(self.histogram)
        layout.addWidget(self.profile)
        for book in self._books.all:
            book.changed.connect(self.refresh)
            book.live_changed.connect(self._show_detail)
            book.selection_changed.connect(self._select)
        self._books.changed.connect(self.refresh)
        self.refresh()

    @property
    def _annotations(self) -> Annotations:
        """Those that are listed."""
        return self._books.in_hand

    def refresh(self) -> None:
        """Show the document as it is now."""
        self._show_sides()
        self.said.hide()
        rows = self._rows()
        items = [self.list.topLevelItem(k) for k in range(self.list.topLevelItemCount())]
        shown = [item for item in items if item is not None]
        with QSignalBlocker(self.list):
            # A row in which a name is being typed must not vanish under the typing.
            if [item.data(NAME, UID) for item in shown] != [uid for uid, _ in rows]:
                self.list.clear()
                shown = [self._add(uid) for uid, _ in rows]
            for item, (_, texts) in zip(shown, rows, strict=True):
                for column, text in enumerate(texts):
                    item.setText(column, text)
                    item.setToolTip(column, text)
        count = self.list.topLevelItemCount()
        rows_high = LEAST_ROWS * max(self.list.sizeHintForRow(0), 0)
        self.list.setMinimumHeight(self.list.header().sizeHint().height() + rows_high)
        self.empty.setVisible(count == 0)
        for part in (self._head, self.list):
            part.setVisible(count > 0)
        self.to_report.setEnabled(bool(self._annotations.document.annotations))
        self._select()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Hide the column of slices where the panel is narrow."""
        super().resizeEvent(event)
        letters = self.width() / max(self.fontMetrics().averageCharWidth(), 1)
        self.list.setColumnHidden(SLICE, letters < LETTERS)

    # --- what the reader does --------------------------------------------------------------

    def _chosen(self, item: QTreeWidgetItem) -> None:
        self._annotations.go_to(str(item.data(NAME, UID)))

    def _renamed(self, item: QTreeWidgetItem, column: int) -> None:
        if column == NAME:
            self._annotations.rename(str(item.data(NAME, UID)), item.text(NAME).removeprefix(STAR))

    def copy_value(self) -> None:
        """Put what the selected annotation measures on the clipboard."""
        selected = self._annotations.selected_annotation
        if selected is not None:
            words = "\n".join(self._annotations.reading(selected).lines)
            QGuiApplication.clipboard().setText(words)
            self.said.setText(f"Copied: {words.splitlines()[0] if words else 'nothing'}")
            self.said.show()

    def _show_sides(self) -> None:
        """Of which of the series on the screen the list is."""
        both = self._books.both
        self.side.setVisible(len(both) > 1)
        beside = "the series beside it" if len(both) == 2 else "series {} beside it"
        words = ["the open series", *(beside.format(k) for k in range(2, len(both) + 1))]
        with QSignalBlocker(self.side):
            if [self.side.itemText(k) for k in range(self.side.count())] != words:
                self.side.clear()
                self.side.addItems(words)
            self.side.setCurrentIndex(both.index(self._annotations))

    def _report(self) -> None:
        book = self._annotations
        volume, selected = book.volume, book.selected_annotation
        if volume is None:
            return
        of = "" if book is self._books.first else exports.series_words(volume)
        chosen = (selected,) if selected else book.document.annotations
        lines = {a.uid: exports.sentence(a, volume, book.reading, of) for a in chosen}
        self.said.setText(self._workspace.report.note(lines))
        self.said.show()

    def _drawn(self) -> exports.Drawn | None:
        """The document with its readings, as exports need it; None without a volume."""
        annotations, volume = self._annotations, self._annotations.volume
        if volume is None:
            return None
        document, read = annotations.document, annotations.reading

        def picture(key_image: KeyImage) -> bytes:
            return pictures.as_png(pictures.picture(key_image, document, volume, read))

        return exports.Drawn(document, volume, read, annotations.viewer.unit, picture)

    # --- showing ---------------------------------------------------------------------------

    def _rows(self) -> list[tuple[str, tuple[str, str, str]]]:
        """Identifier and texts of each row: annotations, then key images."""
        document, volume = self._annotations.document, self._annotations.volume
        rows: list[tuple[str, tuple[str, str, str]]] = []
        if volume is None:
            return rows
        for annotation in document.annotations:
            name = annotation.name or annotation.kind.title
            lines = self._annotations.reading(annotation).lines
            where = location.locate(volume, annotation.plane).text
            rows.append((annotation.uid, (name, lines[0] if lines else "", where)))
        for key_image in document.key_images:
            name = f"{STAR} {key_image.note or 'Key image'}"
            where = location.locate(volume, key_image.plane).text
            rows.append((key_image.uid, (name, exports.look_text(key_image, volume), where)))
        return rows

    def _add(self, uid: str) -> QTreeWidgetItem:
        item = QTreeWidgetItem()
        item.setData(NAME, UID, uid)
        item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
        self.list.addTopLevelItem(item)
        return item

    def _select(self) -> None:
        with QSignalBlocker(self.list):
            self.list.setCurrentIndex(QModelIndex())
            for k in range(self.list.topLevelItemCount()):
                item = self.list.topLevelItem(k)
                if item is not None and item.data(NAME, UID) == self._annotations.selected:
                    self.list.setCurrentItem(item)
        self._show_detail()

    def _show_detail(self) -> None:
        annotations, volume = self._annotations, self._annotations.volume
        selected = annotations.selected_annotation or annotations.live
        key_image = annotations.document.key_image(annotations.selected)
        self.detail.setVisible(selected is not None or key_image is not None)
        found = along = None
        if selected is not None and volume is not None:
            along = values.line_profile(selected, volume)
            self.detail.setText(self._about(selected))
            if not self._annotations.is_traced(selected):
                found = values.region_values(selected, volume)
        elif key_image is not None and volume is not None:
            self.detail.setText(self._about_key_image(key_image, volume))
        # A list that needs its rows would else press the lines of a label that breaks together.
        high = self.detail.heightForWidth(self.width() - 2 * MARGIN)
        self.detail.setMinimumHeight(max(high, 0))
        self.histogram.show_values(found, self._annotations.viewer.unit)
        self.profile.show_profile(along, self._annotations.viewer.unit)

    def _about(self, annotation: Annotation) -> str:
        lines = self._annotations.reading(annotation).lines
        parts = [*lines, f"around {exports.centre_text(annotation)}"]
        return numbers.unbroken(" · ".join(parts))

    def _about_key_image(self, key_image: KeyImage, volume: Volume) -> str:
        drawn = len(self._annotations.document.annotations)
        return f"Key image, {exports.look_text(key_image, volume)}" + (
            "; its picture shows what is drawn on its slice" if drawn else ""
        )


def _tool_button(action: QAction) -> QToolButton:
    button = QToolButton()
    button.setDefaultAction(action)
    dress(action, "delete")
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button


def _sides(books: Books) -> ChoiceBox:
    """Which of the compared series is listed."""
    box = ChoiceBox()
    box.setToolTip("Of which of the compared series")
    box.setAccessibleName("Series whose measurements are listed")
    box.activated.connect(lambda k: books.take(books.both[k]))
    return box


class _Names(QStyledItemDelegate):
    """Lets a name be typed that is as long as one that is kept, and one letter longer."""

    def createEditor(
        self,
        parent: QWidget,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> QWidget:
        """Return the editor of a name; where a longer one is typed, `Annotations` says so."""
        editor = super().createEditor(parent, option, index)
        if isinstance(editor, QLineEdit):
            editor.setMaxLength(len(STAR) + LONGEST_TEXT + 1)
        return editor


def _list() -> QTreeWidget:
    tree = QTreeWidget()
    tree.setColumnCount(3)
    tree.setHeaderLabels(["Measurement", "Value", "Slice"])
    tree.setRootIsDecorated(False)
    tree.setUniformRowHeights(True)
    tree.setEditTriggers(
        QAbstractItemView.EditTrigger.DoubleClicked | QAbstractItemView.EditTrigger.EditKeyPressed
    )
    tree.setItemDelegateForColumn(NAME, _Names(tree))
    header = tree.header()
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    header.setSectionResizeMode(VALUE, QHeaderView.ResizeMode.Stretch)
    header.setStretchLastSection(False)
    tree.setToolTip("Click: go there; double click or F2: another name")
    return tree
