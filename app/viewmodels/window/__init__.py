"""The window as a whole: commands, shortcuts, layouts, hanging protocols, preferences."""
