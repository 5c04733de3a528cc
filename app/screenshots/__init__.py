"""Pictures of every state of the window: `python -m app.screenshots FOLDER [PATH]`."""
