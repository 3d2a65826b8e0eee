"""The directory of a run, its checkpoints and its records."""
