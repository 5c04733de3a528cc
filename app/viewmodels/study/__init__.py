"""Which studies there are and which one is open: opening, the list of series, headers."""
