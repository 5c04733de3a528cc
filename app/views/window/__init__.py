"""The windows: toolbar, centre, commands, dialogs about the window itself."""
