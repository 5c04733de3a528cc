"""`load` a model, `read` a volume, `ask` a question: one door for app, command line, notebooks.

load → Model; Model.read → Session; Session.ask → Answer
"""

from med2e3.engine.answer import Answer
from med2e3.engine.batch import Reply
from med2e3.engine.info import ModelInfo, ReadyQuestion
from med2e3.engine.loading import load
from med2e3.engine.model import Model
from med2e3.engine.scores import ScoredBand, Scores
from med2e3.engine.session import Session, check_question

__all__ = [
    "Answer",
    "Model",
    "ModelInfo",
    "ReadyQuestion",
    "Reply",
    "ScoredBand",
    "Scores",
    "Session",
    "check_question",
    "load",
]
