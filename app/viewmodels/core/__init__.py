"""What every view-model builds on: signals, tasks, outcomes of work, notices, undo, identity."""
