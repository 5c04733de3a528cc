"""The assistant beside the images: which model, the conversation, what the model is given."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, Qt, QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QSplitter,
    QTabWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.viewmodels.assistant.assistant import (
    AS_DISPLAYED,
    WINDOW_CHOICES,
    Assistant,
    ModelState,
)
from app.viewmodels.assistant.attention import WordMaps
from app.viewmodels.assistant.evidence import Evidence
from app.viewmodels.assistant.questions import ReadyQuestion, ready_questions
from app.viewmodels.images.viewer import Viewer
from app.viewmodels.report.report import Report
from app.views.assistant.chat import Chat
from app.views.assistant.draft_question import DraftQuestion
from app.views.assistant.evidence_tab import EvidenceTab
from app.views.assistant.scores_tab import ScoresTab
from app.views.parts.elided import ChoiceBox, ElidedLabel, TabBar
from app.views.parts.file_dialogs import Saver
from app.views.parts.icons import dress
from app.views.parts.keys import show_command
from app.views.parts.theme import mark
from app.views.report.report_tab import ReportTab
from med2e3.geometry import Plane
from med2e3.words import counted

#: Buttons of ready questions side by side: as many as have room for their words, else the fewest.
QUESTION_COLUMNS = (3, 2)

#: Left and right of the words on such a button, border included, in logical pixels.
READY_PADDING = 4

#: Stands behind a window that the model was not trained in.
UNTRAINED = "(untrained)"

#: Left and right of what is asked with, in logical pixels.
MARGIN = 10

#: First heights of conversation and tabs, in logical pixels; the rest is shared 3 : 2.
TALK_AND_TABS = (420, 260)


class AssistantPanel(QWidget):
    """Header and banner; conversation, questions and question box; report and scores below."""

    def __init__(
        self,
        assistant: Assistant,
        viewer: Viewer,
        report: Report,
        evidence: Evidence,
        word_maps: WordMaps,
        saver: Saver,
        model_actions: dict[str, Callable[[], object]],
    ) -> None:
        super().__init__()
        self.header = ModelHeader(assistant, model_actions)
        self.chat = Chat(assistant, viewer, word_maps)
        self.ask_box = AskBox(assistant, self.show_report)
        self.chat.edit = self.ask_box.edit
        self.report = ReportTab(report, viewer, saver)
        self.scores = ScoresTab(assistant, viewer, saver)
        self.evidence = EvidenceTab(evidence)
        self.tabs = QTabWidget()
        self._bar = TabBar()
        self.tabs.setTabBar(self._bar)
        self.tabs.setUsesScrollButtons(False)
        self.tabs.setElideMode(Qt.TextElideMode.ElideRight)
        self.tabs.tabBar().setAccessibleName("Report, scores, evidence and measurements")
        self.tabs.addTab(self.report, "Report")
        self.tabs.addTab(self.scores, "Scores")
        self.tabs.addTab(self.evidence, "Evidence")
        self.talk = talk = QWidget()
        column = QVBoxLayout(talk)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.chat, 1)
        column.addWidget(self.ask_box)
        self.tall = QToolButton()
        dress(self.tall, "tall")
        self.tall.setCheckable(True)
        self.tall.setToolTip("These tabs from top to bottom, or the conversation above them")
        self.tall.setAccessibleName("Tabs from top to bottom")
        self.tall.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.tall.toggled.connect(lambda on: talk.setVisible(not on))
        self.tabs.setCornerWidget(self.tall)
        self.splitter = QSplitter(Qt.Orientation.Vertical)
        self.splitter.addWidget(talk)
        self.splitter.addWidget(self.tabs)
        self.splitter.setStretchFactor(0, 3)
        self.splitter.setStretchFactor(1, 2)
        self.splitter.setSizes(TALK_AND_TABS)
        self.splitter.setChildrenCollapsible(True)
        self.splitter.setCollapsible(0, False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.header)
        layout.addWidget(self.splitter, 1)
        self.setMinimumWidth(300)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit the titles of the tabs into another width."""
        super().resizeEvent(event)
        self._bar.fit(self.width() - self.tall.sizeHint().width())

    def show_evidence(self) -> None:
        """Bring the tests of the shown answer to the front, ready for keys."""
        self.show()
        self.tabs.setCurrentWidget(self.evidence)
        self.evidence.all.setFocus()

    def show_report(self) -> None:
        """Bring the report to the front: a draft is being written for it."""
        self.tall.setChecked(False)  # the conversation shows how it goes on
        self.tabs.setCurrentWidget(self.report)


