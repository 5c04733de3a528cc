"""Every other file format to a volume: NIfTI, NRRD, MetaImage, NumPy."""
