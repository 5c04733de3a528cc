"""What the reader draws on the images: model, editing, undo, values, exports. No Qt, no files."""