class ModelHeader(QWidget):
    """Which model is loaded, how, and what its user must know of it."""

    def __init__(self, assistant: Assistant, actions: dict[str, Callable[[], object]]) -> None:
        super().__init__()
        self._assistant = assistant
        self.title = QLabel()
        self.title.setProperty("heading", True)
        self.facts = ElidedLabel()
        self.facts.setProperty("dim", True)
        self.menu_button = QToolButton()
        dress(self.menu_button, "more")
        self.menu_button.setToolTip("Choose the model")
        self.menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self.menu_button)
        for label, act in actions.items():
            menu.addAction(label).triggered.connect(lambda _=False, act=act: act())
        self.menu_button.setMenu(menu)
        self.banner = QFrame()
        self.banner.setProperty("bar", "warning")
        self.notice = QLabel()
        self.notice.setWordWrap(True)
        self.notice.setTextFormat(Qt.TextFormat.PlainText)
        QVBoxLayout(self.banner).addWidget(self.notice)
        self.banner.layout().setContentsMargins(8, 5, 8, 5)  # type: ignore[union-attr]
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        row = QHBoxLayout()
        row.addWidget(self.title)
        row.addWidget(self.facts, 1)
        row.addWidget(self.menu_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 8, 10, 8)
        layout.setSpacing(6)
        layout.addLayout(row)
        layout.addWidget(self.progress)
        layout.addWidget(self.banner)
        assistant.model_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Take over the state of the model."""
        model, state = self._assistant.model, self._assistant.model_state
        self.title.setText(model.name if model is not None else "Assistant")
        loading = state is ModelState.LOADING
        self.progress.setVisible(loading)
        doing = self._assistant.model_progress
        known = loading and doing.fraction >= 0
        self.progress.setRange(0, 1000 if known else 0)
        self.progress.setValue(round(doing.fraction * 1000) if known else 0)
        self.facts.setText(doing.doing if loading else _facts(self._assistant))
        notice, kind = _notice(self._assistant)
        self.notice.setText(notice)
        self.banner.setVisible(bool(notice))
        mark(self.banner, "bar", kind)
        self._keep_height()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """A narrower notice is higher."""
        super().resizeEvent(event)
        self._keep_height()

    def changeEvent(self, event: QEvent) -> None:
        """So is one in larger text."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            QTimer.singleShot(0, self, self._keep_height)

    def _keep_height(self) -> None:
        """Room for every line of the notice: a splitter asks only for one, and presses the rest."""
        self.setMinimumHeight(max(self.heightForWidth(self.width()), 0))


def _facts(assistant: Assistant) -> str:
    model = assistant.model
    if model is None:
        return ""
    millions = model.parameters / 1e6
    size = f"{millions / 1000:.1f} B" if millions >= 1000 else f"{millions:.1f} M"
    return f"{size} parameters · {model.device.upper()}"


def _notice(assistant: Assistant) -> tuple[str, str]:
    if assistant.model_state is ModelState.NONE:
        return "No model is loaded: the viewer works, questions cannot be asked.", "notice"
    if assistant.model_message is not None:
        stays = f" {assistant.model.name} stays loaded." if assistant.model is not None else ""
        return assistant.model_message.sentence + stays, "error"
    return (assistant.model.notice, "warning") if assistant.model is not None else ("", "notice")


