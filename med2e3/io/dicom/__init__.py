"""DICOM files to series and volumes."""
