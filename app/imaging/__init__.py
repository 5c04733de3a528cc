"""Numerics of images in numpy: planes, slabs, sampling, windows, cameras. No Qt, VTK or state."""
