"""File formats beside DICOM, read as volumes: a module each, and a row of `table`."""
