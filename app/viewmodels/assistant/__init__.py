"""Questions to the model about the open volume, its answers, and their slice scores."""
