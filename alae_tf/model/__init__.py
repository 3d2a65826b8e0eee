"""A trained model, for use from Python."""
