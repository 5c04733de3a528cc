"""What is seen of the open volume: planes, windows, cine, comparing, overlays, 3D."""
