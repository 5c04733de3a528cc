"""What stays together when volumes are held out of training, by the names in a recipe."""

#: A volume's own rows, or those of all volumes of a folder, as of one patient.
VOLUME, FOLDER = GROUPS = ("volume", "folder")
