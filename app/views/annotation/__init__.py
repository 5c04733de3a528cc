"""Widgets of drawing and measuring on the images."""
