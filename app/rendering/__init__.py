"""Pixels: from voxels to images, from scores to colours, and the annotations over an image."""
