"""State and decisions of the viewer, without Qt, VTK or torch: they run headless in a test."""
