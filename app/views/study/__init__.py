"""Widgets of the studies: the list of series, the headers, the empty window."""
