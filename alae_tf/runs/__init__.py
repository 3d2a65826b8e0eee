"""The directory of a run and the checkpoints in it; variables are known by name."""
