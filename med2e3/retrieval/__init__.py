"""Finding volumes by text and texts by volume, with M3D-CLIP."""
