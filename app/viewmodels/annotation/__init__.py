"""What the reader draws on the images: kinds, editing, values, exports. No Qt, no files."""
