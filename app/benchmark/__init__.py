"""What the window promises, measured in the window itself: `python -m app --benchmark`."""
