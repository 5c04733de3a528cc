"""What the view-models need done: files read, models run, errors put into sentences."""
