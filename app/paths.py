"""Where the viewer keeps its own files on this system. Knows nothing of what is in them."""

from __future__ import annotations

from pathlib import Path

import platformdirs

from med2e3.files import cache_place

#: The folder name under the system's places for settings.
APP_NAME = "med2e3-viewer"


def settings_file() -> Path:
    """The file that holds the preferences; it need not exist yet."""
    return Path(platformdirs.user_config_dir(APP_NAME, appauthor=False)) / "settings.json"


def annotations_folder() -> Path:
    """The folder that holds what was drawn, a file a series; it need not exist yet."""
    return Path(platformdirs.user_data_dir(APP_NAME, appauthor=False)) / "annotations"


def kept_volumes_folder() -> Path:
    """The folder of the cache that the command line shares: what volumes cost to encode."""
    return cache_place("volumes")


def reports_folder() -> Path:
    """The folder that holds the reader's reports, a file a series; it need not exist yet."""
    return Path(platformdirs.user_data_dir(APP_NAME, appauthor=False)) / "reports"
