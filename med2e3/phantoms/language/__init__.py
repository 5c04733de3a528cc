"""The language of people: a grammar of questions about a phantom, with their right answers."""

from med2e3.phantoms.language.topics import EVERY_TOPIC, LANGUAGE_TOPICS, ask, ask_freely

__all__ = ["EVERY_TOPIC", "LANGUAGE_TOPICS", "ask", "ask_freely"]
