"""Widgets that show images: planes, 3D, comparing, overlays."""
