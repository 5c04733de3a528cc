"""Widgets: they show a view-model, pass on what the user does, and decide nothing."""
