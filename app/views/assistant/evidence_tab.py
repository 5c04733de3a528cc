"""How sure the shown answer is, and tests of it: buttons, progress, and what they found."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from app.viewmodels.assistant.answers import Turn
from app.viewmodels.assistant.evidence import TESTS, TOP_BANDS, Choice, Evidence, parse_slices
from app.views.assistant.certainty_view import CertaintyView
from app.views.assistant.outcome_card import OutcomeCard
from app.views.parts.theme import mark

#: Buttons of tests side by side.
COLUMNS = 2

#: Most slices of highest weight that can be left out; more would be most of the answer.
MOST_TOP = 16

#: Lines that the box for other wordings shows.
WORDING_LINES = 3

EXPLANATION = (
    "A test changes one thing and asks again. It tells what this answer depends on, and not "
    "whether it is right."
)


class EvidenceTab(QScrollArea):
    """The certainty of the shown answer, its tests, and their outcomes, latest tests last."""

    def __init__(self, evidence: Evidence) -> None:
        super().__init__()
        self._evidence = evidence
        self._shown: tuple[object, ...] = ()
        self.title = _words("heading")
        self.certainty = CertaintyView()
        self.why_not = _words("dim")
        self.marks = _words("dim")
        self.mark = _button("Mark slice", "Mark the slice of the model's plane, or unmark it")
        self.mark.clicked.connect(evidence.mark_slice)
        self.buttons = {row.name: _button(row.label, row.tip) for row in TESTS}
        for name, button in self.buttons.items():
            button.clicked.connect(lambda _=False, name=name: self._run(name))
        self.all = _button("Run all", "Every test that can be run, one after another.")
        mark(self.all, "primary", value=True)
        self.all.clicked.connect(lambda: self._run(""))
        self.top = QSpinBox()
        self.top.setRange(1, MOST_TOP)
        self.top.setValue(TOP_BANDS)
        self.top.setPrefix("top ")
        self.top.setAccessibleName("Slices of highest weight to leave out")
        self.top.valueChanged.connect(lambda _: self._show_marks())
        self.slices = QLineEdit()
        self.slices.setPlaceholderText("or model slices: 3, 5-7")
        self.slices.setAccessibleName("Model slices to leave out")
        self.slices.setClearButtonEnabled(True)
        self.wordings = QPlainTextEdit()
        self.wordings.setPlaceholderText("Other words, one question a line (empty: the model's)")
        self.wordings.setAccessibleName("The question in other words")
        self.wordings.setTabChangesFocus(True)
        self.problem = _words("error")
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setRange(0, 1000)
        self.doing = _words("dim")
        self.stop = _button("Stop", "Stop the tests; what they have found stays")
        self.stop.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.stop.clicked.connect(evidence.stop)
        self._found = QVBoxLayout()
        self._found.setSpacing(6)
        self.cards: list[OutcomeCard] = []
        self.setWidget(self._lay_out())
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        evidence.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Take over the answer that is shown, and how far its tests are."""
        turn, tested = self._evidence.turn, self._evidence.tested
        why_not = self._evidence.why_not
        self.title.setText("" if turn is None else f"“{turn.question}”")
        self.title.setVisible(turn is not None)
        self.certainty.show_certainty(None if turn is None else turn.certainty)
        self.why_not.setText(why_not or EXPLANATION)
        self.controls.setVisible(not why_not)
        for row in TESTS:
            self.buttons[row.name].setEnabled(self._evidence.can_run(row))
        self.all.setEnabled(any(button.isEnabled() for button in self.buttons.values()))
        self.running.setVisible(tested is not None)
        fraction = self._evidence.progress.fraction
        self.progress.setValue(round(1000 * max(fraction, 0.0)))
        self.doing.setText(self._evidence.progress.doing)
        failure = turn.test_message if turn is not None else None
        self.problem.setText("" if failure is None else failure.sentence)
        self.problem.setVisible(failure is not None)
        self._show_marks()
        self._show_outcomes(turn)

    def _show_marks(self) -> None:
        line = self._evidence.marks_line(self.top.value())
        self.marks.setText(line)
        for widget in (self.marks, self.mark):
            widget.setVisible(bool(line))

    def _show_outcomes(self, turn: Turn | None) -> None:
        outcomes = () if turn is None else turn.outcomes
        shown = (turn, *outcomes)
        if shown == self._shown:
            return
        self._shown = shown
        for card in self.cards:
            card.deleteLater()
        self.cards = [OutcomeCard(outcome) for outcome in outcomes]
        for card in self.cards:
            self._found.addWidget(card)

    def _run(self, name: str) -> None:
        turn = self._evidence.turn
        count = 0 if turn is None or turn.seen is None else len(turn.seen.bands)
        try:
            bands = parse_slices(self.slices.text(), count)
        except ValueError as error:
            self.problem.setText(str(error))
            self.problem.setVisible(True)
            self.slices.setFocus()
            return
        wordings = tuple(self.wordings.toPlainText().splitlines())
        choice = Choice(self.top.value(), bands, tuple(w.strip() for w in wordings if w.strip()))
        if name:
            self._evidence.run([name], choice)
        else:
            self._evidence.run_all(choice)

    def _lay_out(self) -> QWidget:
        self.controls = QFrame()
        grid = QGridLayout(self.controls)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        for number, button in enumerate(self.buttons.values()):
            grid.addWidget(button, *divmod(number, COLUMNS))
        last = -(-len(self.buttons) // COLUMNS)
        which = QHBoxLayout()
        which.addWidget(self.top)
        which.addWidget(self.slices, 1)
        lines = self.fontMetrics().lineSpacing() * WORDING_LINES + 14
        self.wordings.setFixedHeight(lines)
        grid.addLayout(which, last, 0, 1, COLUMNS)
        grid.addWidget(self.wordings, last + 1, 0, 1, COLUMNS)
        grid.addWidget(self.all, last + 2, 0, 1, COLUMNS)
        self.running = QFrame()
        row = QGridLayout(self.running)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.progress, 0, 0)
        row.addWidget(self.stop, 0, 1)
        row.addWidget(self.doing, 1, 0, 1, 2)
        body = QWidget()
        layout = QVBoxLayout(body)
        layout.setContentsMargins(10, 8, 10, 8)
        layout.setSpacing(8)
        for part in (
            self.title, self.certainty, self.why_not, self.controls, self.marks, self.mark,
            self.problem, self.running,
        ):  # fmt: skip
            layout.addWidget(part)
        layout.addLayout(self._found)
        layout.addStretch(1)
        return body


def _words(kind: str) -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    mark(label, kind, value=True)
    return label


def _button(label: str, tip: str) -> QPushButton:
    button = QPushButton(label)
    button.setToolTip(tip)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return button
