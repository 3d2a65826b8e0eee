"""A trained model as Python users want it."""