class AskBox(QWidget):
    """Ready questions, what the model is given, and the question box."""

    def __init__(self, assistant: Assistant, on_report: Callable[[], object]) -> None:
        super().__init__()
        self._assistant = assistant
        self._on_report = on_report
        self.draft_question = DraftQuestion(self)
        self.ready: list[QPushButton] = []
        self._grid = QGridLayout()
        self._grid.setSpacing(4)
        self.plane = ChoiceBox()
        self.plane.addItem("default plane", None)
        for plane in Plane:
            self.plane.addItem(plane.value, plane)
        self.plane.setToolTip("The plane in which the model is given the slices")
        self.window_choice = ChoiceBox()
        for choice in WINDOW_CHOICES:
            self.window_choice.addItem(choice, choice)
        self.window_choice.setToolTip("The grey-level window in which the model sees the volume")
        for box in (self.plane, self.window_choice):
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            box.activated.connect(lambda _: self._give())
        self.line = QLineEdit()
        self.line.setPlaceholderText("Ask about this series")
        show_command(self.line, "ask")
        self.line.setClearButtonEnabled(True)
        self.line.returnPressed.connect(self.ask_typed)
        self._stops = False
        self.button = QPushButton()
        self._show_button()
        self.button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.button.clicked.connect(self._pressed)
        self.waiting = ElidedLabel()
        self.waiting.setProperty("dim", True)
        self._sees = QLabel("Model sees")
        self._sees.setProperty("dim", True)
        self._given = QGridLayout()
        self._given.setHorizontalSpacing(6)
        self._given.setVerticalSpacing(2)
        for column, box in enumerate((self.plane, self.window_choice), start=1):
            self._given.addWidget(box, 1, column)
            self._given.setColumnStretch(column, 1)
        row = QHBoxLayout()
        row.addWidget(self.line, 1)
        row.addWidget(self.button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN, 8, MARGIN, 8)
        layout.setSpacing(6)
        for part in (self._grid, self._given):
            layout.addLayout(part)
        layout.addWidget(self.waiting)
        layout.addLayout(row)
        assistant.model_changed.connect(self._model_changed)
        assistant.turns_changed.connect(self.refresh)
        assistant.chosen_changed.connect(self.refresh)
        self._model_changed()

    def refresh(self) -> None:
        """Take over what can be asked now."""
        running = self._assistant.running is not None
        can_ask = self._assistant.can_ask
        for button in self.ready:
            button.setEnabled(can_ask)
        waiting = self._assistant.waiting
        self.waiting.setVisible(bool(waiting))
        self.waiting.setText(f"{counted(len(waiting), 'question')} waiting: {'; '.join(waiting)}")
        self.line.setEnabled(self._assistant.model_state is ModelState.READY)
        self.button.setEnabled(running or can_ask)
        if running != self._stops:
            self._stops = running
            self._show_button()

    def _show_button(self) -> None:
        stops = self._stops
        self.button.setText("Stop" if stops else "Ask")
        dress(self.button, *(("stop", "text") if stops else ("ask", "on_accent")))
        self.button.setToolTip("Stop the answer" if stops else "Ask (Return)")
        show_command(self.button, "stop" if stops else "")
        mark(self.button, "primary", not stops)

    def ask_typed(self) -> None:
        """Ask what was typed, after a running answer; the text stays until it can be asked."""
        before = len(self._assistant.waiting)
        turn = self._assistant.ask_next(self.line.text())
        if turn is not None or len(self._assistant.waiting) > before:
            self.line.clear()

    def edit(self, question: str) -> None:
        """Put a question into the box, to be changed and asked again."""
        self.line.setText(question)
        self.line.setFocus()

    def ask_ready(self, question: ReadyQuestion) -> None:
        """Ask a ready question."""
        doubt = self._assistant.draft_doubt if question.is_report else ""
        if doubt and self._assistant.can_ask:
            self.draft_question.ask(doubt, lambda: self._draft_meant(question))
            return
        turn = self._assistant.ask(question.text, is_report=question.is_report, alone=True)
        if turn is not None and question.is_report:
            self._on_report()

    def _draft_meant(self, question: ReadyQuestion) -> None:
        self._assistant.mean_draft()
        self.ask_ready(question)

    def ask_report(self) -> None:
        """Ask the ready question whose answer is a report."""
        for question in ready_questions(self._assistant.model):
            if question.is_report:
                self.ask_ready(question)
                return

    def _pressed(self) -> None:
        if self._assistant.running is not None:
            self._assistant.stop()
        else:
            self.ask_typed()

    def _give(self) -> None:
        name = self.plane.currentData()  # Qt keeps only the text of an enumeration
        plane = Plane(name) if name is not None else None
        self._assistant.give(plane, str(self.window_choice.currentData()))

    def _model_changed(self) -> None:
        for button in self.ready:
            button.deleteLater()
        self.ready = []
        for question in ready_questions(self._assistant.model):
            button = QPushButton(question.label)
            button.setToolTip(f"{question.label}: {question.text}")
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            button.clicked.connect(lambda _=False, q=question: self.ask_ready(q))
            button.setProperty("ready", True)
            self.ready.append(button)
        self._mark_windows()
        self._fit_words()
        self.refresh()

    def _mark_windows(self) -> None:
        """Mark the windows that the model was not trained in."""
        for k, choice in enumerate(WINDOW_CHOICES):
            trained = choice == AS_DISPLAYED or self._assistant.is_trained_window(choice)
            self.window_choice.setItemText(k, choice if trained else f"{choice} {UNTRAINED}")
            tip = "" if trained else "The model was not trained in this window"
            self.window_choice.setItemData(k, tip, Qt.ItemDataRole.ToolTipRole)

    def _fit_words(self) -> None:
        """Words of ready questions that have no room are cut, and whole in the tooltip."""
        labels = [question.label for question in ready_questions(self._assistant.model)]
        metrics = self.fontMetrics()
        longest = max((metrics.horizontalAdvance(label) for label in labels), default=0)
        columns = next(
            (n for n in QUESTION_COLUMNS if longest <= self._room(n)), QUESTION_COLUMNS[-1]
        )
        for column in range(QUESTION_COLUMNS[0]):
            self._grid.setColumnStretch(column, int(column < columns))
        for k, (button, label) in enumerate(zip(self.ready, labels, strict=True)):
            self._grid.addWidget(button, *divmod(k, columns))
            words = metrics.elidedText(label, Qt.TextElideMode.ElideRight, self._room(columns))
            if words != button.text():
                button.setText(words)
        self._fit_given()

    def _room(self, columns: int) -> int:
        """The width of a ready question's words, so many side by side."""
        room = self.width() - 2 * MARGIN - (columns - 1) * self._grid.spacing()
        return room // columns - 2 * READY_PADDING

    def _fit_given(self) -> None:
        """What the model sees stands beside its label, or below it where that takes the room."""
        boxes = (self.plane, self.window_choice)
        needed = sum(box.sizeHint().width() for box in boxes) + 2 * self._given.spacing()
        beside = needed + self._sees.sizeHint().width() <= self.width() - 2 * MARGIN
        self._given.removeWidget(self._sees)
        if beside:
            self._given.addWidget(self._sees, 1, 0)
        else:
            self._given.addWidget(self._sees, 0, 1, 1, 2)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Another width has room for other words."""
        super().resizeEvent(event)
        self._fit_words()

    def changeEvent(self, event: QEvent) -> None:
        """So has another size of text."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            QTimer.singleShot(0, self, self._fit_words)  # when the buttons have it, too
