"""Widgets and helpers that the other rooms share: theme, icons, keys, sliders, labels."""
