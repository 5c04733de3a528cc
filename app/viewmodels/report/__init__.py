"""The report on the open series: its text, and when it is saved."""
