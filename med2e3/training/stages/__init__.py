"""The stages of a training run: encoders, text and tuning, and the published two."""
