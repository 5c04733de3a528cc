"""Widgets of the conversation with the model, and of its slice scores."""
