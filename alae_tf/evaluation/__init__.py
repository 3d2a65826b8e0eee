"""Metrics of a model, one file each, and the registry that lists them."""
