"""Loads a model, reads a volume, answers questions: for the app, the command line and notebooks.

`load` makes a Model, `Model.read` a Session, `Session.ask` an Answer. Imports go one way: loading,
model, session, then answer, batch and record, then runtime, encoding and decoding.
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
